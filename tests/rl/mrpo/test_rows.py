from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from quillgraph.rl.mrpo import losses  # noqa: E402
from quillgraph.rl.mrpo.plan import Group, Replayed  # noqa: E402
from quillgraph.rl.mrpo.replay import Entry  # noqa: E402
from quillgraph.rl.mrpo.rows import (  # noqa: E402
    Drift,
    Normaliser,
    SideBatch,
    SideRow,
    dealt,
    lessoned_row,
    memory_rows,
    rider_rows,
)
from quillgraph.rl.trajectories.rows import Row  # noqa: E402

RANGE = {"low": 0.2, "high": 0.28}
TERMS = losses.mrpo_terms(**RANGE, gamma=0.1, replay_weight=1.0, anchor_weight=1.0)


def row(kind: Any = "bare", **changes: Any) -> SideRow:
    fields: dict[str, Any] = {
        "prompt_ids": (7,),
        "completion_ids": (1, 2),
        "mask": (True, True),
        "behaviour": (-1.0, -1.0),
        "advantage": 1.0,
        "weight": 1.0,
    }
    return SideRow(kind=kind, **fields | changes)


def under(logps: Any, *rows: SideRow) -> Any:
    return SideBatch.of(rows, pad=0, device=torch.device("cpu")).under(logps)


def loss_of(*rows: SideRow, logps: Any) -> Any:
    """Every term by its name without its weight, and the drift of the rows."""
    read = under(torch.tensor(logps, dtype=torch.float32), *rows)
    drift = Drift.of(read, **RANGE)
    return SimpleNamespace(
        **{each.name: each(read) for each in TERMS},
        ratios=drift.replayed,
        **{name: getattr(drift, name) for name in ("lessoned", "clipped", "bare")},
    )


def test_prompts_are_padded_on_the_left_and_completions_on_the_right() -> None:
    batch = SideBatch.of(
        [row(prompt_ids=(5, 6, 7)), row(completion_ids=(1,), mask=(True,), behaviour=(-2.0,))],
        pad=0,
        device=torch.device("cpu"),
    )
    assert batch.prompt_ids_BP.tolist() == [[5, 6, 7], [0, 0, 7]]
    assert batch.prompt_mask_BP.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert batch.completion_ids_BT.tolist() == [[1, 2], [1, 0]]
    assert batch.completion_mask_BT.tolist() == [[1, 1], [1, 0]]
    assert batch.mask_BT.tolist() == [[1, 1], [1, 0]]
    assert batch.behaviour_BT.tolist() == [[-1, -1], [-2, 0]]


def test_bare_rows_are_clipped_and_reflective_ones_shaped() -> None:
    # w = e^.5 = 1.6487 on both tokens: clipped 1.28 each; shaped 1.6487/1.7487 = .9428 each
    bare = loss_of(row("bare"), logps=[[-0.5, -0.5]])
    assert bare.replay.item() == pytest.approx(-2.56)
    assert bare.episode.item() == bare.anchor.item() == 0
    assert (bare.clipped.item(), bare.bare.item()) == (2, 2)
    reflective = loss_of(row("reflective"), logps=[[-0.5, -0.5]])
    assert reflective.replay.item() == pytest.approx(-2 * 1.648721 / 1.748721)
    assert reflective.bare.item() == 0
    assert reflective.ratios.tolist() == pytest.approx([1.648721] * 2)


def test_a_text_of_unknown_origin_weighs_by_its_own_probability() -> None:
    # b = 1, so w = π = e^-.5 = .6065: .6065/.7065 = .8585; it has no ratio to report
    loss = loss_of(row("reflective", behaviour=None), logps=[[-0.5, -0.5]])
    assert loss.replay.item() == pytest.approx(-2 * 0.606531 / 0.706531)
    assert loss.ratios.numel() == 0


def test_a_further_call_of_the_episode_counts_as_fresh_and_masks_nothing() -> None:
    # the second token has probability e^-10 < 1e-4: a replay would leave it out
    loss = loss_of(row("fresh", behaviour=(-1.0, -10.0)), logps=[[-1.0, -10.0]])
    assert loss.episode.item() == pytest.approx(-2.0)
    assert loss.replay.item() == 0
    assert loss.ratios.numel() == 0
    assert loss_of(row(behaviour=(-1.0, -10.0)), logps=[[-1.0, -10.0]]).replay.item() == -1


def test_tokens_that_the_policy_did_not_write_touch_no_loss() -> None:
    logps = torch.tensor([[-0.9, -0.8]], requires_grad=True)
    rows = under(logps, row(mask=(True, False), anchor=0.5))
    sum(each(rows) for each in TERMS).backward()
    assert logps.grad is not None
    assert logps.grad[0, 0] != 0
    assert logps.grad[0, 1] == 0


def test_the_anchor_is_the_mean_surprise_of_its_targets() -> None:
    # two targets of two tokens: weight 1/4 each; (1 + 2 + 3 + 4)/4 = 2.5
    rows = [row("reflective", weight=0, anchor=0.25)] * 2
    loss = loss_of(*rows, logps=[[-1.0, -2.0], [-3.0, -4.0]])
    assert loss.anchor.item() == pytest.approx(2.5)
    assert loss.replay.item() == 0


