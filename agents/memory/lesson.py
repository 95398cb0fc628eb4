"""Values of the memory: its entries, the lessons, and the data that lessons are drawn from."""

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from quillgraph.agents.checks.language import DEFAULT, language_in_script
from quillgraph.agents.domain import Value
from quillgraph.agents.text.language import CJK, is_cjk

LEAST_LESSON_CHARS, MOST_LESSON_CHARS = 4, 200
"""Fewest and most characters of a condition, and of a strategy. The upper limit is from
`ALGORITHM.md` 6.4, injection hygiene."""

WORD_CHARS = 2
"""Chinese or Japanese characters that count as a word; a Chinese word has 1.6 on average."""

TOKEN = re.compile(rf"{CJK.pattern}|(?:(?!{CJK.pattern})[^\W_])+")
"""Matches a word, or a single Chinese or Japanese character."""


Words = Annotated[
    str, StringConstraints(min_length=LEAST_LESSON_CHARS, max_length=MOST_LESSON_CHARS)
]


class Lesson(Value):
    """Advice for later texts: what to do, or to avoid, under which condition."""

    id: str
    condition: Words
    """Starts with "When" or a similar word."""
    strategy: Words
    polarity: Literal["do", "avoid"]
    criteria: tuple[str, ...] = Field(min_length=1)
    """Names of the criteria that the lesson is about."""
    genre: str
    language: str
    support: int = Field(default=1, ge=0)
    """Number of episodes that it was drawn from or confirmed by."""
    uses: int = Field(default=0, ge=0)
    """Number of revisions with it in the prompt."""
    gain: float = 0.0
    """Sum of the reward changes of those revisions."""
    last_used: str = ""
    """Time of the last use, ISO 8601; empty before the first."""
    confirmed: str = ""
    """Time when an episode last added or confirmed it, ISO 8601."""

    @property
    def text(self) -> str:
        """The lesson as a prompt shows it."""
        return _as_text(self.condition, self.polarity, self.strategy)


class MemoryEntry(Value):
    """One text of an episode, with its request, scores and reward (`ALGORITHM.md` 6.1)."""

    id: str
    request_hash: str
    request: str
    genre: str
    language: str
    criteria_sha: str
    kind: Literal["success", "error", "revision"]
    """`success`: the final text. `error`: a text that was rolled back or breaks a demand.
    `revision`: any other text."""
    context_kind: Literal["bare", "reflective"]
    """`bare`: written from the request alone. `reflective`: with a plan, lessons or excerpts."""
    parent_id: str | None
    text: str
    scores: dict[str, float]
    """Score of each criterion, by name."""
    reward: float | None
    delta: float | None
    """Change of the reward from the parent's; None for a first draft."""
    critique: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    lessons: tuple[str, ...] = ()
    """Ids of the lessons in its prompt."""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Log-probabilities of its tokens under the policy that wrote it, given its prompt."""
    weights: str | None = None
    """Version of the weights of that policy."""
    created: str
    """Time, ISO 8601."""


class Operation(Value):
    """One change to a pool of lessons."""

    operation: Literal["ADD", "UPDATE", "DELETE", "NONE"]
    id: str | None = None
    """Id of the lesson to update, delete or leave; None for a new one."""
    condition: str = ""
    strategy: str = ""
    polarity: Literal["do", "avoid"] = "do"
    criteria: tuple[str, ...] = ()
    """Names of the criteria that the lesson is about."""

    @property
    def text(self) -> str:
        """The resulting lesson, as a prompt shows it."""
        return _as_text(self.condition, self.polarity, self.strategy)


class Fate(Value):
    """One revision, with what a consolidator may know of it."""

    accepted: bool
    delta: float | None
    """Change of the reward; None if either reward is missing."""
    before: dict[str, float] = Field(default_factory=dict)
    """Scores of the text before the revision, by criterion name."""
    after: dict[str, float] = Field(default_factory=dict)
    """Scores of the revision, by criterion name."""
    critique: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()


class Contrast(Value):
    """What a consolidator may know of an episode: scores, critiques and plans, but no text."""

    criteria: tuple[str, ...] = Field(min_length=1)
    """Names of the criteria."""
    best: dict[str, float]
    """Scores of the best text, by criterion name."""
    worst: dict[str, float]
    """Scores of the worst text, by criterion name."""
    revisions: tuple[Fate, ...] = ()


class Recalled(Value):
    """Lessons and texts that the memory recalls for a request."""

    lessons: tuple[Lesson, ...] = ()
    """The most relevant one first."""
    success: MemoryEntry | None = None
    """The final text of a similar request."""
    error: MemoryEntry | None = None
    """A text for a similar request that was rolled back or breaks a demand."""


def weight(token: str) -> int:
    """Weight of a token, in Chinese characters."""
    return 1 if CJK.match(token) else WORD_CHARS


def _as_text(condition: str, polarity: str, strategy: str) -> str:
    turns = language_in_script(DEFAULT, by_characters=is_cjk(strategy)).templates.lesson_turns
    return f"{condition}{turns.colon}{'' if polarity == 'do' else turns.avoid}{strategy}"
