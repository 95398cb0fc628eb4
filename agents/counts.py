"""Checks of how much there is: words, characters, sentences, lines, paragraphs, sections."""

from collections.abc import Set
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from quillgraph.agents import forms, measures

Count = Annotated[int, Field(ge=0)]


class CheckValue(BaseModel):
    """A frozen check that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CountRange(CheckValue):
    """How many of something there are; both ends are inclusive.

    "Under 400" is read as at most 400, the friendlier way.
    """

    min: Count | None = None
    max: Count | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("expected min, max or both, got neither: a range bounds something")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"expected min <= max, got {self.min} > {self.max}")
        return self

    def _complaint(self, counts: Set[int], noun: str) -> str | None:
        low, high = self.min or 0, self.max
        if any(low <= count and (high is None or count <= high) for count in counts):
            return None
        got = " or ".join(map(str, sorted(counts))) or "0"
        return f"expected {span_in_words(self.min, self.max)} {noun}, got {got}"


def span_in_words(low: int | None, high: int | None) -> str:
    """Word a range: "at least 3", "at most 400", "850 to 1150", "exactly 14"."""
    if low is None:
        return f"at most {high}"
    if high is None:
        return f"at least {low}"
    return f"exactly {low}" if low == high else f"{low} to {high}"


class WordCount(CountRange):
    """How many words; a Chinese or Japanese character counts as one."""

    type: Literal["word_count"] = "word_count"

    def violation(self, text: str) -> str | None:
        """Compare with `measures.word_count`."""
        return self._complaint({measures.word_count(text)}, "words")


class CharCount(CountRange):
    """How many characters.

    `zi` is 字数: Chinese characters, and a word of another script as one, without punctuation
    (word processors add the punctuation, about a tenth). `character` is every character,
    blanks included, as the counter under a web form shows it.
    """

    type: Literal["char_count"] = "char_count"
    unit: Literal["zi", "character"] = "zi"

    def violation(self, text: str) -> str | None:
        """Compare with 字数 or with the number of characters."""
        if self.unit == "zi":
            return self._complaint({measures.word_count(text)}, "characters (字)")
        return self._complaint({measures.character_count(text)}, "characters")


class SentenceCount(CountRange):
    """How many sentences."""

    type: Literal["sentence_count"] = "sentence_count"

    def violation(self, text: str) -> str | None:
        """Compare with `measures.sentence_count`."""
        return self._complaint({measures.sentence_count(text)}, "sentences")


class LineCount(CountRange):
    """How many lines, titles and labels left out."""

    type: Literal["line_count"] = "line_count"

    def violation(self, text: str) -> str | None:
        """Compare with `measures.verse_line_count`."""
        return self._complaint({measures.verse_line_count(text)}, "lines")


class ParagraphCount(CountRange):
    """How many paragraphs."""

    type: Literal["paragraph_count"] = "paragraph_count"

    def violation(self, text: str) -> str | None:
        """Compare with `measures.paragraph_count`."""
        return self._complaint({measures.paragraph_count(text)}, "paragraphs")


class StanzaCount(CountRange):
    """How many stanzas."""

    type: Literal["stanza_count"] = "stanza_count"

    def violation(self, text: str) -> str | None:
        """Compare with `measures.stanza_count`."""
        return self._complaint({measures.stanza_count(text)}, "stanzas")


class SectionCount(CountRange):
    """How many headed sections, at any one level of headings."""

    type: Literal["section_count"] = "section_count"

    def violation(self, text: str) -> str | None:
        """Compare with the number of headings of each kind."""
        counts = measures.section_counts(text) or {0}
        return self._complaint(counts, "sections with a heading")


class ListCount(CountRange):
    """How many items of a list, bulleted or numbered; what is indented below them left out."""

    type: Literal["list_count"] = "list_count"

    def violation(self, text: str) -> str | None:
        """Compare with the number of items of each kind of mark."""
        return self._complaint(forms.list_item_counts(text) or {0}, "list items")


CountCheck = (
    WordCount
    | CharCount
    | SentenceCount
    | LineCount
    | ParagraphCount
    | StanzaCount
    | SectionCount
    | ListCount
)
"""Any check that compares a count with a range."""
