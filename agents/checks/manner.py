"""Checks of how a text is told and laid out: its language, form, person, dialogue, title."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.language import languages_in
from quillgraph.agents.checks.wording import Wording
from quillgraph.agents.text import forms, measures, narration
from quillgraph.agents.text.language import UNDETERMINED, language_of, may_be


class WrittenIn(Check):
    """Which language the text is in, as an ISO 639-1 code."""

    type: Literal["language"] = "language"
    language: Annotated[str, StringConstraints(pattern="^[a-z]{2}$")]

    def violation(self, text: str) -> str | None:
        """Refuse what is clearly in another language; a short text has the benefit of the doubt."""
        if may_be(text, self.language):
            return None
        actual = language_of(text)
        kind = "a text without letters" if actual == UNDETERMINED else f"a text in {actual!r}"
        return f"expected a text in {self.language!r}, got {kind}"

    def name_in(self, wording: Wording) -> str:
        """Name the language; by its code where there is no name for it."""
        name = wording.languages.get(self.language, self.language)
        return wording.written_in.format(language=name)


class Format(Check):
    """An outer form that marks alone can show."""

    type: Literal["format"] = "format"
    form: forms.Form

    def violation(self, text: str) -> str | None:
        """Look for the marks of the form."""
        return None if forms.has_form(self.form, text) else f"expected {forms.EXPECTED[self.form]}"

    def name_in(self, wording: Wording) -> str:
        """Name the form."""
        return wording.forms[self.form]

    @property
    def subject(self) -> str:
        """A text may have to have a table and headings, but not two languages."""
        return f"{self.type} {self.form}"


class Dialogue(Check):
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

    def name_in(self, wording: Wording) -> str:
        """Name what is asked for."""
        return wording.dialogue[self.present]


class Person(Check):
    """In which grammatical person the text is told, by the pronouns of known languages."""

    type: Literal["person"] = "person"
    person: narration.Person

    def violation(self, text: str) -> str | None:
        """Compare with the pronouns outside of speech."""
        actual = narration.narrator(text, {each.pronouns for each in languages_in(text)})
        # a text about things alone has no pronouns and is told in the third person all the same
        if actual == self.person or (actual is None and self.person == "third" and text.strip()):
            return None
        return f"expected the {self.person} person, got {actual or 'no personal pronouns'}"

    def name_in(self, wording: Wording) -> str:
        """Name the person."""
        return wording.persons[self.person]


class Title(Check):
    """Whether the text begins with a title."""

    type: Literal["title"] = "title"
    present: bool = True

    def violation(self, text: str) -> str | None:
        """Look at the first line that is not blank."""
        if measures.has_title(text) == self.present:
            return None
        return "expected a title, found none" if self.present else "expected no title, found one"

    def name_in(self, wording: Wording) -> str:
        """Name what is asked for."""
        return wording.title[self.present]


class ClassicalVerse(Check):
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

    def name_in(self, wording: Wording) -> str:
        """Name the number of verses and their length."""
        template = wording.verse if self.characters else wording.equal_verse
        return template.format(lines=self.lines, characters=self.characters)
