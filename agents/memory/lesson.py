"""What an episode leaves to the next ones: entries of memory, and lessons drawn from them."""

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from quillgraph.agents.checks.language import DEFAULT, language_in_script
from quillgraph.agents.domain import Value
from quillgraph.agents.text.language import CJK, is_cjk

LEAST_LESSON_CHARS, MOST_LESSON_CHARS = 4, 200
"""Of a condition and of a strategy; the most: `ALGORITHM.md` 6.4, injection hygiene."""

WORD_CHARS = 2
"""Chinese or Japanese characters that count for a word; 1.6 of them make a Chinese one."""

TOKEN = re.compile(rf"{CJK.pattern}|(?:(?!{CJK.pattern})[^\W_])+")
"""A word, or a Chinese or Japanese character, which stands alone."""


Words = Annotated[
    str, StringConstraints(min_length=LEAST_LESSON_CHARS, max_length=MOST_LESSON_CHARS)
]


class Lesson(Value):
    """Advice that holds beyond one text: under which condition to do, or avoid, what."""

    id: str
    condition: Words
    """Begins with "When" or its like."""
    strategy: Words
    polarity: Literal["do", "avoid"]
    criteria: tuple[str, ...] = Field(min_length=1)
    """Names of the criteria that it is about."""
    genre: str
    language: str
    support: int = Field(default=1, ge=0)
    """Episodes that it was drawn from or confirmed by."""
    uses: int = Field(default=0, ge=0)
    """Revisions that were made with it."""
    gain: float = 0.0
    """Sum of the changes of reward in those revisions."""
    last_used: str = ""
    """Time of the last use, ISO 8601; empty before the first."""
    confirmed: str = ""
    """Time when it was last drawn from an episode, ISO 8601."""

    @property
    def text(self) -> str:
        """The lesson as a prompt shows it."""
        return _as_text(self.condition, self.polarity, self.strategy)


class MemoryEntry(Value):
    """One text of an episode, with what it was given for (`ALGORITHM.md` 6.1)."""

    id: str
    request_hash: str
    request: str
    genre: str
    language: str
    criteria_sha: str
    kind: Literal["success", "error", "revision"]
    """Final text, attempt that was rolled back, or text that was revised further."""
    context_kind: Literal["bare", "reflective"]
    """Whether it was written from the request alone, or with a plan and the text before it."""
    parent_id: str | None
    text: str
    scores: dict[str, float]
    """Criterion name to score."""
    reward: float | None
    delta: float | None
    """Change of reward against the parent; None for a first draft."""
    critique: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    lessons: tuple[str, ...] = ()
    """Ids of the lessons that it was written with."""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Log-probabilities of the policy that wrote it, in the context it was written in."""
    weights: str | None = None
    """Version of the weights that wrote it."""
    created: str
    """Time, ISO 8601."""


class Operation(Value):
    """One change to a pool of lessons."""

    operation: Literal["ADD", "UPDATE", "DELETE", "NONE"]
    id: str | None = None
    """Of the lesson that is updated, deleted or left; None for a new one."""
    condition: str = ""
    strategy: str = ""
    polarity: Literal["do", "avoid"] = "do"
    criteria: tuple[str, ...] = ()
    """Names of the criteria that the lesson is about."""

    @property
    def text(self) -> str:
        """The lesson that results, as a prompt shows it."""
        return _as_text(self.condition, self.polarity, self.strategy)


class Fate(Value):
    """One revision, as far as a consolidator may know it."""

    accepted: bool
    delta: float | None
    """Change of reward; None where it could not be read."""
    before: dict[str, float] = Field(default_factory=dict)
    """Criterion name to score of the text that was revised."""
    after: dict[str, float] = Field(default_factory=dict)
    """Criterion name to score of the revision."""
    critique: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()


class Contrast(Value):
    """What a consolidator sees of an episode: scores and critiques, no text."""

    criteria: tuple[str, ...] = Field(min_length=1)
    """Names of the criteria."""
    best: dict[str, float]
    """Criterion name to score of the best text."""
    worst: dict[str, float]
    """Criterion name to score of the worst text."""
    revisions: tuple[Fate, ...] = ()


class Recalled(Value):
    """What memory recalls for a request."""

    lessons: tuple[Lesson, ...] = ()
    """The most fitting first."""
    success: MemoryEntry | None = None
    """A text for a similar request that stands."""
    error: MemoryEntry | None = None
    """An attempt at a similar request that was rolled back."""


def weight(token: str) -> int:
    """Weight of a token, in Chinese characters."""
    return 1 if CJK.match(token) else WORD_CHARS


def _as_text(condition: str, polarity: str, strategy: str) -> str:
    turns = language_in_script(DEFAULT, by_characters=is_cjk(strategy)).templates.lesson_turns
    return f"{condition}{turns.colon}{'' if polarity == 'do' else turns.avoid}{strategy}"
