"""The record of one finished run: what graphs hand over to training and evaluation."""

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from quillgraph.agents.domain import CriteriaSet, Dropped, Value, WritingTask
from quillgraph.agents.judgements import Judgement, Reward
from quillgraph.agents.memory import Lesson
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


class Question(Value):
    """What a graph asked by `interrupt`, and nobody answered."""

    id: str
    """LangGraph's id of it, by which it can be answered when the run goes on."""
    node: str
    """Path of the node that asks."""
    value: Any
    """What it asks, as JSON."""


class Failure(Value):
    """Why a run gave no result: an exclusion that is counted, never a reward of zero."""

    kind: Literal[
        "node", "lost keys", "recursion", "budget", "backend", "state", "interrupt", "role",
        "input", "unheard",
    ]  # fmt: skip
    """What gave way: a node raised; a node returned keys that the state does not have; too many
    steps; budget spent; a model could not be reached or understood; the state cannot be written
    as JSON; nodes wait, for an answer or at a breakpoint; no call was made in a trainable role;
    the caller's own function gave no input for the task; a call was made that may be the run's and
    could not be assigned to it."""
    reason: str
    node: str | None = None
    """Path of the node, as in `CallRecord.graph`; None where it was no single one."""
    questions: tuple[Question, ...] = ()
    """The questions that are open, of a run that waits for answers."""


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

    The first of these that there is:

    1. the attempt that stands;
    2. the output's `text`;
    3. the last of the output's `messages`, unless it is a tool's;
    4. the only string of the output, where it has one beside the request.

    Messages come before another string, as a graph gives out its whole state unless it declares an
    `output_schema`: beside messages, a lone string is more often an option that the graph was
    started with than a text.

    Returns:
        The text; None where there is none of these, so that only the graph knows what it wrote.
    """
    if episode.best is not None:
        return episode.attempts[episode.best].text
    output = episode.output or {}
    if isinstance(text := output.get("text"), str):
        return text
    if (text := _last_message(output.get("messages"))) is not None:
        return text
    strings = [each for name, each in output.items() if isinstance(each, str) and name not in WAYS]
    return strings[0] if len(strings) == 1 else None


def _last_message(messages: Any) -> str | None:
    """The text of the last message, a string or blocks; None where a tool has the last word."""
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or last.get("type") == "tool":
        return None
    content = last.get("content")
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    texts = [each.get("text") if isinstance(each, dict) else each for each in content]
    return "".join(each for each in texts if isinstance(each, str))


def role_of(call: CallRecord) -> str:
    """The role that a call was made in: the one it was marked with, or else its node."""
    return call.role or call.node
