"""Checks of the very words: to include, to leave out, to start or end with."""

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.wording import Wording
from quillgraph.agents.text import measures
from quillgraph.agents.text.language import CJK

Term = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


class MustInclude(Check):
    """Words that must stand in the text: all of `terms`, and one of `any_of` if given."""

    audited_by: ClassVar[Literal["bounds", "terms"] | None] = "terms"

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

    def nearness(self, text: str) -> float:
        """Share of the terms that stand in the text; a choice of terms counts as one."""
        parts = [self.model_copy(update={"terms": (term,), "any_of": ()}) for term in self.terms]
        if self.any_of:
            parts.append(self.model_copy(update={"terms": ()}))
        return _kept_share(parts, text)

    def name_in(self, wording: Wording) -> str:
        """Name the terms."""
        if self.terms:
            return wording.includes.format(terms=wording.quoted(self.terms))
        return wording.includes_one.format(terms=wording.quoted(self.any_of))

    @property
    def subject(self) -> str:
        """Two choices of terms are two demands."""
        return f"{self.type} one of {self.any_of}" if self.any_of else self.type

    def merge(self, other: Self) -> Self:
        """Join the terms."""
        return self.model_copy(update={"terms": tuple(dict.fromkeys(self.terms + other.terms))})


class MustNotInclude(Check):
    """Words that must not stand in the text; with `anywhere`, not even inside a word."""

    audited_by: ClassVar[Literal["bounds", "terms"] | None] = "terms"

    type: Literal["must_not_include"] = "must_not_include"
    terms: Annotated[tuple[Term, ...], Field(min_length=1)]
    anywhere: bool = False

    def violation(self, text: str) -> str | None:
        """Look for each term, ignoring case."""
        folded = measures.normalised(text)
        present = [
            term
            for term in self.terms
            if (measures.normalised(term) in folded if self.anywhere else _stands_in(term, folded))
        ]
        return f"expected no {_listed(present)}, found it" if present else None

    def nearness(self, text: str) -> float:
        """Share of the terms that the text leaves out."""
        return _kept_share(
            [self.model_copy(update={"terms": (term,)}) for term in self.terms], text
        )

    def name_in(self, wording: Wording) -> str:
        """Name the terms."""
        return wording.leaves_out.format(terms=wording.quoted(self.terms))

    @property
    def subject(self) -> str:
        """Letters that may stand nowhere are another demand than words."""
        return f"{self.type} anywhere" if self.anywhere else self.type

    def merge(self, other: Self) -> Self:
        """Join the terms."""
        return self.model_copy(update={"terms": tuple(dict.fromkeys(self.terms + other.terms))})


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


def _kept_share(parts: Sequence[Check], text: str) -> float:
    return sum(part.violation(text) is None for part in parts) / len(parts)


class Opening(Check):
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

    def name_in(self, wording: Wording) -> str:
        """Name the words."""
        return wording.starts_with.format(text=self.text)


class Ending(Check):
    """The words that the text ends with."""

    type: Literal["ends_with"] = "ends_with"
    text: Term

    def violation(self, text: str) -> str | None:
        """Compare the letters, whatever the case and marks."""
        if _letters(text).endswith(_letters(self.text)):
            return None
        return f"expected the end {self.text!r}, got {text.strip()[-60:]!r}"

    def name_in(self, wording: Wording) -> str:
        """Name the words."""
        return wording.ends_with.format(text=self.text)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", " ", measures.normalised(text)).strip()
