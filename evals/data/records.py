"""People's judgements of texts and requests: scores, preferences and rubrics."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from quillgraph.agents.domain import Value
from quillgraph.agents.reply import NO_BOOLEAN

Side = Literal["left", "right", "tie"]


def majority(votes: Sequence[Side]) -> Side:
    """The side with more votes; `tie` if neither leads."""
    lead = votes.count("left") - votes.count("right")
    return "left" if lead > 0 else "right" if lead < 0 else "tie"


HumanScore = Annotated[float, NO_BOOLEAN]


class RatedText(Value):
    """A text with people's scores."""

    id: str
    request: str
    """The request; empty if the data do not say."""
    text: str = Field(min_length=1)
    scores: tuple[HumanScore, ...] = Field(min_length=1)
    """One for each rater."""
    low: HumanScore = 1
    high: HumanScore = 10
    """Lowest and highest value of the scale."""

    @model_validator(mode="after")
    def _scores_lie_on_the_scale(self) -> "RatedText":
        if strange := [score for score in self.scores if not self.low <= score <= self.high]:
            raise ValueError(
                f"expected scores from {self.low:g} to {self.high:g}, got {strange[0]:g}"
            )
        return self

    @property
    def score(self) -> float:
        """Mean over the raters."""
        return sum(self.scores) / len(self.scores)


class Preference(Value):
    """Two texts for one request, and the side that each rater preferred."""

    id: str
    group: str
    """Prompt of the pair: pairs of one prompt are not independent evidence."""
    request: str
    left: str = Field(min_length=1)
    right: str = Field(min_length=1)
    votes: tuple[Side, ...] = Field(min_length=1)

    @property
    def preferred(self) -> Side:
        """The side that most raters prefer; `tie` if neither leads."""
        return majority(self.votes)


class HumanCriterion(Value):
    """One criterion as people, or a benchmark, wrote it."""

    name: str
    description: str
    levels: dict[str, str] = Field(default_factory=dict)
    """Band or score to the description of a text at that level."""


class RubricRequest(Value):
    """A request, with its criteria if the data have any."""

    id: str
    request: str = Field(min_length=1)
    criteria: tuple[HumanCriterion, ...] = ()
    reference: str | None = None
    """A reference text from the benchmark."""
    words: int | None = None
    """Length that the benchmark asks for."""


Record = RatedText | Preference | RubricRequest
