"""Texts cut where something begins or ends: marked words, and what differs from another text."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from quillgraph.agents.text import CJK

PassageKind = Literal["incident", "cited", "behind", "quoted", "added", "removed"]

_PIECE = re.compile(rf"{CJK.pattern}|(?:(?!{CJK.pattern})\w)+|\s+|[^\w\s]")
"""A word, a Chinese or Japanese character, white space, or a mark: what differences are told in."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text, in characters, and what is to be said of it."""

    start: int
    end: int
    kind: PassageKind
    name: str = ""
    """Id of the incident or criterion; empty for a difference."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a text in which the same is to be said of every character."""

    text: str
    spans: tuple[Span, ...]
    begins: tuple[str, ...]
    """Names of the incidents that begin here: places that can be jumped to."""

    def names(self, kind: PassageKind) -> str:
        """Names of the spans of a kind, as an HTML attribute lists them."""
        return " ".join(dict.fromkeys(span.name for span in self.spans if span.kind == kind))

    def has(self, kind: PassageKind) -> bool:
        """Whether a span of a kind lies over it."""
        return any(span.kind == kind for span in self.spans)


def segments(text: str, spans: Iterable[Span]) -> tuple[Segment, ...]:
    """Cut a text at the ends of spans, which may overlap.

    A span that does not lie in the text, as in a file that was edited, is cut to what does.
    """
    inside = [
        Span(max(0, span.start), min(len(text), span.end), span.kind, span.name) for span in spans
    ]
    inside = [span for span in inside if span.start < span.end]
    cuts = sorted({0, len(text), *(end for span in inside for end in (span.start, span.end))})
    starting: dict[int, list[Span]] = {}
    for span in inside:
        starting.setdefault(span.start, []).append(span)
    cut, over = list[Segment](), list[Span]()
    for start, end in pairwise(cuts):
        new = starting.get(start, [])
        over = [span for span in over if span.end > start] + new
        begins = tuple(span.name for span in new if span.kind == "incident")
        cut.append(Segment(text[start:end], tuple(over), begins))
    return tuple(cut)


def word_differences(before: str, after: str) -> tuple[list[Span], list[Span]]:
    """Say what a revision took out and what it put in, word by word.

    White space alone between two changes counts as changed: it reads as one change.

    Returns:
        Spans of `before` that are gone, and spans of `after` that are new.
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
    """Find a quotation in a text; nothing where it is not in it."""
    start = text.find(quote) if quote else -1
    return [] if start < 0 or not quote else [Span(start, start + len(quote), "quoted", name)]


def _places(pieces: Sequence[str]) -> list[int]:
    places = [0]
    for piece in pieces:
        places.append(places[-1] + len(piece))
    return places
