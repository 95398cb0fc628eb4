"""Texts split into segments: marked words, and differences from another text."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from quillgraph.agents.text import CJK

PassageKind = Literal["incident", "cited", "behind", "quoted", "added", "removed"]

_PIECE = re.compile(rf"{CJK.pattern}|(?:(?!{CJK.pattern})\w)+|\s+|[^\w\s]")
"""A word, a Chinese or Japanese character, white space, or a mark: the unit of differences."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a text, in characters, with the kind of its mark."""

    start: int
    end: int
    kind: PassageKind
    name: str = ""
    """Id of the incident or criterion; empty for a difference."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A range of a text whose characters all lie under the same spans."""

    text: str
    spans: tuple[Span, ...]
    begins: tuple[str, ...]
    """Names of the incidents that begin here; they are link targets."""

    def names(self, kind: PassageKind) -> str:
        """Names of the spans of a kind, as an HTML attribute lists them."""
        return " ".join(dict.fromkeys(span.name for span in self.spans if span.kind == kind))

    def has(self, kind: PassageKind) -> bool:
        """Whether a span of a kind lies over it."""
        return any(span.kind == kind for span in self.spans)


def segments(text: str, spans: Iterable[Span]) -> tuple[Segment, ...]:
    """Split a text at the ends of spans, which may overlap.

    A span that exceeds the text, as after an edit of the file, is cut to the text.
    """
    inside = [
        Span(max(0, span.start), min(len(text), span.end), span.kind, span.name) for span in spans
    ]
    inside = [span for span in inside if span.start < span.end]
    cuts = sorted({0, len(text), *(end for span in inside for end in (span.start, span.end))})
    starting: dict[int, list[Span]] = {}
    for span in inside:
        starting.setdefault(span.start, []).append(span)
    parts, over = list[Segment](), list[Span]()
    for start, end in pairwise(cuts):
        new = starting.get(start, [])
        over = [span for span in over if span.end > start] + new
        begins = tuple(span.name for span in new if span.kind == "incident")
        parts.append(Segment(text[start:end], tuple(over), begins))
    return tuple(parts)


def word_differences(before: str, after: str) -> tuple[list[Span], list[Span]]:
    """Compare a revision with its parent, word by word.

    White space alone between two changes counts as changed: it reads as one change.

    Returns:
        Removed spans of `before`, and added spans of `after`.
    """
    old, new = _PIECE.findall(before), _PIECE.findall(after)
    old_at, new_at = _places(old), _places(new)
    removed, added = list[Span](), list[Span]()
    a = b = 0
    for match in difflib.SequenceMatcher(None, old, new).get_matching_blocks():
        after_a, after_b = match.a + match.size, match.b + match.size
        between = (match.a, match.b) != (0, 0) and (after_a, after_b) != (len(old), len(new))
        if between and "".join(old[match.a : after_a]).isspace():
            continue
        if a < match.a:
            removed.append(Span(old_at[a], old_at[match.a], "removed"))
        if b < match.b:
            added.append(Span(new_at[b], new_at[match.b], "added"))
        a, b = after_a, after_b
    return removed, added


def quoted(text: str, quote: str | None, name: str) -> list[Span]:
    """Find a quotation in a text; an empty list if the text lacks it."""
    start = text.find(quote) if quote else -1
    return [] if start < 0 or not quote else [Span(start, start + len(quote), "quoted", name)]


def _places(pieces: Sequence[str]) -> list[int]:
    places = [0]
    for piece in pieces:
        places.append(places[-1] + len(piece))
    return places
