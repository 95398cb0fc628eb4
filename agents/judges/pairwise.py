"""The pairwise judge: which of two texts is better, without criteria, so no rubric can be gamed.

Each pair is judged in both orders. A text wins only where both answers name it, since judges favour
a position (arXiv:2306.05685, 2407.07791). Anything else is a tie; `is_consistent` says whether both
answers meant it.
"""

import hashlib
from dataclasses import dataclass
from itertools import count
from typing import Literal, Protocol

from quillgraph.agents.domain import Value, WritingTask
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of
from quillgraph.agents.role import Role, ask, side_by_side
from quillgraph.backends.errors import ReplyError

PairPlace = Literal["first", "second", "tie"]


class PairComparison(Value):
    """A judge's two answers on a pair of texts, each of which came first once.

    An answer is None where the reply could not be read. Then there is no winner, which is not the
    same as a tie.
    """

    forward: PairPlace | None
    """The better place with the left text first."""
    backward: PairPlace | None
    """The better place with the left text second."""

    @property
    def winner(self) -> Literal["left", "right", "tie"] | None:
        """The text that won in both orders; None where an answer is missing."""
        if self.forward is None or self.backward is None:
            return None
        if (self.forward, self.backward) == ("first", "second"):
            return "left"
        if (self.forward, self.backward) == ("second", "first"):
            return "right"
        return "tie"

    @property
    def is_consistent(self) -> bool | None:
        """Whether the order made no difference; None where an answer is missing."""
        if self.forward is None or self.backward is None:
            return None
        mirrored = {"first": "second", "second": "first", "tie": "tie"}
        return self.backward == mirrored[self.forward]


class PairJudge(Protocol):
    """Anything that says which of two texts is better."""

    @property
    def name(self) -> str:
        """Name of this judge in reports."""

    async def compare(self, task: WritingTask, left: str, right: str) -> PairComparison:
        """Judge the pair in both orders."""


@dataclass(frozen=True, slots=True)
class PromptedPairJudge:
    """A chat model that compares, one call for each order, at temperature 0."""

    role: Role

    @property
    def name(self) -> str:
        """The name of the model."""
        return str(getattr(self.role.model, "model", type(self.role.model).__name__))

    async def compare(self, task: WritingTask, left: str, right: str) -> PairComparison:
        """Judge the pair in both orders."""
        forward, backward = await side_by_side(
            (self._better(task, left, right), self._better(task, right, left))
        )
        return PairComparison(forward=forward, backward=backward)

    async def _better(self, task: WritingTask, first: str, second: str) -> PairPlace | None:
        # the mark occurs in neither text, so neither can close its fence
        marks = (hashlib.sha256(f"{n}/{first}/{second}".encode()).hexdigest()[:8] for n in count())
        mark = next(mark for mark in marks if mark not in first and mark not in second)
        messages = render(
            "preferring",
            request=self.role.brief(task),
            mark=mark,
            first=first,
            second=second,
        )
        answer_form = form("Better", better=one_of(("first", "second", "tie")))
        try:
            answer = await ask(
                self.role, messages, answer_form, item="prefer", temperature=0.0, max_tokens=20
            )
        except ReplyError:
            return None
        place: PairPlace = answer.better  # type: ignore[attr-defined]  # a field of the form above
        return place
