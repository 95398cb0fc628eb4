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
"""Parts of a graph's input that are filled from the task; a graph may give them out again."""


class Attempt(Value):
    """One text of an episode, what was found of it, and what became of it."""

    number: int
    """0 for the first draft."""
    parent: int | None
    """Number of the text that this one revises; None for a draft."""
    text: str
    plan: Plan | None = None
    """What the revision was to do; None for a draft."""
    aside: Aside = Field(default=NOTHING_ASIDE, exclude_if=operator.not_)
    """What its writer's reply held beside the text, such as thinking."""
    lessons: tuple[str, ...] = ()
    """Ids of the lessons that its writer was shown."""
    excerpts: tuple[str, ...] = ()
    """Ids of the entries of memory whose beginnings its writer was shown."""
    judgement: Judgement
    reward: Reward
    delta: float | None = None
    """Change of the reward against the best text before; None for a first draft, and where
    either has no reward."""
    decision: Literal["first", "accepted", "refused", "drawn"]
    """`drawn` where drafts stand side by side, as in best-of-N."""
    reasons: tuple[str, ...] = ()
    """Why it was refused."""
    side: str | None = None
    """Role that wrote it, where several write against each other."""
    trace: TokenTrace | None = None
    """The tokens that its writer wrote; None where the backend gives none, and where the text is
    not all that was written in one call."""


class Failure(Value):
    """Why a run gave no result: an exclusion that is counted, never a reward of zero."""

    kind: Literal[
        "node", "lost keys", "recursion", "budget", "backend", "state", "interrupt", "role", "input"
    ]
    """What gave way: a node raised; a node returned keys that the state does not have; too many
    steps; budget spent; a model could not be reached or understood; the state cannot be written
    as JSON; a question of the graph found no answer; no call was made in a trainable role; the
    caller's own function gave no input for the task."""
    reason: str
    node: str | None = None
    """Path of the node, as in `CallRecord.graph`; None where it was no single one."""


class Episode(Value):
    """One finished run of a graph: the only hand-over from graphs to training and evaluation.

    The graphs of this package that write and judge fill in what became of the text
    (`criteria_set` to `learned`); `run_graph` adds for any graph how it ran (`id`
    to `failure`). What a graph has not given is absent.
    """

    version: int = 2
    task: WritingTask
    criteria_set: CriteriaSet | None = None
    """None where the graph used none, or gave none out."""
    lessons: tuple[Lesson, ...] = ()
    """Lessons of earlier episodes that were shown to the writer or the reflector."""
    attempts: tuple[Attempt, ...] = ()
    best: int | None = None
    """Number of the attempt that stands; None where there is none."""
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
    """The graph's output as JSON, without what stands in the fields above; None after a failure."""
    unchanged: tuple[str, ...] = Field(default=(), exclude_if=operator.not_)
    """Parts of the output that the graph was started with and gave back as they were."""
    failure: Failure | None = None
    calls: tuple[CallRecord, ...] = ()
    """The model calls, in the order in which they were asked for."""
    given_up: tuple[int, ...] = ()
    """Numbers of the calls made in a try of a node that ended in an error or an interrupt. The
    node may have been run again; nothing in the output comes of these."""

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
    """An episode whose graph wrote and judged texts; enough to tell it again."""

    criteria_set: CriteriaSet
    attempts: tuple[Attempt, ...] = Field(min_length=1)
    best: int

    @property
    def standing(self) -> Attempt:
        """The attempt that stands."""
        return self.attempts[self.best]

    @property
    def text(self) -> str:
        """The text that stands."""
        return self.standing.text


def best_of(attempts: Iterable[Attempt]) -> Attempt:
    """The judged attempt with the fewest violations, and of these the one with the best reward.

    One without a reward comes after all that have one.
    """

    def rank(attempt: Attempt) -> tuple[bool, int, float]:
        value = attempt.reward.value
        return value is None, len(attempt.judgement.violated), -(value or 0.0)

    return min(attempts, key=rank)


def text_of(episode: Episode) -> str | None:
    """The text that a graph wrote: what is trained on, measured, shown and reported.

    Returns:
        The text; None where there is none, for the reason that `reply_of` gives.
    """
    return reply_of(episode).text


def reply_of(episode: Episode) -> ReplyText:
    """The text that a graph wrote, and what stood beside it.

    It is of the first of these that there is:

    1. the attempt that stands;
    2. the output's `text`;
    3. the last answer of the output's `messages`, where no tool has the last word;
    4. the only string or message of the output, where it has one beside what it was started with.

    Messages come before another string, as a graph gives out its whole state unless it declares an
    `output_schema`: beside messages, a lone string is more often an option that the graph was
    started with than a text.

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
    """The role that a call was made in: the one it was marked with, or else its node."""
    return call.role or call.node
