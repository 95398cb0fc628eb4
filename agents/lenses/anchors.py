"""Wordings between two poles: levels, dimensions and storylines of what a small model chose."""

from pydantic import BaseModel, Field

from quillgraph.agents.checks.language import language_for
from quillgraph.agents.checks.templates import Grading
from quillgraph.agents.domain import LEVELS, Category, Code, Property
from quillgraph.agents.lenses.lens import lenses
from quillgraph.agents.reply import form, text


def levels_form() -> type[BaseModel]:
    """The form in which a model words five levels itself, under the bands of the scale."""
    levels = {f"level_{n}": (text(8, 130), Field(alias=band)) for n, band in enumerate(LEVELS)}
    return form("Levels", **levels)


def dimension_of(code: Code, language: str) -> Property:
    """The dimension that a code's lens opens; the code's own words where it has none."""
    for lens in lenses(language):
        if lens.id == code.lens and code.words is not None:
            return lens.of(code.words)
    return Property(
        name=code.label, low_pole=f"shows nothing of this: {code.gloss}", high_pole=code.gloss
    )


def clauses(dimension: Property, language: str) -> tuple[str, str]:
    """The low and the high pole as verb phrases; poles in free words are quoted."""
    low, high = dimension.low_pole, dimension.high_pole
    if dimension.is_clause:
        return low, high
    pole = language_for(language).templates.free_pole
    return pole.format(pole=low), pole.format(pole=high)


def worded_levels(dimension: Property, language: str, *, pitfall: bool) -> dict[str, str]:
    """Word the five levels of a dimension between its poles, as its lens is graded."""
    low, high = clauses(dimension, language)
    templates = language_for(language).templates
    name = dimension.name.partition(": ")[0]
    gradings = (lens.levels for lens in lenses(language) if lens.name == name)
    grading: Grading = next(gradings, "spread")
    levels = (templates.fault_levels if pitfall else templates.levels)[grading]
    return {
        band: level.format(low=low, high=high) for band, level in zip(LEVELS, levels, strict=True)
    }


def storyline_of(core: Category, second: Category | None, language: str) -> str:
    """Word what the core, and a second category, ask of the text."""
    poles = [clauses(c.properties[0], language)[1] for c in (core, second) if c is not None]
    templates = language_for(language).templates
    return templates.storyline.format(poles=templates.poles_between.join(poles))
