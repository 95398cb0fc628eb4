"""Cut a request into incidents: the clauses that coding works on (`ALGORITHM.md` 6.2, step 2)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from quillgraph.agents.checks.language import ClauseBreak, Language, languages_in
from quillgraph.agents.domain import Incident, WritingTask
from quillgraph.agents.text.language import CJK
from quillgraph.agents.text.sentences import quotations, sentence_ends

USUAL_CHARS = 2_000
"""Up to this length a request is taken for demands only; above it carries material."""
USUAL_INCIDENTS = 16
MOST_INCIDENTS = 24

_SHORTEST = 12
"""Shorter pieces are glued to a neighbour; a Chinese or Japanese character counts for three."""
_FULL = 40
"""A piece of this length takes no more fragments."""
_CLAUSE, _SENTENCE, _LINE, _PARAGRAPH = range(4)

_BREAK = re.compile(r"\n\s*")
_ITEM = re.compile(
    r"(?<=[\s:：;；。，,.])(?=(?:\d{1,2}[)）、．]|[（(]\d{1,2}[)）]|[①-⑳]|[•●▪]))"
    r"|(?:(?<=[:：;；.。]\s)|(?<=[：；。]))(?=\d{1,2}\.(?!\d))"
)


@dataclass(slots=True)
class _Piece:
    start: int
    end: int
    strength: int
    """How strong the boundary before the piece is, `_CLAUSE` to `_PARAGRAPH`."""
    demand: bool


def segment(task: WritingTask) -> tuple[Incident, ...]:
    """Cut the request into clauses that carry one demand each.

    Nothing is lost and nothing is rewritten: the spans are in order, do not overlap, and cover
    every character that is not blank. Lines, list items, sentences and then clauses are
    boundaries; fragments are glued to a neighbour, and pasted material is what
    gets merged first where there would be too many incidents.

    Returns:
        At most 16 incidents, or 24 for a request of more than 2,000 characters; none for
        a blank request.
    """
    text = task.request
    languages = languages_in(text, task.language)
    pieces = _glued(text, _pieces(text, languages))
    limit = USUAL_INCIDENTS if len(text) <= USUAL_CHARS else MOST_INCIDENTS
    return tuple(
        Incident(
            id=f"i{number}",
            source="request",
            doc_id="request",
            span=(piece.start, piece.end),
            text=text[piece.start : piece.end],
        )
        for number, piece in enumerate(_at_most(pieces, limit), start=1)
    )


def _pieces(text: str, languages: Sequence[Language]) -> list[_Piece]:
    """Cut at every boundary; the pieces are stripped and not blank."""
    boundaries = {0: _PARAGRAPH}
    for position, strength in _boundaries(text, languages):
        boundaries[position] = max(strength, boundaries.get(position, _CLAUSE))
    places = sorted(boundaries)
    pieces = []
    strength = _CLAUSE
    for start, end in zip(places, [*places[1:], len(text)], strict=True):
        strength = max(strength, boundaries[start])
        words = text[start:end]
        if not words.strip():
            continue
        start, end = start + len(words) - len(words.lstrip()), start + len(words.rstrip())
        asks = any(language.demands.search(words) for language in languages)
        pieces.append(_Piece(start, end, strength, asks))
        strength = _CLAUSE
    return pieces


def _boundaries(text: str, languages: Sequence[Language]) -> Iterator[tuple[int, int]]:
    for match in _BREAK.finditer(text):
        yield match.end(), _PARAGRAPH if match[0].count("\n") > 1 else _LINE
    ends = list(sentence_ends(text))
    yield from ((end, _SENTENCE) for end in ends)
    quoted = _inside(text)
    for match in _ITEM.finditer(text):
        if not quoted[match.start()]:
            yield match.start(), _SENTENCE
    for clause in dict.fromkeys(language.clauses for language in languages):
        yield from ((cut, _CLAUSE) for cut in _clause_cuts(text, clause, ends, quoted))


def _inside(text: str) -> bytearray:
    """Mark the characters that stand in quotation marks or brackets, the opening mark excepted."""
    inside = bytearray(len(text) + 1)
    for start, end in quotations(text):
        inside[start + 1 : end] = b"\1" * (end - start - 1)
    return inside


def _clause_cuts(
    text: str, clause: ClauseBreak, ends: list[int], quoted: bytearray
) -> Iterator[int]:
    """Yield where a language cuts its clauses, those of a sentence that parts long ones."""
    if not clause.fewest:  # a match may reach over the end of a sentence
        yield from (m.end() for m in clause.pattern.finditer(text) if not quoted[m.start()])
        return
    breaks = [match.end() for match in re.finditer("\n", text)]
    stops = sorted({0, len(text), *ends, *breaks})
    for start, end in pairwise(stops):
        last = start
        for match in clause.pattern.finditer(text, start, end):
            cut = match.end()
            if min(cut - last, end - cut) >= clause.fewest and not quoted[match.start()]:
                yield cut
                last = cut


def _glued(text: str, pieces: list[_Piece]) -> list[_Piece]:
    """Join fragments to a neighbour: a heading to what follows, the others as `_is_tail` says."""
    glued: list[_Piece] = []
    carry = False
    for index, piece in enumerate(pieces):
        following = pieces[index + 1] if index + 1 < len(pieces) else None
        if carry or (glued and _is_tail(text, glued[-1], piece, following)):
            last = glued[-1]
            last.end, last.demand = piece.end, last.demand or piece.demand
        else:
            glued.append(piece)
        carry = _weight(text, glued[-1]) < _SHORTEST
    return glued


def _is_tail(text: str, last: _Piece, piece: _Piece, following: _Piece | None) -> bool:
    """Whether a fragment belongs to what it follows rather than to what comes next."""
    if _weight(text, piece) >= _SHORTEST:
        return False
    if following is None:
        return True
    if text[piece.end - 1] in ":：" or piece.strength > following.strength:
        return False
    # a row of short items would otherwise grow into one incident
    return piece.strength < following.strength or _weight(text, last) < _FULL


def _weight(text: str, piece: _Piece) -> int:
    head = text[piece.start : min(piece.end, piece.start + _FULL)]
    return len(head) + 2 * len(CJK.findall(head))


def _at_most(pieces: list[_Piece], limit: int) -> list[_Piece]:
    """Merge neighbours until there are `limit`: first the short ones that ask nothing."""
    costs = [_cost(left, right) for left, right in pairwise(pieces)]
    while len(pieces) > limit:
        at = costs.index(min(costs))
        left, right = pieces[at], pieces.pop(at + 1)
        left.end, left.demand = right.end, left.demand or right.demand
        del costs[at]
        if at > 0:
            costs[at - 1] = _cost(pieces[at - 1], left)
        if at < len(costs):
            costs[at] = _cost(left, pieces[at + 1])
    return pieces


def _cost(left: _Piece, right: _Piece) -> int:
    demands = left.demand + right.demand
    # one million is above any length, so that demands decide first
    return demands * 1_000_000 + (right.end - left.start) + 20 * right.strength
