"""Checks of how much there is: words, characters, sentences, lines, paragraphs, sections."""

from abc import ABC, abstractmethod
from collections.abc import Set
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from quillgraph.agents.text import forms, measures

Count = Annotated[int, Field(ge=0)]


class CheckValue(BaseModel):
    """A frozen check that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CountRange(CheckValue, ABC):
    """How many of something there are; both ends are inclusive.

    "Under 400" is read as at most 400, the friendlier way.
    """

    min: Count | None = None
    max: Count | None = None

    @property
    @abstractmethod
    def noun(self) -> str:
        """What is counted, in the plural."""

    @abstractmethod
    def counts(self, text: str) -> Set[int]:
        """Count it; where it can be counted in several ways, each way gives a number."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("expected min, max or both, got neither: a range bounds something")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"expected min <= max, got {self.min} > {self.max}")
        return self

    def violation(self, text: str) -> str | None:
        """Compare the count with the range; of several counts one has to lie in it."""
        counts, low, high = self.counts(text), self.min or 0, self.max
        if any(low <= count and (high is None or count <= high) for count in counts):
            return None
        got = " or ".join(map(str, sorted(counts)))
        return f"expected {span_in_words(self.min, self.max)} {self.noun}, got {got}"


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

    @property
    def noun(self) -> str:
        """The word for the complaint."""
        return "words"

    def counts(self, text: str) -> Set[int]:
        """By `measures.word_count`."""
        return {measures.word_count(text)}


class CharCount(CountRange):
    """How many characters.

    `zi` is 字数: Chinese characters, and a word of another script as one, without punctuation
    (word processors add the punctuation, about a tenth). `character` is every character,
    blanks included, as the counter under a web form shows it.
    """

    type: Literal["char_count"] = "char_count"
    unit: Literal["zi", "character"] = "zi"

    @property
    def noun(self) -> str:
        """The word for the complaint."""
        return "characters (字)" if self.unit == "zi" else "characters"

    def counts(self, text: str) -> Set[int]:
        """字数, or the number of characters."""
        if self.unit == "zi":
            return {measures.word_count(text)}
        return {measures.character_count(text)}


class SentenceCount(CountRange):
    """How many sentences."""

    type: Literal["sentence_count"] = "sentence_count"

    @property
    def noun(self) -> str:
        """The word for the complaint."""
        return "sentences"

    def counts(self, text: str) -> Set[int]:
        """By `measures.sentence_count`."""
        return {measures.sentence_count(text)}


class LineCount(CountRange):
    """How many lines, titles and labels left out."""

    type: Literal["line_count"] = "line_count"

    @property
    def noun(self) -> str:
        """The word for the complaint."""
        return "lines"

    def counts(self, text: str) -> Set[int]:
        """By `measures.verse_line_count`."""
        return {measures.verse_line_count(text)}


class ParagraphCount(CountRange):
    """How many paragraphs."""

    type: Literal["paragraph_count"] = "paragraph_count"

    @property
    def noun(self) -> str:
        """The word for the complaint."""
        return "paragraphs"

    def counts(self, text: str) -> Set[int]:
        """By `measures.paragraph_count`."""
        return {measures.paragraph_count(text)}


class StanzaCount(CountRange):
    """How many stanzas."""

    type: Literal["stanza_count"] = "stanza_count"

    @property
    def noun(self) -> str:
        """The word for the complaint."""
        return "stanzas"

    def counts(self, text: str) -> Set[int]:
        """By `measures.stanza_count`."""
        return {measures.stanza_count(text)}


class SectionCount(CountRange):
    """How many headed sections, at any one level of headings."""

    type: Literal["section_count"] = "section_count"

    @property
    def noun(self) -> str:
        """The word for the complaint."""
        return "sections with a heading"

    def counts(self, text: str) -> Set[int]:
        """The number of headings of each kind."""
        return measures.section_counts(text) or {0}


class ListCount(CountRange):
    """How many items of a list, bulleted or numbered; what is indented below them left out."""

    type: Literal["list_count"] = "list_count"

    @property
    def noun(self) -> str:
        """The word for the complaint."""
        return "list items"

    def counts(self, text: str) -> Set[int]:
        """The number of items of each kind of mark."""
        return forms.list_item_counts(text) or {0}


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
