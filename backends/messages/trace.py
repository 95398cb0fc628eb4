"""What an engine read and wrote, token by token."""

import math
import operator
from collections.abc import Iterable
from typing import Protocol, Self

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict, Field, model_validator

from quillgraph.backends.errors import ServerFailed

BASE = "base"
"""Version of the weights of a model without an adapter."""


class TokenTrace(BaseModel):
    """The tokens of one call, exactly as the engine read and wrote them.

    Training reads these ids and never tokenises text again: a decoded and re-encoded reply need
    not have the tokens that were sampled (`peers.md` C1 measures what that does to a run).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None = None
    """Natural log-probability of each completion token under the distribution that it was
    sampled from, after penalty, temperature, min-p, top-p and grammar; None where the engine
    gives none."""
    finish_reason: str
    weights_version: str = BASE
    """Which weights the call was sampled from (`ChatBackend.load_adapter`)."""
    is_bent: bool = Field(default=False, exclude_if=operator.not_)
    """Whether min-p or a repetition penalty changed the draw. The log-probs are then those of the
    changed distribution, not of the policy at any temperature, so no loss may use them."""

    @model_validator(mode="after")
    def _one_logprob_per_token(self) -> Self:
        if self.logprobs is not None and len(self.logprobs) != len(self.completion_ids):
            raise ValueError(
                f"expected one log-prob per completion token, got {len(self.logprobs)} "
                f"for {len(self.completion_ids)} tokens"
            )
        return self


class Tokens(Protocol):
    """The token ids of a call's prompt and completion."""

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """What the engine read."""

    @property
    def completion_ids(self) -> tuple[int, ...]:
        """What it wrote."""


def goes_on(before: Tokens, after: Tokens) -> bool:
    """Whether a call's prompt begins with all the tokens of an earlier call.

    Ids are compared, never text: in a conversation that was tokenised again, the words may be equal
    and the tokens not.
    """
    tokens = before.prompt_ids + before.completion_ids
    return after.prompt_ids[: len(tokens)] == tokens


IMPOSSIBLE = -9999.0
"""Log-probability that servers report for an impossible token, as JSON has no minus infinity."""


ROUNDING = 1e-3
"""Highest log-probability above 0 that counts as rounding. Engines take the log-softmax in float32,
which rounds by less than a hundredth of this; a larger value is an error."""


def logprob(reported: float, where: str) -> float:
    """Check a log-probability of an engine, and remove its rounding.

    Without this check, `min(0.0, nan)` is 0.0: a broken engine's reply would look certain.

    Args:
        reported: The engine's value; minus infinity for an impossible token.
        where: The source of the value, for the error.

    Raises:
        ServerFailed: If the value is no log-probability.
    """
    if reported <= ROUNDING:
        return min(0.0, reported)
    raise ServerFailed(
        f"{where}: expected log-probs of 0 or less, got {reported}: look into its log for overflows"
    )


def sampled_logprobs(reported: Iterable[float], where: str) -> tuple[float, ...]:
    """Check the log-probability of each token of a reply: finite, as the token was sampled.

    Args:
        reported: One for each token, in order.
        where: As for `logprob`.

    Raises:
        ServerFailed: If one is no log-probability of a token that was sampled.
    """
    logprobs = tuple(reported)
    for place, each in enumerate(logprobs):
        if not -math.inf < each <= ROUNDING:
            raise ServerFailed(
                f"{where}: the log-prob of token {place} is {each}; expected a finite number of "
                "0 or less: look into its log for overflows"
            )
    return tuple([min(0.0, each) for each in logprobs])


class Alternative(BaseModel):
    """A token that an engine could have written at one place of its reply."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    """What the token adds to the reply; empty where it ends inside a character."""
    logprob: float
    """Natural log-probability under the distribution that the token was sampled from, as in
    `TokenTrace`, where the engine gives that (`Position`)."""


class Position(BaseModel):
    """One token of a reply, and its alternatives.

    At temperature 0, vLLM and the transformers backend report the distribution at temperature 1
    under the grammar, not a single point. Other servers may report something else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    """Text of the sampled token. Joined, the texts of a reply's tokens begin with the reply, then
    hold what it leaves out: an end token, what a stop string cut off."""
    alternatives: tuple[Alternative, ...]
    """The most probable tokens, most probable first. The sampled token is always among them, even
    if it is improbable; tokens of probability 0 are not."""

    @model_validator(mode="after")
    def _sampled_is_an_alternative(self) -> Self:
        if all(alternative.text != self.text for alternative in self.alternatives):
            raise ValueError(f"expected the sampled token {self.text!r} among its alternatives")
        return self


def position(sampled: Alternative, others: Iterable[Alternative]) -> Position:
    """Sort a sampled token and its alternatives by probability."""
    possible = [other for other in others if other.logprob > IMPOSSIBLE]
    ordered = sorted((sampled, *possible), key=lambda token: -token.logprob)
    return Position(text=sampled.text, alternatives=tuple(ordered))


def trace_of(message: BaseMessage) -> TokenTrace | None:
    """Read the trace that a native backend left on its message; None if there is none."""
    raw = message.response_metadata.get("token_trace")
    return None if raw is None else TokenTrace.model_validate(raw)


def alternatives_of(message: BaseMessage) -> tuple[Position, ...] | None:
    """Read the alternatives to each completion token, in order, off a native backend's message.

    None if the call did not ask for any (`top_logprobs`), or the model is a foreign one.
    """
    raw = message.response_metadata.get("alternatives")
    return None if raw is None else tuple(Position.model_validate(each) for each in raw)
