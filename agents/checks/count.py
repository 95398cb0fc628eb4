"""Checks of how much there is: words, characters, sentences, lines, paragraphs, sections."""

from abc import abstractmethod
from collections.abc import Sequence, Set
from statistics import fmean
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.scope import Scope
from quillgraph.agents.checks.wording import Ranges, Wording
from quillgraph.agents.text import forms, measures

Count = Annotated[int, Field(ge=0)]

_EXPECTED = Ranges("at least {low}", "at most {high}", "exactly {low}", "{low} to {high}")


class CountRange(Check):
    """How many of something there are, in the whole text or in a part; both ends are inclusive.

    "Under 400" is read as at most 400, the friendlier way.
    """

    audited_by: ClassVar[Literal["bounds", "terms"] | None] = "bounds"

    min: Count | None = None
    max: Count | None = None
    # left out where it is the whole, so that sets of before keep their hash
    scope: Scope | None = Field(default=None, exclude_if=lambda scope: scope is None)
    """The part, or each of the parts, that is counted; None is the whole text."""

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

    def pieces(self, text: str) -> Sequence[tuple[Check, str]]:
        """Each part that is counted; none where the text does not have such a part."""
        if self.scope is None:
            return [(self, text)]
        whole = self.model_copy(update={"scope": None})
        return [(whole, span) for span in self.scope.spans(text)]

    def violation(self, text: str) -> str | None:
        """Compare the count with the range; of several counts one has to lie in it.

        Of a part that the text does not have it says so.
        """
        expected = f"{_EXPECTED.fill(self.min, self.max, ('', ''))} {self.noun}"
        if self.scope is None:
            got = None if self._holds(text) else self._got(text)
            return got and f"expected {expected}, got {got}"
        spans = self.scope.spans(text)
        if not spans:
            return f"expected {expected} in {self.scope.named}, found no such part"
        wrong = [at for at, span in enumerate(spans) if not self._holds(span)]
        if not wrong:
            return None
        got = self._got(spans[wrong[0]])
        where = f" in number {wrong[0] + 1} of {len(spans)}" if self.scope.at is None else ""
        others = f" and {len(wrong) - 1} more off" if len(wrong) > 1 else ""
        where = "" if self.scope.part in ("title", "label") else where
        return f"expected {expected} in {self.scope.named}, got {got}{where}{others}"

    def _holds(self, text: str) -> bool:
        low, high = self.min or 0, self.max
        return any(low <= n and (high is None or n <= high) for n in self.counts(text))

    def _got(self, text: str) -> str:
        return " or ".join(map(str, sorted(self.counts(text))))

    def nearness(self, text: str) -> float:
        """A count of n beyond a bound b is worth min(n, b) / max(n, b).

        So it has a slope however far off it is; of several counts the nearest one stands, and of
        several parts the mean.
        """
        if self.scope is None:
            return 1.0 if self._holds(text) else max(map(self._closeness, self.counts(text)))
        return fmean([piece.nearness(span) for piece, span in self.pieces(text)] or [0.0])

    def _closeness(self, count: int) -> float:
        low = self.min or 0
        bound = low if count < low or self.max is None else self.max
        return min(count, bound) / max(count, bound)

    def name_in(self, wording: Wording) -> str:
        """Name the range and its unit."""
        name = wording.named_range.fill(self.min, self.max, self._unit(wording))
        return wording.scoped(name, self.scope)

    def description_in(self, wording: Wording) -> str:
        """Describe the text by its range."""
        if self.scope is not None:
            return wording.describe("", self.name_in(wording))
        count = wording.range_in_sentence.fill(self.min, self.max, self._unit(wording))
        return wording.describe(self.type, self.name_in(wording), count)

    def _unit(self, wording: Wording) -> tuple[str, str]:
        return wording.units.get(self.type, (self.noun, self.noun))

    @property
    def subject(self) -> str:
        """The whole and each part are counted apart."""
        return f"{self.type} of {self.scope}" if self.scope else self.type

    def merge(self, other: Self) -> Self | None:
        """Intersect the ranges."""
        lows = [each.min for each in (self, other) if each.min is not None]
        highs = [each.max for each in (self, other) if each.max is not None]
        low, high = max(lows, default=None), min(highs, default=None)
        if low is not None and high is not None and low > high:
            return None
        return self.model_copy(update={"min": low, "max": high})


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
    def subject(self) -> str:
        """The two units are counted apart."""
        return f"{super().subject} {self.unit}"

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

    audited_by: ClassVar[Literal["bounds", "terms"] | None] = None

    type: Literal["list_count"] = "list_count"

    @property
    def noun(self) -> str:
        """The word for the complaint."""
        return "list items"

    def counts(self, text: str) -> Set[int]:
        """The number of items of each kind of mark."""
        return forms.list_item_counts(text) or {0}


COUNTS: dict[str, type[CountRange]] = {
    "char": CharCount,
    "word": WordCount,
    "character": CharCount,
    "line": LineCount,
    "sentence": SentenceCount,
    "paragraph": ParagraphCount,
    "stanza": StanzaCount,
    "section": SectionCount,
    "list": ListCount,
}
"""What is counted, as requests name it, to its check."""
