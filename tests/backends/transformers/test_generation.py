"""The sampling of a batch, on scores small enough to compute by hand."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from quillgraph.backends.chat import ChatRequest, ChatTurn, Completion  # noqa: E402
from quillgraph.backends.errors import ServerFailed  # noqa: E402
from quillgraph.backends.transformers.generation import (  # noqa: E402
    DecodingRow,
    PendingCall,
    StepSampler,
    penalised,
)
from quillgraph.backends.transformers.sampler import Draw, sample_tokens, sampling_logprobs  # noqa: E402


def request(**options: Any) -> ChatRequest:
    defaults: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 8}
    turn = ChatTurn(role="user", content="Hi")
    return ChatRequest(messages=(turn,), **{**defaults, **options})


def row(seed: int = 0, **options: Any) -> DecodingRow:
    generator = torch.Generator().manual_seed(seed)
    return DecodingRow(
        PendingCall(request(**options)), prompt_ids=[5], generator=generator, matcher=None
    )


def draw(scores_BV: Any, rows: list[DecodingRow]) -> list[Draw]:
    return sample_tokens(
        scores_BV, [row.call.request for row in rows], [row.generator for row in rows]
    )


def scores(*probabilities: float) -> Any:
    return torch.tensor(probabilities).log().unsqueeze(0)


class Ending:
    """As much of a `Decoder` as `StepSampler` asks for: token 9 ends a row, text is the ids."""

    end_ids = (9,)

    def text(self, row: DecodingRow) -> str:
        return "".join(str(token) for token in row.ids if token != 9)

    def completion(self, row: DecodingRow, text: str, reason: str) -> Completion:
        return Completion(
            text=text, finish_reason=reason, prompt_tokens=1, completion_tokens=len(row.ids)
        )


def ending_of(row: DecodingRow) -> tuple[str, str]:
    reply = row.call.future.result(timeout=0)
    return reply.text, reply.finish_reason


def step(rows: list[DecodingRow], *tokens: int) -> list[int]:
    """Let each row's scores favour one token beyond doubt; return what `generate` would pick."""
    favoured = torch.full((len(rows), 10), -1e9)
    for number, token in enumerate(tokens):
        favoured[number, token] = 0.0
    picked: list[int] = StepSampler(rows, Ending()).sample(None, favoured).argmax(dim=-1).tolist()  # type: ignore[arg-type]  # a stand-in without a model
    return picked


def test_each_row_has_its_own_temperature_and_top_p() -> None:
    three = scores(0.5, 0.3, 0.2).repeat(3, 1)
    probabilities = sampling_logprobs(three, [1.0, 0.5, 1.0], [1.0, 1.0, 0.7], [0.0] * 3).exp()
    # temperature 0.5 squares: 0.25, 0.09, 0.04 over their sum 0.38
    # top-p 0.7 keeps 0.5 and 0.3, for 0.5 alone falls short of it: 0.5/0.8, 0.3/0.8
    expected = [[0.5, 0.3, 0.2], [0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38], [0.625, 0.375, 0.0]]
    torch.testing.assert_close(probabilities, torch.tensor(expected))


def test_top_p_below_the_best_token_still_keeps_that_token() -> None:
    probabilities = sampling_logprobs(scores(0.2, 0.5, 0.3), [1.0], [0.1], [0.0]).exp()
    torch.testing.assert_close(probabilities, torch.tensor([[0.0, 1.0, 0.0]]))


def test_min_p_keeps_what_comes_near_the_best_token_after_the_temperature() -> None:
    three = scores(0.5, 0.3, 0.2).repeat(3, 1)
    probabilities = sampling_logprobs(three, [1.0, 0.5, 0.0], [1.0] * 3, [0.5, 0.5, 0.5]).exp()
    # half of 0.5 is 0.25: 0.2 falls; at temperature 0.5 0.09 of 0.25 falls, too; at 0 nothing does
    expected = [[0.625, 0.375, 0.0], [1.0, 0.0, 0.0], [0.5, 0.3, 0.2]]
    torch.testing.assert_close(probabilities, torch.tensor(expected))


def test_top_p_is_a_share_of_what_min_p_has_left() -> None:
    # min-p 0.5 leaves 0.5 and 0.3, of which 0.5 is 0.625: enough for 0.6 of them, not of all
    probabilities = sampling_logprobs(scores(0.5, 0.3, 0.2), [1.0], [0.6], [0.5]).exp()
    torch.testing.assert_close(probabilities, torch.tensor([[1.0, 0.0, 0.0]]))


