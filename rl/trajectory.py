"""The trainable form of an episode: rows of exact tokens, and the one reward they share."""

from collections.abc import Iterable
from typing import Self

from pydantic import Field, model_validator

from quillgraph.agents.domain import Value
from quillgraph.agents.judgements import Reward
from quillgraph.backends.records import CallRecord
from quillgraph.backends.traces import TokenTrace


class Row(Value):
    """Tokens of one model call as the engine saw them, and where in the graph it was made.

    A row is what a loss reads. One without token ids or log-probs cannot be made.
    """

    prompt_ids: tuple[int, ...] = Field(min_length=1)
    completion_ids: tuple[int, ...] = Field(min_length=1)
    logprobs: tuple[float, ...]
    """Log-probability of each completion token under the distribution it was sampled from."""
    mask: tuple[bool, ...]
    """Which completion tokens the policy wrote. The others came from outside, between merged
    calls; no loss may touch them."""
    graph: str
    node: str
    visit: int
    calls: tuple[int, ...] = Field(min_length=1)
    """Numbers of the calls that the row is made of: one, unless calls were merged on an exact
    token prefix."""
    role: str | None
    weights_version: str = "base"
    """Version of the weights that the tokens were sampled from."""

    @model_validator(mode="after")
    def _one_of_each_per_token(self) -> Self:
        length = len(self.completion_ids)
        if len(self.logprobs) != length or len(self.mask) != length:
            raise ValueError(
                f"expected a log-prob and a mask for each of {length} completion tokens, got "
                f"{len(self.logprobs)} and {len(self.mask)}"
            )
        return self


class Trajectory(Value):
    """All trainable rows of one episode, with its reward.

    `reward` is None where none could be had; `excluded` then says why. An excluded trajectory is
    counted and never trained on.
    """

    episode: str
    """Id of the episode."""
    request_hash: str
    criteria_sha: str | None
    rows: tuple[Row, ...]
    reward: Reward | None
    excluded: str | None = None


def row_of(record: CallRecord) -> Row | None:
    """Read a call as a row; None where the backend gave no ids or no log-probs."""
    trace: TokenTrace | None = record.trace
    if trace is None or trace.logprobs is None or not trace.completion_ids:
        return None
    return Row(
        prompt_ids=trace.prompt_ids,
        completion_ids=trace.completion_ids,
        logprobs=trace.logprobs,
        mask=(True,) * len(trace.completion_ids),
        graph=record.graph,
        node=record.node,
        visit=record.visit,
        calls=(record.call,),
        role=record.role,
        weights_version=trace.weights_version,
    )


def rows_of(records: Iterable[CallRecord]) -> tuple[Row, ...]:
    """Read calls as rows, leaving out those without exact tokens."""
    return tuple(row for record in records if (row := row_of(record)) is not None)
