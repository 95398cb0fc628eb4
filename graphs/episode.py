"""The record of one finished run: what graphs hand over to training and evaluation."""

from typing import Literal

from pydantic import Field

from quillgraph.agents.domain import CriteriaSet, Dropped, Value, WritingTask
from quillgraph.agents.judgements import Judgement, Reward
from quillgraph.agents.lessons import Lesson
from quillgraph.agents.reflecting import Plan
from quillgraph.backends.traces import TokenTrace


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
    trace: TokenTrace | None = None
    """The tokens that its writer wrote; None where the backend gives none, and where the text is
    not all that was written in one call."""


class Episode(Value):
    """One run from the request to the text that stands; enough to tell it again."""

    version: int = 1
    task: WritingTask
    criteria_set: CriteriaSet
    lessons: tuple[Lesson, ...] = ()
    """Lessons of earlier episodes that were shown to the writer or the reflector."""
    attempts: tuple[Attempt, ...] = Field(min_length=1)
    best: int
    """Number of the attempt that stands."""
    stopped: str
    """Why the loop ended."""
    is_complete: bool
    """False where a budget ended it early."""
    learned: tuple[Lesson, ...] = ()
    """Lessons that this episode added to memory or changed there."""
    dropped: tuple[Dropped, ...] = ()

    @property
    def text(self) -> str:
        """The text that stands."""
        return self.attempts[self.best].text
