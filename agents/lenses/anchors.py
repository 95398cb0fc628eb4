"""Wordings between two poles: levels, dimensions and storylines of what a small model chose."""

from pydantic import BaseModel, Field

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
    shows = "表现为" if language == "zh" else "shows this: "
    return f"{shows}“{low}”", f"{shows}“{high}”"


def worded_levels(dimension: Property, language: str, *, pitfall: bool) -> dict[str, str]:
    """Word the five levels of a dimension between its poles, as its lens is graded."""
    low, high = clauses(dimension, language)
    tongue = "zh" if language == "zh" else "en"
    name = dimension.name.partition(": ")[0]
    grading = next((lens.levels for lens in lenses(language) if lens.name == name), "spread")
    forms = (_PITFALL_LEVELS if pitfall else _LEVELS)[tongue][grading]
    return {band: form.format(low=low, high=high) for band, form in zip(LEVELS, forms, strict=True)}


_RULE = {
    "en": (
        "The text {low} openly.",
        "The text {low}, if less openly.",
        "It is open to debate whether the text {low}.",
        "The text {high}, but only just.",
        "The text clearly {high}.",
    ),
    "zh": (
        "文本公然{low}。",
        "文本{low}，只是不太明显。",
        "文本是否{low}，尚有争议。",
        "文本勉强{high}。",
        "文本明确{high}。",
    ),
}
"""A rule is kept or broken, be it in one place: what lies between is doubt."""

_LEVELS = {
    "en": {
        "spread": (
            "Throughout, the text {low}.",
            "In most places the text {low}.",
            "In some places the text {high}; in others it {low}.",
            "In most places the text {high}.",
            "From first to last the text {high}.",
        ),
        "degree": (
            "Without doubt the text {low}.",
            "By and large the text {low}.",
            "In part the text {high}; in part it {low}.",
            "By and large the text {high}.",
            "Without doubt the text {high}.",
        ),
        "rule": _RULE["en"],
    },
    "zh": {
        "spread": (
            "全文{low}。",
            "多数地方{low}。",
            "有的地方{high}；有的地方{low}。",
            "多数地方{high}。",
            "自始至终{high}。",
        ),
        "degree": (
            "文本无疑{low}。",
            "文本大体上{low}。",
            "就一部分而言，文本{high}；就另一部分而言，文本{low}。",
            "文本大体上{high}。",
            "文本无疑{high}。",
        ),
        "rule": _RULE["zh"],
    },
}

_PITFALL_LEVELS = {
    "en": {
        "spread": (
            "Throughout, the text {low}.",
            "In most places the text {low}.",
            "In more than one place the text {low}.",
            "In one place the text {low}.",
            "Nowhere does the text slip like this.",
        ),
        "degree": (
            "Without doubt the text {low}.",
            "By and large the text {low}.",
            "In part the text {low}.",
            "A reader in a hurry might say that the text {low}.",
            "Not even a strict reader would say that the text slips like this.",
        ),
        "rule": _RULE["en"],
    },
    "zh": {
        "spread": (
            "全文{low}。",
            "多数地方{low}。",
            "不止一处{low}。",
            "只有一处{low}。",
            "全文没有这样的毛病。",
        ),
        "degree": (
            "文本无疑{low}。",
            "文本大体上{low}。",
            "文本在一定程度上{low}。",
            "粗略一读，会觉得文本{low}。",
            "即使严格要求，文本也没有这样的毛病。",
        ),
        "rule": _RULE["zh"],
    },
}


def storyline_of(core: Category, second: Category | None, language: str) -> str:
    """Say what the core, and the category beside it, ask of the text."""
    poles = [clauses(c.properties[0], language)[1] for c in (core, second) if c is not None]
    if language == "zh":
        return f"文本要{'，并且'.join(poles)}。"
    return f"The text {', and '.join(poles)}."
