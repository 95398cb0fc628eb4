"""The record of one finished run: what graphs hand over to training and evaluation."""

import operator
from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from quillgraph.agents.domain import CriteriaSet, Dropped, Value, WritingTask
from quillgraph.agents.judgements import Judgement, Reward
from quillgraph.agents.memory import Lesson
from quillgraph.agents.replies import NOTHING_ASIDE, Aside, ReplyText, is_message, reply_text
from quillgraph.agents.writers import Plan
from quillgraph.backends.calls import CallRecord
from quillgraph.backends.messages import TokenTrace

WAYS = ("task", "request", "messages")
"""Parts of a graph's input that are filled from the task; they may appear in its output too."""


class Attempt(Value):
    """One text of an episode, its judgement, and the decision on it."""

    number: int
    """0 for the first draft."""
    parent: int | None
    """Number of the text that this one revises; None for a draft."""
    text: str
    plan: Plan | None = None
    """The plan of the revision; None for a draft."""
    aside: Aside = Field(default=NOTHING_ASIDE, exclude_if=operator.not_)
    """What its writer's reply held beside the text, such as thinking."""
    lessons: tuple[str, ...] = ()
    """Ids of the lessons in its writer's prompt."""
    excerpts: tuple[str, ...] = ()
    """Ids of the memory entries whose beginnings are in its writer's prompt."""
    judgement: Judgement
    reward: Reward
    delta: float | None = None
    """Change of the reward against the best earlier text; None for a first draft, and where
    either text has no reward."""
    decision: Literal["first", "accepted", "refused", "drawn"]
    """`drawn` for independent drafts, as in best-of-N."""
    reasons: tuple[str, ...] = ()
    """Reasons for a refusal."""
    side: str | None = None
    """Role that wrote it, where several writers compete."""
    trace: TokenTrace | None = None
    """The completion tokens; None where the backend gives none, and where the text is not the
    whole completion of one call."""


class Failure(Value):
    """Why a run gave no result: a counted exclusion, never a reward of zero."""

    kind: Literal[
        "node", "lost keys", "recursion", "budget", "backend", "state", "interrupt", "role", "input"
    ]
    """The cause: a node raised; a node returned keys that the state does not have; too many
    steps; budget spent; a model could not be reached or understood; the state cannot be written
    as JSON; an interrupt of the graph got no answer; no call was made in a trainable role; the
    caller's own function gave no input for the task."""
    reason: str
    node: str | None = None
    """Path of the node, as in `CallRecord.graph`; None where no single node failed."""


class Episode(Value):
    """One finished run of a graph: the only hand-over from graphs to training and evaluation.

    The graphs of this package that write and judge fill in the texts and their judgements
    (`criteria_set` to `learned`); `run_graph` adds for any graph how it ran (`id`
    to `failure`). Values that a graph does not give are absent.
    """

    version: int = 2
    task: WritingTask
    criteria_set: CriteriaSet | None = None
    """None where the graph used none, or did not return it."""
    lessons: tuple[Lesson, ...] = ()
    """Lessons of earlier episodes in the prompts of the writer or the reflector."""
    attempts: tuple[Attempt, ...] = ()
    best: int | None = None
    """Number of the final attempt; None without one."""
    stopped: str
    """Why the run ended."""
    is_complete: bool
    """False where a budget or a failure ended it early."""
    learned: tuple[Lesson, ...] = ()
    """Lessons that this episode added to memory or changed there."""
    dropped: tuple[Dropped, ...] = ()
    id: str | None = None
    """None for an episode that was not run by `run_graph`."""
    graph: str | None = None
    """Name of the graph."""
    trainable: tuple[str, ...] = ()
    """Roles whose calls may become rows for training, in order; all others are frozen."""
    output: dict[str, Any] | None = None
    """The graph's output as JSON, without the fields above; None after a failure."""
    unchanged: tuple[str, ...] = Field(default=(), exclude_if=operator.not_)
    """Parts of the output that the graph was started with and gave back as they were."""
    failure: Failure | None = None
    calls: tuple[CallRecord, ...] = ()
    """The model calls, in the order in which they began."""
    given_up: tuple[int, ...] = ()
    """Numbers of the calls from an attempt at a node that ended in an error or an interrupt. The
    node may have run again; these calls contribute nothing to the output."""

    @model_validator(mode="after")
    def _best_is_one_of_the_attempts(self) -> Self:
        if (self.best is None) != (not self.attempts) or (self.best or 0) not in range(
            max(1, len(self.attempts))
        ):
            raise ValueError(
                f"expected `best` to name one of {len(self.attempts)} attempts, got {self.best}"
            )
        return self


class WrittenEpisode(Episode):
    """An episode whose graph wrote and judged texts; it holds enough to report the whole run."""

    criteria_set: CriteriaSet
    attempts: tuple[Attempt, ...] = Field(min_length=1)
    best: int

    @property
    def standing(self) -> Attempt:
        """The final attempt."""
        return self.attempts[self.best]

    @property
    def text(self) -> str:
        """The final text."""
        return self.standing.text


def best_of(attempts: Iterable[Attempt]) -> Attempt:
    """Choose the attempt with the fewest violations, and among these the one with the best reward.

    An attempt without a reward ranks after all that have one.
    """

    def rank(attempt: Attempt) -> tuple[bool, int, float]:
        value = attempt.reward.value
        return value is None, len(attempt.judgement.violated), -(value or 0.0)

    return min(attempts, key=rank)


def text_of(episode: Episode) -> str | None:
    """The text that a graph wrote, for training, measurement, display and reports.

    Returns:
        The text; None where there is none, for the reason that `reply_of` gives.
    """
    return reply_of(episode).text


def reply_of(episode: Episode) -> ReplyText:
    """The text that a graph wrote, and what its reply held beside it.

    It comes from the first of these that exists:

    1. the final attempt;
    2. the output's `text`;
    3. the last answer of the output's `messages`, where no tool has the last word;
    4. the only string or message of the output, where it has one beside what it was started with.

    Messages come before another string, because a graph returns its whole state unless it declares
    an `output_schema`: next to messages, a single string is more often an option from the input
    than a text.

    Returns:
        What `agents.replies.reply_text` reads of it; without a text, and with the reason, where
        there is none of these, so that only the graph knows what it wrote, or thinking was cut off.
    """
    if episode.best is not None:
        standing = episode.attempts[episode.best]
        return ReplyText(text=standing.text, aside=standing.aside)
    output, request = episode.output or {}, episode.task.request
    if _may_be_text(text := output.get("text")):
        return reply_text(text, request=request)
    said = None
    if isinstance(messages := output.get("messages"), list) and messages:
        said = reply_text(messages, request=request)
        if said.text is not None or said.aside.thinking:
            return said
    inputs = {*WAYS, *episode.unchanged}
    others = [each for name, each in output.items() if name not in inputs and _may_be_text(each)]
    if len(others) == 1:
        return reply_text(others[0], request=request)
    names = ", ".join(output) or "nothing"
    missing = f"no text: the graph gave {names}, and none of these is known for the text"
    return said or ReplyText(text=None, missing=missing)


def _may_be_text(value: Any) -> bool:
    return isinstance(value, str) or is_message(value)


def role_of(call: CallRecord) -> str:
    """The role of a call: the one in its metadata, else its node."""
    return call.role or call.node
