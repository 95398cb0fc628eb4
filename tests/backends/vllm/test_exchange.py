"""What vLLM answered, in our terms."""

import math
from types import SimpleNamespace

import pytest

from quillgraph.backends.chat import ChatRequest, ChatTurn
from quillgraph.backends.errors import ServerFailed
from quillgraph.backends.vllm.exchange import completion_from_output


def output(sampled: float, other: float) -> SimpleNamespace:
    """One token, 5, of which vLLM says `sampled`, and 6, of which it says `other`."""
    step = {
        5: SimpleNamespace(logprob=sampled, decoded_token="a"),
        6: SimpleNamespace(logprob=other, decoded_token="b"),
    }
    reply = SimpleNamespace(token_ids=[5], logprobs=[step], text="a", finish_reason="stop")
    return SimpleNamespace(outputs=[reply], num_cached_tokens=0)


REQUEST = ChatRequest(
    messages=(ChatTurn(role="user", content="Hi"),),
    temperature=1.0,
    top_p=1.0,
    max_tokens=4,
    top_logprobs=2,
)


def test_rounding_is_taken_off_and_what_cannot_come_is_left_out() -> None:
    completion = completion_from_output(REQUEST, (1, 2), output(1e-7, -math.inf), "base")
    assert completion.trace is not None
    assert completion.trace.logprobs == (0.0,)
    assert completion.alternatives is not None
    assert [each.text for each in completion.alternatives[0].alternatives] == ["a"]


@pytest.mark.parametrize("pair", [(math.nan, -1.0), (-1.0, math.nan), (5.0, -1.0)])
def test_an_engine_that_has_overflowed_is_an_error_and_no_certain_token(
    pair: tuple[float, float],
) -> None:
    with pytest.raises(ServerFailed, match=r"the vLLM engine: .* 0 or less|got nan"):
        completion_from_output(REQUEST, (1, 2), output(*pair), "base")