def test_a_penalty_lowers_what_a_row_has_read_or_written_and_no_other_row() -> None:
    plain, bent = row(), row(repetition_penalty=2.0)  # both have read token 5
    bent.ids = [0, 0, 1]
    logits = torch.tensor([[4.0, -1.0, 3.0, 0.0, 0.0, 6.0]]).repeat(2, 1)
    lowered = penalised(logits, [plain, bent])
    # positive scores are halved, negative ones doubled; a token that came twice counts once
    expected = [[4.0, -1.0, 3.0, 0.0, 0.0, 6.0], [2.0, -2.0, 3.0, 0.0, 0.0, 3.0]]
    torch.testing.assert_close(lowered, torch.tensor(expected))


def test_a_token_that_the_grammar_forbids_stays_forbidden_under_a_penalty() -> None:
    forbidden = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, float("-inf")]])
    assert penalised(forbidden, [row(repetition_penalty=2.0)])[0, 5] == float("-inf")


def test_a_greedy_row_takes_the_best_token_and_reports_its_probability() -> None:
    (first,) = draw(scores(0.2, 0.5, 0.3), [row(temperature=0.0)])
    assert first.token == 1
    assert first.logprob == pytest.approx(-0.693147)  # ln 0.5
    assert first.likeliest == {}


def test_each_row_reports_as_many_of_its_likeliest_tokens_as_it_asked_for() -> None:
    three = scores(0.2, 0.5, 0.3).repeat(3, 1)
    none, two, all_three = draw(three, [row(top_logprobs=number) for number in (0, 2, 20)])
    assert none.likeliest == {}
    # ln 0.5, ln 0.3 and ln 0.2
    assert two.likeliest == pytest.approx({1: -0.693147, 2: -1.203973})
    assert all_three.likeliest == pytest.approx({1: -0.693147, 2: -1.203973, 0: -1.609438})


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("overflown", [float("nan"), float("inf")])
def test_scores_that_have_overflowed_are_an_error_and_no_certain_token(
    overflown: float, temperature: float
) -> None:
    broken = torch.tensor([[0.0, overflown, 1.0]])  # inf - inf is nan, too
    with pytest.raises(ServerFailed, match=r"overflowed: expected log-probs, got nan"):
        draw(broken, [row(temperature=temperature)])


def test_draws_follow_the_distribution() -> None:
    rows = [row(seed) for seed in range(2000)]
    tokens = [each.token for each in draw(scores(0.5, 0.3, 0.2).repeat(2000, 1), rows)]
    # 2000 draws of p = 0.3: standard deviation sqrt(2000 * 0.3 * 0.7) = 20.5, so 4 of them are 82
    assert abs(tokens.count(1) - 600) < 82


def test_a_row_draws_the_same_whoever_shares_the_batch() -> None:
    flat = torch.zeros(1, 1000)
    (alone,) = draw(flat, [row(seed=3)])
    shared = draw(flat.repeat(3, 1), [row(seed=1), row(seed=3), row(seed=2)])
    assert shared[1].token == alone.token


def test_a_row_ends_at_its_end_token_and_keeps_it() -> None:
    ending = row()
    step([ending], 4)
    step([ending], 9)
    assert ending_of(ending) == ("4", "stop")
    assert ending.ids == [4, 9]
    assert ending.logprobs == [0.0, 0.0]


def test_a_row_ends_when_its_tokens_are_spent() -> None:
    short = row(max_tokens=2)
    step([short], 4)
    assert not short.ended
    step([short], 5)
    assert ending_of(short) == ("45", "length")


def test_a_stop_string_ends_a_row_and_is_cut_off() -> None:
    stopping = row(stop=("67",))
    for token in (4, 6, 7):
        step([stopping], token)
    assert ending_of(stopping) == ("4", "stop")
    assert stopping.ids == [4, 6, 7]


def test_a_cancelled_row_is_passed_over_at_the_next_step() -> None:
    gone, staying = row(), row()
    gone.call.future.cancel()
    assert step([gone, staying], 4, 5) == [9, 5]
    assert (gone.ids, staying.ids) == ([], [5])
    ended = StepSampler([gone, staying], Ending()).ended(torch.zeros(2, 1), None)  # type: ignore[arg-type]  # as above
    assert ended.tolist() == [True, False]
