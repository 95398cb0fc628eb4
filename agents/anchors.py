"""Wordings between two poles: levels, dimensions and storylines of what a small model chose."""

from quillgraph.agents.domain import LEVELS, Category, Code, Property
from quillgraph.agents.lenses import lenses


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
    shows = "表现为" if language == "zh" else "shows this: "
    return f"{shows}“{low}”", f"{shows}“{high}”"


def worded_levels(dimension: Property, language: str, *, pitfall: bool) -> dict[str, str]:
    """Word the five levels of a dimension between its poles."""
    low, high = clauses(dimension, language)
    tongue = "zh" if language == "zh" else "en"
    forms = _PITFALL_LEVELS[tongue] if pitfall else _LEVELS[tongue]
    return {band: form.format(low=low, high=high) for band, form in zip(LEVELS, forms, strict=True)}


_LEVELS = {
    "en": (
        "The text {low} throughout.",
        "The text {low} in most places.",
        "In some places the text {high}; in others it {low}.",
        "The text {high} in most places.",
        "The text {high} from first to last.",
    ),
    "zh": (
        "全文{low}。",
        "多数地方{low}。",
        "有的地方{high}；有的地方{low}。",
        "多数地方{high}。",
        "自始至终{high}。",
    ),
}

_PITFALL_LEVELS = {
    "en": (
        "The text {low} throughout.",
        "The text {low} in most places.",
        "The text {low} more than once.",
        "The text {low} once, in passing.",
        "Nowhere does the text slip like this.",
    ),
    "zh": (
        "全文{low}。",
        "多数地方{low}。",
        "不止一处{low}。",
        "只有一处{low}。",
        "全文没有这样的毛病。",
    ),
}


def storyline_of(core: Category, second: Category | None, language: str) -> str:
    """Say what the core, and the category beside it, ask of the text."""
    poles = [clauses(c.properties[0], language)[1] for c in (core, second) if c is not None]
    if language == "zh":
        return f"文本要{'，并且'.join(poles)}。"
    return f"The text {', and '.join(poles)}."
