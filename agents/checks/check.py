"""Checks that decide a literal constraint without a model: lengths, words, forms, persons.

Each check is a frozen value that goes to JSON and back, told apart by its `type`, and
`check.violation(text)` is None where the text keeps it, or one sentence with what was expected
and what was found. An empty text violates whatever demands that something be there.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from quillgraph.agents.checks.count import (
    CharCount,
    CheckValue,
    LineCount,
    ListCount,
    ParagraphCount,
    SectionCount,
    SentenceCount,
    StanzaCount,
    WordCount,
)
from quillgraph.agents.text import forms, measures, narration
from quillgraph.agents.text.language import CJK, UNDETERMINED, language_of

Term = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


class ClassicalVerse(CheckValue):
    """Chinese verse of so many lines with so many characters each (绝句, 律诗)."""

    type: Literal["classical_verse"] = "classical_verse"
    lines: Annotated[int, Field(ge=1)]
    characters: Annotated[int, Field(ge=1)] | None = None

    def violation(self, text: str) -> str | None:
        """Compare the verses between the marks of punctuation."""
        lengths = measures.verses_of(text)
        if len(lengths) != self.lines:
            return f"expected {self.lines} verses, got {len(lengths)}"
        if self.characters and set(lengths) != {self.characters}:
            return f"expected {self.characters} characters in each verse, got {lengths}"
        # without a length named, the verses must at least be equal
        if len(set(lengths)) > 1:
            return f"expected verses of equal length, got {lengths} characters"
        return None


class MustInclude(CheckValue):
    """Words that must stand in the text: all of `terms`, and one of `any_of` if given."""

    type: Literal["must_include"] = "must_include"
    terms: tuple[Term, ...] = ()
    any_of: tuple[Term, ...] = ()

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.terms and not self.any_of:
            raise ValueError("expected a term in terms or any_of, got none")
        return self

    def violation(self, text: str) -> str | None:
        """Look for each term, ignoring case and allowing a plural or possessive ending."""
        folded = measures.normalised(text)
        missing = [term for term in self.terms if not _stands_in(term, folded)]
        if missing:
            return f"expected {_listed(self.terms)}, missing {_listed(missing)}"
        if self.any_of and not any(_stands_in(term, folded) for term in self.any_of):
            return f"expected one of {_listed(self.any_of)}, found none"
        return None


class MustNotInclude(CheckValue):
    """Words that must not stand in the text; with `anywhere`, not even inside a word."""

    type: Literal["must_not_include"] = "must_not_include"
    terms: Annotated[tuple[Term, ...], Field(min_length=1)]
    anywhere: bool = False

    def violation(self, text: str) -> str | None:
        """Look for each term, ignoring case."""
        folded = measures.normalised(text)
        found = [
            term
            for term in self.terms
            if (measures.normalised(term) in folded if self.anywhere else _stands_in(term, folded))
        ]
        return f"expected no {_listed(found)}, found it" if found else None


def _stands_in(term: str, folded: str) -> bool:
    """Whether the term occurs as whole words; scripts without blanks have no word borders."""
    words = measures.normalised(term).split()
    pattern = r"\s+".join(map(re.escape, words))
    first, last = words[0][0], words[-1][-1]
    if first.isalnum() and not CJK.match(first):
        pattern = rf"(?<![^\W_]){pattern}" if first.isascii() else pattern
    if last.isascii() and last.isalnum():
        pattern = rf"{pattern}(?:'?s|es)?(?![a-z0-9])"
    return bool(re.search(pattern, folded))


def _listed(terms: tuple[str, ...] | list[str]) -> str:
    return ", ".join(map(repr, terms))


class Language(CheckValue):
    """Which language the text is in, as an ISO 639-1 code."""

    type: Literal["language"] = "language"
    language: Annotated[str, StringConstraints(pattern="^[a-z]{2}$")]

    def violation(self, text: str) -> str | None:
        """Compare with the detected language."""
        found = language_of(text)
        if found == self.language:
            return None
        shown = "a text without letters" if found == UNDETERMINED else f"a text in {found!r}"
        return f"expected a text in {self.language!r}, got {shown}"


class Format(CheckValue):
    """An outer form that marks alone can show."""

    type: Literal["format"] = "format"
    form: forms.Form

    def violation(self, text: str) -> str | None:
        """Look for the marks of the form."""
        return None if forms.has_form(self.form, text) else f"expected {forms.EXPECTED[self.form]}"


class Dialogue(CheckValue):
    """Whether somebody speaks in the text."""

    type: Literal["dialogue"] = "dialogue"
    present: bool

    def violation(self, text: str) -> str | None:
        """Look for quoted speech, lines after a dash and script cues."""
        if narration.has_dialogue(text) == self.present:
            return None
        return (
            "expected dialogue, found none" if self.present else "expected no dialogue, found some"
        )


class Person(CheckValue):
    """In which grammatical person the text is told; English and Chinese."""

    type: Literal["person"] = "person"
    person: narration.Person

    def violation(self, text: str) -> str | None:
        """Compare with the pronouns outside of speech."""
        found = narration.narrator(text)
        # a text about things alone has no pronouns and is told in the third person all the same
        if found == self.person or (found is None and self.person == "third" and text.strip()):
            return None
        return f"expected the {self.person} person, got {found or 'no personal pronouns'}"


class Opening(CheckValue):
    """The words that the text, or its body below a title, starts with."""

    type: Literal["starts_with"] = "starts_with"
    text: Term

    def violation(self, text: str) -> str | None:
        """Compare the letters, whatever the case and marks."""
        lines = [line for line in text.splitlines() if line.strip()]
        starts = (_letters("\n".join(lines[skip:])) for skip in (0, 1))
        if any(start.startswith(_letters(self.text)) for start in starts):
            return None
        return f"expected the start {self.text!r}, got {text.strip()[:60]!r}"


class Ending(CheckValue):
    """The words that the text ends with."""

    type: Literal["ends_with"] = "ends_with"
    text: Term

    def violation(self, text: str) -> str | None:
        """Compare the letters, whatever the case and marks."""
        if _letters(text).endswith(_letters(self.text)):
            return None
        return f"expected the end {self.text!r}, got {text.strip()[-60:]!r}"


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", " ", measures.normalised(text)).strip()


class Title(CheckValue):
    """Whether the text begins with a title."""

    type: Literal["title"] = "title"
    present: bool = True

    def violation(self, text: str) -> str | None:
        """Look at the first line that is not blank."""
        if measures.has_title(text) == self.present:
            return None
        return "expected a title, found none" if self.present else "expected no title, found one"


Check = Annotated[
    WordCount
    | CharCount
    | SentenceCount
    | LineCount
    | ParagraphCount
    | StanzaCount
    | SectionCount
    | ListCount
    | ClassicalVerse
    | MustInclude
    | MustNotInclude
    | Language
    | Format
    | Dialogue
    | Person
    | Opening
    | Ending
    | Title,
    Field(discriminator="type"),
]
"""Any check, told apart by its `type`."""
