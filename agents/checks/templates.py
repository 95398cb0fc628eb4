"""Sentences of one language around what a small model chose: lenses, levels, lessons.

A model that cannot name a quality chooses among readings; the words around its choice stand in a
`templates.yaml` beside the rules of the language.
"""

from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

Grading = Literal["spread", "degree", "rule"]
"""How what lies between two poles is worded: by how many places show it, by degree, or as a rule
that is kept or broken."""

Levels = Annotated[tuple[str, ...], Field(min_length=5, max_length=5)]
"""The five levels between two poles, templates of {low} and {high}, the lowest first."""

Move = Literal["raised", "lowered", "stuck", "reached"]
"""What a criterion did from one text to another."""


class _Template(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LensWords(_Template):
    """The words of one sensitizing concept; the poles are verb phrases around {words}."""

    name: str
    high: str
    low: str


class LessonWords(_Template):
    """A lesson on one criterion: when it holds, with its {name}, and what it says."""

    condition: str
    strategy: str


class LessonTurns(_Template):
    """How a lesson is told to a writer."""

    avoid: str
    """What stands before something to avoid."""
    colon: str
    """What parts the condition from the strategy."""


class Templates(_Template):
    """Every sentence that code words for a model of few words."""

    lenses: dict[str, LensWords]
    """Id of a lens to its words."""
    levels: dict[Grading, Levels]
    fault_levels: dict[Grading, Levels]
    """Levels of a fault that is to be avoided."""
    free_pole: str
    """A pole in free words as a verb phrase, of {pole}."""
    wish: str
    """What a text shall do, of {high}."""
    fault: str
    """What a text shall not do, of {low}."""
    fault_name: str
    """Name of a fault's criterion, of the {name} of its dimension or of {clause}, the same in the
    middle of a sentence."""
    note: str
    """A note on a sentence of a draft, of {pole}."""
    storyline: str
    """What the piece shall do, of {poles}."""
    poles_between: str
    """What stands between the poles of a storyline."""
    lessons: dict[Move, LessonWords]
    lesson_turns: LessonTurns


def read_templates(package: str) -> Templates:
    """Read the `templates.yaml` of a package.

    Args:
        package: Its dotted name.
    """
    text = resources.files(package).joinpath("templates.yaml").read_text("utf-8")
    return Templates.model_validate(yaml.safe_load(text))
