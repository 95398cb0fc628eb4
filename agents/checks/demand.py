"""A literal demand found in a request, and the ground that the rules of all languages share."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from quillgraph.agents.checks.check import Check
from quillgraph.agents.text.sentences import quotations

TOLERANCE = 0.15
"""How far "about 1000 words" or 1000字左右 may be missed, as a share of the number."""

_QUOTES = "“\"「『‘'«„"
_SENTENCE_START = re.compile(r"[\n。！？；]|[.!?;](?=\s)")


@dataclass(frozen=True, slots=True)
class Demand:
    """What a rule found: a check, its name in the request's language, and the words it is in."""

    check: Check
    name: str
    start: int
    end: int


Rule = Callable[[str], Iterator[Demand]]
"""Reads one incident's text and yields the demands of one kind."""


def unquoted(text: str) -> str:
    """Blank what stands in quotation marks, keeping every position.

    What is quoted is talked about and not asked for: "the novel says 'in 300 words'".
    """
    kept = list(text)
    for start, end in quotations(text):
        if text[start] in _QUOTES:
            kept[start + 1 : end - 1] = "\x00" * (end - start - 2)
    return "".join(kept)


def around(text: str, start: int, end: int) -> tuple[str, str]:
    """Take what stands in the same sentence before and after a match."""
    before = text[:start]
    for stop in _SENTENCE_START.finditer(before):
        before = text[stop.end() : start]
    stop_after = _SENTENCE_START.search(text, end)
    return before, text[end : stop_after.start() if stop_after else len(text)]


def about(number: int) -> tuple[int, int]:
    """Range that "about `number`" means."""
    return round(number * (1 - TOLERANCE)), round(number * (1 + TOLERANCE))


def quoted_terms(text: str, start: int, joiner: re.Pattern[str]) -> tuple[list[str], int]:
    """Read the row of quotations that begins at `start`, joined by `joiner`.

    Returns:
        The terms without their marks, and where the row ends.
    """
    spans = {a: b for a, b in quotations(text) if text[a] in _QUOTES}
    terms: list[str] = []
    end = start
    while start in spans:
        end = spans[start]
        terms.append(text[start + 1 : end - 1].strip().rstrip(",.，。"))
        joined = joiner.match(text, end)
        start = joined.end() if joined else -1
    return [term for term in terms if term], end
