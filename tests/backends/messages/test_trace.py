"""Log-probabilities as engines report them."""

import math

import pytest

from quillgraph.backends.errors import ServerFailed
from quillgraph.backends.messages.trace import logprob, sampled_logprobs


def test_rounding_above_zero_is_taken_off() -> None:
    assert sampled_logprobs([-0.5, 2e-7, 1e-3, 0.0], "it") == (-0.5, 0.0, 0.0, 0.0)
    assert logprob(2e-7, "it") == 0.0


@pytest.mark.parametrize("reported", [math.nan, math.inf, -math.inf, 0.0011, 5.0])
def test_what_no_sampled_token_can_have_is_refused_with_its_place(reported: float) -> None:
    with pytest.raises(ServerFailed, match=rf"it: the log-prob of token 1 is {reported}"):
        sampled_logprobs([-0.5, reported], "it")


@pytest.mark.parametrize("reported", [math.nan, math.inf, 5.0])
def test_what_is_no_log_prob_is_refused(reported: float) -> None:
    with pytest.raises(ServerFailed, match=rf"it: expected log-probs of 0 or less, got {reported}"):
        logprob(reported, "it")


def test_a_token_that_could_not_come_has_minus_infinity() -> None:
    assert logprob(-math.inf, "it") == -math.inf
