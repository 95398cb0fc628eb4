"""How one language names and describes what code can check."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from quillgraph.agents.checks.scope import Scope


@dataclass(frozen=True, slots=True)
class Ranges:
    """How many of a unit there are, as templates of {low}, {high}, {unit} and {units}."""

    at_least: str
    at_most: str
    exactly: str
    between: str

    def fill(self, low: int | None, high: int | None, unit: tuple[str, str]) -> str:
        """Word a range.

        Args:
            low: The least there may be; None where the range is open below.
            high: The most there may be; None where it is open above.
            unit: What is counted: one, and several.
        """
        if low is None:
            template = self.at_most
        elif high is None:
            template = self.at_least
        else:
            template = self.exactly if low == high else self.between
        one, several = unit
        return template.format(low=low, high=high, unit=one if low == 1 else several, units=several)


@dataclass(frozen=True, slots=True)
class ScopeWords:
    """How one language names the part of a text that a count is about."""

    parts: Mapping[str, str]
    """Part of a `Scope` to its name, the title among them."""
    each: str = "each {part}"
    one: str = "the {part}"
    """A part that there is one of."""
    places: Mapping[int, str] = field(
        default_factory=lambda: {
            1: "the first {part}",
            2: "the second {part}",
            3: "the third {part}",
            -1: "the last {part}",
        }
    )
    place: str = "{part} {at}"
    """Any other place."""
    counted: str = "{name} in {scope}"
    """A count by its {name}, with the {scope} that it is about."""

    def name(self, scope: Scope) -> str:
        """Name a scope."""
        if scope.part == "label":
            return self.one.format(part=scope.labels[0])
        part = self.parts[scope.part]
        if scope.part == "title":
            return self.one.format(part=part)
        if scope.at is None:
            return self.each.format(part=part)
        return self.places.get(scope.at, self.place).format(part=part, at=scope.at)


ENGLISH_SCOPES = ScopeWords(
    {
        "sentence": "sentence",
        "paragraph": "paragraph",
        "line": "line",
        "stanza": "stanza",
        "section": "section",
        "item": "list item",
        "text": "text",
        "title": "title",
    }
)


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one language, and its templates, for the checks of this package.

    A check of another package words itself, by `code`.
    """

    code: str
    """ISO 639-1 code of the language."""
    units: Mapping[str, tuple[str, str]]
    """Kind of a count to what is counted: one, and several."""
    named_range: Ranges
    """A range as a name: "At most 400 words"."""
    range_in_sentence: Ranges
    """A range inside a sentence: "at most 400 words"."""
    about: str
    """A count that need not be exact, of {number} and {units}."""
    term: str
    """A {term} in quotation marks."""
    includes: str
    """{terms} that stand in the text."""
    includes_one: str
    leaves_out: str
    starts_with: str
    """The {text} that it starts with."""
    ends_with: str
    verse: str
    """{lines} of {characters} each."""
    equal_verse: str
    """{lines} that are equally long."""
    forms: Mapping[str, str]
    """Outer form to its name."""
    persons: Mapping[str, str]
    """Grammatical person to its name."""
    languages: Mapping[str, str]
    """Code of a language to its name; one that is missing is named by its code."""
    written_in: str
    """The {language} that the text is in."""
    dialogue: tuple[str, str]
    """That nobody speaks, and that somebody does."""
    title: tuple[str, str]
    """That there is no title, and that there is one."""
    descriptions: Mapping[str, str]
    """Kind of a check to the sentence that describes it: of {name}, and of {count} for a range."""
    description: str
    """The sentence for any other kind: of {name}, and of {clause}, the name within a sentence."""
    scopes: ScopeWords = ENGLISH_SCOPES
    """How the part is named that a count is about."""

    def scoped(self, name: str, scope: Scope | None) -> str:
        """Name a count with the part that it is about; as it is where that is the whole text."""
        if scope is None:
            return name
        scoped = self.scopes.counted.format(name=name, scope=self.scopes.name(scope))
        return scoped[:1].upper() + scoped[1:]

    def about_name(self, kind: str, number: int) -> str:
        """Name a demand for about so many of what a kind of check counts."""
        return self.about.format(number=number, units=self.units[kind][1])

    def quoted(self, terms: Iterable[str]) -> str:
        """List terms in quotation marks."""
        return ", ".join(self.term.format(term=term) for term in terms)

    def describe(self, kind: str, name: str, count: str = "") -> str:
        """Say in one sentence what the text must be like."""
        template = self.descriptions.get(kind, self.description)
        return template.format(name=name, clause=name[:1].lower() + name[1:], count=count)