def test_the_terms_of_a_step_add_up_with_their_weights() -> None:
    rows = under(
        torch.tensor([[-1.0, -1.0], [-0.5, -0.5], [-0.5, -0.5], [-1.0, -3.0]]),
        row("fresh", weight=0.5),  # w = 1: 2 · .5 = 1
        row("bare", weight=0.25),  # w = e^.5, clipped at 1.28: 2 · .25 · 1.28 = .64
        row("reflective", weight=0.25),  # e^.5 / (e^.5 + .1) = .942815: 2 · .25 · .942815 = .471408
        row("reflective", weight=0, anchor=0.5),  # .5 · (1 + 3) = 2
    )
    # λ = .5, and of μ = .1 half is left where 40 of the 80 steps of the anchor are done
    terms = losses.mrpo_terms(**RANGE, gamma=0.1, replay_weight=0.5, anchor_weight=0.1)
    parts = {each.name: each(rows) * each.weight_at(40, 100) for each in terms}
    assert parts["episode"].item() == pytest.approx(-1.0)
    assert parts["replay"].item() == pytest.approx(-0.5 * (0.64 + 0.471408))
    assert parts["anchor"].item() == pytest.approx(0.05 * 2)


def test_a_place_holder_has_no_weight_at_all() -> None:
    loss = loss_of(row(anchor=1.0).silenced, logps=[[-0.5, -0.5]])
    assert loss.replay.item() == loss.anchor.item() == loss.episode.item() == 0
    assert loss.ratios.numel() == 0


def test_rows_are_dealt_so_that_hands_get_about_as_many_tokens() -> None:
    rows = [row(completion_ids=(1,) * n, mask=(True,) * n, behaviour=None) for n in (1, 9, 5, 7)]
    lengths = [[len(each.completion_ids) for each in hand] for hand in dealt(rows, 2)]
    assert lengths == [[9, 5], [7, 1]]
    assert dealt([], 2) == [[], []]


def entry(number: int, tokens: int, **changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "prompt": "p",
        "criteria_sha": "c",
        "context": "bare",
        "prompt_ids": (7,),
        "completion_ids": (1,) * tokens,
        "mask": (True,) * tokens,
        "logprobs": (-1.0,) * tokens,
        "reward": 0.9,
        "step": 0,
        "id": number,
    }
    return Entry(**fields | changes)


@pytest.mark.parametrize(
    ("loss_type", "weights"),
    [
        # two prompts, two replays: each a quarter of the step
        ("dr_grpo", [0.25 / 10, 0.25 / 10]),  # over L_max
        ("grpo", [0.25 / 2, 0.25 / 6]),  # over |y|
        ("dapo", [0.5 / 8, 0.5 / 8]),  # the prompt's half over its 8 tokens
    ],
)
def test_each_loss_type_has_its_own_weight_for_a_token(
    loss_type: str, weights: list[float]
) -> None:
    replayed = tuple(Replayed(entry(n, size), 0.3, 0.25) for n, size in ((0, 2), (1, 6)))
    rows = memory_rows([Group("p", (), (), True, replayed=replayed)], loss_type, 10)
    assert [each.weight for each in rows] == pytest.approx(weights)
    assert [each.advantage for each in rows] == [0.3, 0.3]


def test_a_text_that_is_replayed_and_a_target_is_one_row() -> None:
    both = entry(0, 4, is_revision=True, context="reflective")
    group = Group(
        "p", (), (), True, replayed=(Replayed(both, 0.3, 1.0),), anchors=(both, entry(1, 4))
    )
    rows = memory_rows([group], "dr_grpo", 10)
    assert [(each.weight, each.anchor) for each in rows] == [(0.1, 0.125), (0.0, 0.125)]


def test_further_calls_have_their_own_advantages_and_the_weight_of_a_text() -> None:
    call = Row(
        prompt_ids=(1,),
        completion_ids=(2, 3),
        logprobs=(-1.0, -1.0),
        mask=(True, False),
        graph="g",
        node="n",
        visit=0,
        calls=(0,),
        role="r",
    )
    gains = [(0.5, -0.25), (0.0,), ()]
    rows = rider_rows([(call, call), (call,), ()], gains, normaliser("dr_grpo"))
    assert [(each.kind, each.advantage, each.weight) for each in rows] == [
        ("fresh", 0.5, 1 / 40),
        ("fresh", -0.25, 1 / 40),
    ]
    assert rider_rows([(call,)], [(1.0,)], normaliser("grpo"))[0].weight == 1 / 4
    assert rider_rows([(call,)], [(1.0,)], normaliser("dapo"))[0].weight == 1 / 20
    without = lessoned_row(call, (5, 6), -0.5, normaliser("dr_grpo"))
    assert (without.kind, without.prompt_ids, without.behaviour) == ("lessoned", (5, 6), (-1, -1))
    assert (without.advantage, without.weight) == (-0.5, 1 / 40)


def normaliser(loss_type: str) -> Normaliser:
    return Normaliser(loss_type, rows=4, tokens=20, longest=10)


def test_a_text_without_its_lessons_is_shaped_and_masked_and_counts_as_fresh() -> None:
    # w = e^.5 = 1.6487: shaped .9428 each, as a reflective row, but in the term of fresh texts
    loss = loss_of(row("lessoned"), logps=[[-0.5, -0.5]])
    assert loss.episode.item() == pytest.approx(-2 * 1.648721 / 1.748721)
    assert loss.replay.item() == 0
    assert loss.ratios.numel() == 0
    assert loss.lessoned.tolist() == pytest.approx([1.648721] * 2)
    # a token of probability e^-10 < 1e-4 is left out: 1/1.1 remains
    far = loss_of(row("lessoned", behaviour=(-1.0, -10.0)), logps=[[-1.0, -10.0]])
    assert far.episode.item() == pytest.approx(-1 / 1.1)
    # .5 nats of drift: what is bad and unlearnt already needs no further push
    bad = row("lessoned", advantage=-1.0, behaviour=(-1.0, -1.0))
    assert loss_of(bad, logps=[[-2.0, -2.0]]).episode.item() == 0
