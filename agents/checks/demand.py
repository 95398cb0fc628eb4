"""A literal demand found in a request, and the ground that the rules of all languages share."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.count import COUNTS
from quillgraph.agents.checks.quantity import Quantity, Token
from quillgraph.agents.checks.scope import Scope
from quillgraph.agents.checks.wording import Wording
from quillgraph.agents.text.sentences import quotations

logger = logging.getLogger(__name__)

TOLERANCE = 0.15
"""How far "about 1000 words" or 1000字左右 may be missed, as a share of the number."""

LOOSE = ("char", "word", "character")
"""Units of which a bare number means about so many."""

_QUOTES = "“\"「『‘'«„"
_SENTENCE_START = re.compile(r"[\n。！？；]|[.!?;](?=\s)")

_REACH = 600
"""Characters of a sentence that are looked at before a match."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a rule found: a check, its name in the request's language, and the words it is in."""

    check: Check
    name: str
    start: int
    end: int
    is_bare: bool = False
    """Whether it is a number without "at most" or the like: where two demands contradict each
    other, that one is the more likely to be misread."""


Rule = Callable[[str], Iterator[Demand]]
"""Reads one incident's text, or a whole request, and yields the demands of one kind."""


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
    before = text[max(0, start - _REACH) : start]
    stops = [stop.end() for stop in _SENTENCE_START.finditer(before)]
    before = before[stops[-1] if stops else 0 :]
    stop_after = _SENTENCE_START.search(text, end)
    return before, text[end : stop_after.start() if stop_after else len(text)]


def tell_unclear(words: str) -> None:
    """Log that a count is left to the judge, since code cannot tell or find what it is of."""
    logger.info("“%s” is left to the judge: code cannot tell what of the text it counts", words)


EXACT_BELOW = 20
"""A bare count of fewer words is meant to the word."""


def bounds_of(quantity: Quantity, *, is_loose: bool) -> tuple[int | None, int | None, bool]:
    """Read the ends of a quantity, both inclusive, and whether it is meant as about so many.

    Args:
        quantity: Of a request.
        is_loose: Whether a bare number of its unit is one of about so many, as it is of words.
    """
    if quantity.low != quantity.high:
        return quantity.low, quantity.high, False
    if quantity.directions & {"most", "least"}:
        low = quantity.low if "least" in quantity.directions else None
        high = quantity.low if "most" in quantity.directions else None
        return low, high, False
    bare = is_loose and quantity.low >= EXACT_BELOW and "exact" not in quantity.directions
    if bare or "about" in quantity.directions:
        return *about(quantity.low), True
    return quantity.low, quantity.low, False


def count_demand(
    quantity: Quantity, tokens: Sequence[Token], scope: Scope | None, wording: Wording, *, unit: str
) -> Demand:
    """Make the demand of a quantity: a count of the text, or of a part of it.

    Args:
        quantity: What the request says.
        tokens: The tokens that it was read from.
        scope: The part that is counted; None for the whole text.
        wording: Names the demand.
        unit: What is counted, a key of `COUNTS`.
    """
    low, high, is_about = bounds_of(quantity, is_loose=unit in LOOSE)
    fields: dict[str, object] = {"min": low, "max": high, "scope": scope}
    if unit == "character":
        fields["unit"] = "character"
    check = COUNTS[unit].model_validate(fields)
    name = wording.about_name(check.type, quantity.low) if is_about else ""
    return Demand(
        check=check,
        name=wording.scoped(name, scope) if name else check.name_in(wording),
        start=tokens[quantity.first].start,
        end=tokens[quantity.last - 1].end,
        is_bare=is_about,
    )


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
