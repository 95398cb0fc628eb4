"""Verdicts on a text, the judgement they form and its reward (`ALGORITHM.md` 6.3)."""

import hashlib
from typing import Annotated

from pydantic import Field, model_validator

from quillgraph.agents.domain import LEVELS, Criterion, Value
from quillgraph.agents.reply import NO_BOOLEAN

GATE = "gate"
"""Listed among the ids of broken criteria when the gate refused the text before a judge."""

CODE = "code"
"""Name of the judge where no judge was asked and code alone checked the text."""

Points = Annotated[float, Field(ge=1, le=10), NO_BOOLEAN]
"""A score on the ten-point scale; the median of several judges need not be whole."""


def text_hash(text: str) -> str:
    """SHA-256 of a text, in hexadecimal digits: how a judgement identifies its text."""
    return hashlib.sha256(text.encode()).hexdigest()


def unit(score: float) -> float:
    """Scale a score from 1 to 10 to the range from 0 to 1."""
    return (score - 1) / 9


BEST_SCORE = 10


def band_of(score: float) -> str:
    """The band of `LEVELS` that a score lies in."""
    return LEVELS[(int(score) - 1) // 2]


class Verdict(Value):
    """The score of a text on one soft or pitfall criterion, and what it rests on."""

    criterion_id: str
    score: Points
    """Median of `votes`."""
    votes: tuple[Points, ...] = Field(min_length=1)
    """Score of each judge, or of each sample of one judge; capped where it cited nothing."""
    evidence: str | None = None
    """Id of the cited sentence, such as `s3`; None where none was cited."""
    quote: str | None = None
    """That sentence, verbatim."""
    reason: str = ""


class Violation(Value):
    """A hard criterion that the text breaks, as code decided."""

    criterion_id: str
    reason: str


class Missing(Value):
    """A criterion without a readable verdict, or without a text to judge. It is not a zero."""

    criterion_id: str
    reason: str


class Judgement(Value):
    """All verdicts and violations of one text under one frozen set of criteria."""

    criteria_sha: str
    """The scores hold under this set of criteria and no other."""
    text_sha: str
    judge: str
    gate: str | None = None
    """Why the gate refused the text before a judge was asked; None if it passed."""
    verdicts: tuple[Verdict, ...] = ()
    violations: tuple[Violation, ...] = ()
    missing: tuple[Missing, ...] = ()

    @property
    def scores(self) -> dict[str, float]:
        """Criterion id to score."""
        return {verdict.criterion_id: verdict.score for verdict in self.verdicts}

    @property
    def violated(self) -> frozenset[str]:
        """Ids of the broken hard criteria, and `GATE` if the gate refused the text."""
        broken = {violation.criterion_id for violation in self.violations}
        return frozenset(broken | {GATE} if self.gate else broken)

    @model_validator(mode="after")
    def _no_verdict_on_a_text_turned_away(self) -> "Judgement":
        if self.gate and self.verdicts:
            raise ValueError(
                f"expected no verdicts on a text that the gate refused ({self.gate}), got "
                f"{len(self.verdicts)}"
            )
        return self


class Reward(Value):
    """One number for a text, with the parts that it is made of.

    `value` is None where a verdict that counts is missing: an unread verdict is not a zero.
    """

    value: float | None
    soft: float | None
    """Weighted mean of the active verdicts, from 0 to 1 (`ALGORITHM.md` 6.3.3)."""
    length: float | None
    """Length term; None where no length is asked for, and its weight goes to `soft`."""
    repetition: float
    hard: float | None = None
    """How nearly the hard criteria are kept, from 0 to 1 (`satisfied_share`); None where it is not
    part of the reward."""
    violations: tuple[str, ...] = ()
    """Ids of the broken hard criteria, and `GATE` if the gate refused the text. They cost nothing
    here: see `rl.rewards.group`."""
    excluded: tuple[str, ...] = ()
    """Ids of active criteria without a verdict."""
    inactive: tuple[str, ...] = ()
    """Ids of criteria that rubric dropout left out."""


def judged(criteria: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
    """The criteria that a judge scores: hard ones are left to code."""
    return tuple(criterion for criterion in criteria if criterion.kind != "hard")


def checked(criteria: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
    """The criteria that code checks."""
    return tuple(criterion for criterion in criteria if criterion.kind == "hard")
