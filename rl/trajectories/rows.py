"""The trainable form of an episode: rows of exact tokens that share one reward."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from quillgraph.agents.domain import Value
from quillgraph.agents.judgements import Reward
from quillgraph.agents.replies import NOTHING_ASIDE, Aside
from quillgraph.backends.calls import CallRecord, is_exact, used_calls
from quillgraph.backends.errors import InputError
from quillgraph.graphs.episodes import Episode, WrittenEpisode, reply_of, role_of

_FORMER_COUNTS = ("merged", "forks")

_SERVES = TypeAdapter(dict[str, tuple[str, ...]])


class Row(Value):
    """Exact tokens of one model call, and the place of the call in the graph.

    A loss reads rows. A call without token ids or log-probs cannot become a row.
    """

    prompt_ids: tuple[int, ...] = Field(min_length=1)
    completion_ids: tuple[int, ...] = Field(min_length=1)
    logprobs: tuple[float, ...]
    """Log-probability of each completion token under the distribution it was sampled from."""
    mask: tuple[bool, ...]
    """Which completion tokens the policy wrote; a loss ignores the others."""
    graph: str
    node: str
    visit: int
    calls: tuple[int, ...] = Field(min_length=1)
    """Numbers of the calls in the row."""
    role: str | None
    weights_version: str = "base"
    """Version of the weights that the tokens were sampled from."""
    reply: str = ""
    """The completion as text."""

    @model_validator(mode="after")
    def _one_of_each_per_token(self) -> Self:
        length = len(self.completion_ids)
        if len(self.logprobs) != length or len(self.mask) != length:
            raise ValueError(
                f"expected a log-prob and a mask for each of {length} completion tokens, got "
                f"{len(self.logprobs)} and {len(self.mask)}"
            )
        return self


class RowCount(Value):
    """Counts of the calls in the trainable roles.

    A rising share of missing ones shows that a graph or a backend has changed.
    """

    rows: int = 0
    missing: int = 0
    """Answered calls without token ids or log-probs of the model's own distribution, such as calls
    sampled with min-p or a penalty."""
    given_up: int = 0
    """Calls whose reply the graph dropped: it could not be parsed and the call was repeated, or its
    node was retried."""

    @model_validator(mode="before")
    @classmethod
    def _reads_older_counts(cls, raw: Any) -> Any:
        # older checkpoints hold two counts that were always 0 (`rollouts/ahead`)
        if not isinstance(raw, dict):
            return raw
        return {name: value for name, value in raw.items() if name not in _FORMER_COUNTS}


class Trajectory(Value):
    """All trainable rows of one episode, with its reward.

    `reward` is None where it is missing; `excluded` then says why. An excluded trajectory is
    counted and never trained on.
    """

    episode: str
    """Id of the episode."""
    request_hash: str
    criteria_sha: str | None
    rows: tuple[Row, ...]
    reward: Reward | None
    excluded: str | None = None
    count: RowCount = RowCount()
    text: str | None = None
    """What the graph gave as its text, which the reward is of; None where no graph was run: then it
    is the text of what the last row says. A graph that gave none is excluded."""
    aside: Aside = NOTHING_ASIDE
    """What the graph's reply held beside the text, such as thinking."""
    lead: int = -1
    """Index of the row that wrote the text, which a trainer uses as the completion; -1, the last
    row, where no row wrote it alone."""
    serves: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Node to the criteria that it serves, from the graph's output `serves`."""

    lessons: tuple[str, ...] | None = None
    """Ids of the lessons in the prompt of the text; None in a run without lessons."""

    @property
    def is_bare(self) -> bool:
        """Whether its text was written under the bare prompt of the dataset."""
        return not self.lessons and all(not row.graph for row in self.rows)

    @property
    def leading(self) -> Row:
        """The leading row; there has to be one."""
        return self.rows[self.lead]

    @property
    def riders(self) -> tuple[Row, ...]:
        """The rows other than the leading one."""
        lead = self.lead % max(1, len(self.rows))
        return tuple(row for place, row in enumerate(self.rows) if place != lead)


def trajectory(episode: Episode, reward: Reward | None = None) -> Trajectory:
    """Read an episode as rows for training.

    Each call in a trainable role is a row of its own, as graphs rewrite prompts between calls.

    Args:
        episode: An episode of `graphs.run_graph`.
        reward: Reward of the episode; None takes the reward of its final text.

    Returns:
        The trajectory; `excluded` if the episode failed, has no reward, or has no row.

    Raises:
        InputError: If the episode does not come from `run_graph`, so that its calls are unknown.
    """
    if episode.id is None:
        raise InputError(
            "expected an episode of run_graph, got one without an id: the calls that a graph made "
            "are known only if run_graph ran it"
        )
    given_up = set(episode.given_up)
    answered_calls = [
        call
        for call in episode.calls
        if call.reply is not None and role_of(call) in episode.trainable
    ]
    numbers = {call.call for call in used_calls(episode.calls)} - given_up
    kept_calls = [call for call in answered_calls if call.call in numbers]
    rows = rows_of(kept_calls)
    worth = reward if reward is not None else _standing_reward(episode)
    reply = reply_of(episode)
    count = RowCount(
        rows=len(rows),
        missing=len(kept_calls) - len(rows),
        given_up=len(answered_calls) - len(kept_calls),
    )
    return Trajectory(
        episode=episode.id,
        request_hash=episode.task.request_hash,
        criteria_sha=episode.criteria_set.sha256 if episode.criteria_set else None,
        rows=rows,
        reward=worth,
        excluded=_exclusion(episode, worth, count),
        count=count,
        text=reply.text,
        aside=reply.aside,
        lead=_lead(rows, reply.text),
        serves=_serves_of(episode.output or {}),
    )


def row_of(record: CallRecord) -> Row | None:
    """Read a call as a row.

    None where the backend returned no ids or no log-probs, or where the log-probs are not those of
    the model's own distribution at a temperature and top-p, such as with min-p or a penalty.
    """
    trace = record.trace
    if trace is None or trace.logprobs is None or trace.is_bent or not is_exact(record):
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
        role=role_of(record),
        weights_version=trace.weights_version,
        reply=record.reply or "",
    )


def rows_of(records: Iterable[CallRecord]) -> tuple[Row, ...]:
    """Read calls as rows, leaving out those without exact tokens."""
    return tuple(row for record in records if (row := row_of(record)) is not None)


def _lead(rows: Sequence[Row], text: str | None) -> int:
    """Index of the latest row whose reply has the whole text, ignoring white space; else -1."""
    target = " ".join((text or "").split())
    places = [place for place, row in enumerate(rows) if target in " ".join(row.reply.split())]
    return places[-1] if target and places else -1


def _serves_of(output: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The graph's output `serves`; empty where it does not map nodes to criteria."""
    try:
        return _SERVES.validate_python(output.get("serves", {}))
    except ValidationError:
        return {}


def _standing_reward(episode: Episode) -> Reward | None:
    return episode.standing.reward if isinstance(episode, WrittenEpisode) else None


def _exclusion(episode: Episode, reward: Reward | None, count: RowCount) -> str | None:
    """Why an episode cannot be trained on; None if it can."""
    if episode.failure:
        return f"{episode.failure.kind}: {episode.failure.reason}"
    if not count.rows:
        return (
            f"tokens: none of {count.missing} calls in a trainable role has token ids and "
            "log-probs of the model's own distribution"
            if count.missing
            else "role: no answered call in a trainable role"
        )
    if reward is None:
        return "reward: the graph returned none"
    if reward.value is None:
        return f"reward: no verdict on {', '.join(reward.excluded) or 'any active criterion'}"
    return None
