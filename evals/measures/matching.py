"""Matches automatic criteria with people's: matched recall.

Candidate pairs have near embeddings. Each criterion matches at most one of the other side, so that
one broad criterion cannot match all. If there is a judge, it must confirm each match.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from langchain_core.embeddings import Embeddings

from quillgraph.agents.domain import Criterion, Value
from quillgraph.agents.grounded_theory import Pair, agreed, ask_sameness
from quillgraph.agents.role import Role
from quillgraph.backends.embeddings import vectors
from quillgraph.backends.errors import BackendError
from quillgraph.evals.extra import from_extra

NEAR = 0.5
"""Cosine from which two criteria may be the same: with MiniLM, unrelated English sentences lie
at .41 or less (LOG.md 2026-11-23)."""


class WordedCriterion(Value):
    """A criterion in words, whoever wrote it."""

    name: str
    description: str

    @property
    def as_text(self) -> str:
        """The text to embed and compare; omits a name that only repeats the description's start."""
        if self.description.startswith(self.name):
            return self.description
        return f"{self.name}. {self.description}"


def wordings(criteria: Sequence[Criterion]) -> list[WordedCriterion]:
    """Criteria in the words by which they are compared."""
    return [WordedCriterion(name=each.name, description=each.description) for each in criteria]


Confirm = Callable[[WordedCriterion, WordedCriterion], Awaitable[bool | None]]
"""Says whether two criteria ask for the same; None if the reply is unreadable."""


def confirmed_by(role: Role) -> Confirm:
    """Ask a judge whether two criteria are the same."""

    async def confirm(automatic: WordedCriterion, human: WordedCriterion) -> bool | None:
        wordings = {
            "a": (automatic.name, automatic.description),
            "h": (human.name, human.description),
        }
        try:
            answers = await ask_sameness([Pair("p1", "a", "h")], wordings, role, "matching")
        except BackendError:
            return None
        return bool(agreed(answers)) if answers.items else None

    return confirm


class Match(Value):
    """An automatic and a human criterion that ask for the same."""

    automatic: int
    """Place in the list."""
    human: int
    cosine: float


class Overlap(Value):
    """Overlap of two lists of criteria."""

    automatic: int
    human: int
    matches: tuple[Match, ...]
    refused: int = 0
    """Near pairs that the judge rejected as different."""
    unread: int = 0
    """Near pairs on which the judge's reply is unreadable; they do not match."""

    @property
    def recall(self) -> float | None:
        """Share of the human criteria that are matched; None if there are none."""
        return len(self.matches) / self.human if self.human else None

    @property
    def precision(self) -> float | None:
        """Share of the automatic criteria that are matched; None if there are none."""
        return len(self.matches) / self.automatic if self.automatic else None


async def matched_overlap(
    automatic: Sequence[WordedCriterion],
    human: Sequence[WordedCriterion],
    embeddings: Embeddings,
    confirm: Confirm | None = None,
) -> Overlap:
    """Match two lists one to one, such that the sum of cosines is the highest.

    Args:
        automatic: Criteria that a workflow made.
        human: Criteria that people made.
        embeddings: Embeds both lists.
        confirm: A judge of sameness; near pairs that it refuses are no candidates.
    """
    rows = await vectors([each.as_text for each in (*automatic, *human)], embeddings)
    cosine = rows[: len(automatic)] @ rows[len(automatic) :].T
    candidates = [(int(a), int(h)) for a, h in np.argwhere(cosine >= NEAR) if automatic and human]
    answers = await _answers(candidates, automatic, human, confirm)
    allowed = [pair for pair, answer in zip(candidates, answers, strict=True) if answer]
    return Overlap(
        automatic=len(automatic),
        human=len(human),
        matches=_assigned(allowed, cosine),
        refused=sum(answer is False for answer in answers),
        unread=sum(answer is None for answer in answers),
    )


async def _answers(
    candidates: Sequence[tuple[int, int]],
    automatic: Sequence[WordedCriterion],
    human: Sequence[WordedCriterion],
    confirm: Confirm | None,
) -> list[bool | None]:
    if confirm is None:
        return [True] * len(candidates)
    return list(await asyncio.gather(*(confirm(automatic[a], human[h]) for a, h in candidates)))


def _assigned(allowed: Sequence[tuple[int, int]], cosine: "np.ndarray") -> tuple[Match, ...]:
    if not allowed:
        return ()
    worth = np.zeros_like(cosine)
    for a, h in allowed:
        worth[a, h] = cosine[a, h]
    optimize = from_extra("scipy.optimize", "matches of criteria")
    rows, columns = optimize.linear_sum_assignment(worth, maximize=True)
    pairs = set(allowed)
    return tuple(
        Match(automatic=int(a), human=int(h), cosine=float(cosine[a, h]))
        for a, h in zip(rows, columns, strict=True)
        if (int(a), int(h)) in pairs
    )
