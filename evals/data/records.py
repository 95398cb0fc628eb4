"""People's judgements of texts and requests: scores, preferences and rubrics."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from quillgraph.agents.domain import Value

Side = Literal["left", "right", "tie"]


def majority(votes: Sequence[Side]) -> Side:
    """The side that leads; `tie` where neither does."""
    lead = votes.count("left") - votes.count("right")
    return "left" if lead > 0 else "right" if lead < 0 else "tie"


class RatedText(Value):
    """A text with the scores that people gave it."""

    id: str
    request: str
    """What was to be written; empty where the data do not say."""
    text: str = Field(min_length=1)
    scores: tuple[float, ...] = Field(min_length=1)
    """One for each rater."""
    low: float = 1
    high: float = 10
    """Ends of the scale that the scores are on."""

    @model_validator(mode="after")
    def _scores_lie_on_the_scale(self) -> "RatedText":
        if strange := [score for score in self.scores if not self.low <= score <= self.high]:
            raise ValueError(
                f"expected scores from {self.low:g} to {self.high:g}, got {strange[0]:g}"
            )
        return self

    @property
    def score(self) -> float:
        """Mean of the raters."""
        return sum(self.scores) / len(self.scores)


class Preference(Value):
    """Two texts for one request, and which of them each rater preferred."""

    id: str
    group: str
    """Prompt that the pair belongs to: pairs of one prompt are no independent evidence."""
    request: str
    left: str = Field(min_length=1)
    right: str = Field(min_length=1)
    votes: tuple[Side, ...] = Field(min_length=1)

    @property
    def preferred(self) -> Side:
        """The side that most raters prefer; `tie` where neither leads."""
        return majority(self.votes)


class HumanCriterion(Value):
    """One criterion as people, or a benchmark, wrote it."""

    name: str
    description: str
    levels: dict[str, str] = Field(default_factory=dict)
    """Band or score to what a text of that level is like."""


class RubricRequest(Value):
    """A request, with the criteria that came with it, if any."""

    id: str
    request: str = Field(min_length=1)
    criteria: tuple[HumanCriterion, ...] = ()
    reference: str | None = None
    """A text that the benchmark gives as a good one."""
    words: int | None = None
    """Length that the benchmark asks for."""


Record = RatedText | Preference | RubricRequest
