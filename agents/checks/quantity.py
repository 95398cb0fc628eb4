"""Quantities in a request: a number of something, with its direction, range and margin.

A text is cut into tokens by the words of a language, and the tokens are read by one small grammar
that languages share:

    quantity = direction* number [margin] [joiner [direction] number] [unit] direction* [margin]
             | length [direction*] number [joiner number] direction*

What a quantity is asked of is for the rules of the language to say.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

Range = tuple[int, int]


@dataclass(frozen=True)
class QuantityWords:
    """The words by which one language words quantities, as patterns.

    `tokens` maps a kind to its pattern; the first kind that fits at a place is taken. Kinds that
    the grammar knows:

    * `most`, `least`, `about`, `exact`, `between`: a direction before its number or behind it
    * `after_most`, `after_least`, `after_about`: one that stands behind its number
    * `more`, `less`: a comparison, which `not` turns round
    * `not`, `joiner`, `and`, `margin`, `percent`, `stop`
    * `length`: what is said before a bare number ("word count"); `length_most`: a limit
    * `filler` and `colon`: what may stand between these
    * `break`: what ends the reach of a negation without ending the clause

    Other kinds are for the rules of the language.
    """

    tokens: Mapping[str, str]
    units: Mapping[str, str]
    """Unit to its pattern."""
    number: str
    read: Callable[[str], Range | None]
    """Reads a number, or two at once (八九百); None for a vague one."""
    by_words: bool
    """Whether blanks part words, so that a pattern has to match whole ones."""
    adjectives: str = "(?!)"
    """What may stand between a number and its unit."""
    scales: str = ""
    """Letters that multiply a number, and the one before it in a range."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """One pattern of all tokens."""
        kinds = {
            "number": self.number,
            **{f"unit_{unit}": pattern for unit, pattern in self.units.items()},
            **self.tokens,
            "adjective": self.adjectives,
        }
        parts = [f"(?P<{kind}>{pattern})" for kind, pattern in kinds.items()]
        other = r"(?P<other>[^\W\d_]+(?:['’][^\W\d_]+)*)" if self.by_words else r"(?P<other>\S)"
        return re.compile("|".join([*parts, other, r"(?P<mark>\S)"]), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Token:
    """A word or mark of a request that the grammar knows, or any other one."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of something: 1,200 words, at most three sentences, 600 to 800字."""

    unit: str | None
    """None where nothing says what is counted."""
    low: int
    high: int
    """The same as `low` unless a range is named."""
    directions: frozenset[str]
    """Of "most", "least", "about" and "exact"."""
    first: int
    """Its first token, with the words of its direction."""
    last: int
    """Behind its last token."""
    number: int
    """The token of its number."""
    by_length: bool = False
    """Whether "word count" or the like stands before it instead of a unit."""
    has_length: bool = False
    """Whether such a word stands before it at all."""

    @property
    def is_qualified(self) -> bool:
        """Whether more than a bare number is said."""
        return bool(self.directions) or self.low != self.high or self.by_length


def tokens_of(text: str, words: QuantityWords) -> list[Token]:
    """Cut a text into tokens."""
    return [
        Token(match.lastgroup or "other", match[0], match.start(), match.end())
        for match in words.pattern.finditer(text)
    ]


def quantities(tokens: Sequence[Token], words: QuantityWords) -> Iterator[Quantity]:
    """Read the quantities of a text in order; a number that says nothing of anything gives none."""
    reader = _Reader(tokens, words)
    found: list[Quantity] = []
    at = 0
    while at < len(tokens):
        quantity = reader.quantity(at) if tokens[at].kind == "number" else None
        if quantity:
            found.append(quantity)
        at = max(at + 1, quantity.last if quantity else 0)
    yield from _with_units(found, tokens)


class _Reader:
    """Reads one quantity at a time; it holds the tokens that every step looks at."""

    def __init__(self, tokens: Sequence[Token], words: QuantityWords) -> None:
        self.tokens, self.words = tokens, words

    def kind(self, at: int) -> str:
        return self.tokens[at].kind if 0 <= at < len(self.tokens) else "stop"

    def skip(self, at: int, *kinds: str) -> int:
        while self.kind(at) in kinds and at < len(self.tokens):
            at += 1
        return at

    def value(self, at: int) -> Range | None:
        return self.words.read(self.tokens[at].text) if self.kind(at) == "number" else None

    def quantity(self, at: int) -> Quantity | None:
        value = self.value(at)
        if value is None:
            return None
        low, high = value
        first, before = self.before(at)
        loose, end = self.after_number(at + 1)
        unit, end = self.unit(end)
        margin, end = self.margin(end, low)
        if unit is None and margin:
            unit, end = self.unit(end)
        joined = self.joined(end, "between" in before, low)
        if joined and not margin:
            high, end, low = *joined, self.scaled(at, joined[1] - 1, low)
            other, end = self.unit(end)
            unit = other or unit
        elif margin:
            low, high = low - margin, high + margin
        after, end = self.after(end)
        if not margin and low == high:
            margin, end = self.margin(end, low)
            low, high = low - margin, high + margin
        directions = (before - {"between", "length", "length_most"}) | after
        directions |= loose
        if "length_most" in before and not directions:
            directions |= {"most"}
        has_length = bool(before & {"length", "length_most"})
        # in "a length of 2 minutes" something is counted that is no text
        by_length = unit is None and has_length and self.kind(end) in (*_ENDS, *_BEFORE)
        if margin:
            directions = frozenset()
        return Quantity(
            unit, low, high, frozenset(directions), first, end, at, by_length, has_length
        )

    def after_number(self, at: int) -> tuple[frozenset[str], int]:
        """A direction between a number and its unit: 2000+ words, 150 or so words."""
        kind = self.kind(at)
        follows = kind.startswith("after_") and self.unit(at + 1)[0] is not None
        return (frozenset({kind[6:]}), at + 1) if follows else (frozenset(), at)

    def before(self, at: int) -> tuple[int, frozenset[str]]:
        """The directions before a number, and where they begin."""
        kinds: set[str] = set()
        first = place = at
        has_article = False
        while (kind := self.kind(place - 1)) in _BEFORE or kind in _PASSED:
            place -= 1
            if kind == "stop":  # of (at most) 900 words
                if self.tokens[place].text not in ")）" or self.kind(place - 2) != "open":
                    break
                first = place - 2
                kinds.add(self.turned(self.kind(place - 1), place - 1))
                break
            if kind == "filler":
                has_article = has_article or self.tokens[place].text.casefold() in ("a", "an")
            elif kind == "not":
                if not kinds & {"most", "least"}:
                    break
                first = place
            elif kind == "about" and has_article:  # "about a 900-word curse"
                break
            elif kind not in ("colon", "modal"):
                first = place
                kinds.add(self.turned(kind, place))
        return first, frozenset(kinds)

    def turned(self, kind: str, at: int) -> str:
        """A comparison as a direction: "more than" is a lower end, and none with "not"."""
        if kind not in ("more", "less"):
            return kind
        place = at - 1
        while place >= max(0, at - _REACH) and self.kind(place) not in (
            "stop",
            "colon",
            "break",
            "more",
            "less",
            "number",
        ):
            if self.kind(place) == "not":
                return "most" if kind == "more" else "least"
            place -= 1
        return "least" if kind == "more" else "most"

    def unit(self, at: int) -> tuple[str | None, int]:
        """The unit at a place, behind a hyphen or some adjectives."""
        place = at
        if self.kind(place) == "joiner" and self.tokens[place].text in "-–‐‑":
            place += 1
        place = self.skip(place, "adjective")
        kind = self.kind(place)
        return (kind[5:], place + 1) if kind.startswith("unit_") else (None, at)

    def joined(self, at: int, is_between: bool, low: int) -> tuple[int, int] | None:
        """The upper end of a range, and the place behind it."""
        kind = self.kind(at)
        if kind != "joiner" and not (kind == "and" and is_between):
            return None
        place = self.skip(at + 1, "joiner", "filler", "most")
        value = self.value(place)
        return (value[1], place + 1) if value and value[1] > low else None

    def scaled(self, low_at: int, high_at: int, low: int) -> int:
        """The lower end with the scale of the upper one: 2-3万 begins at 20,000."""
        lower, upper = self.tokens[low_at].text, self.tokens[high_at].text.casefold()
        scale = upper[-1:]
        if scale not in tuple(self.words.scales) or any(
            each in lower for each in self.words.scales
        ):
            return low
        value = self.words.read(lower + scale)
        return value[0] if value else low

    def after(self, at: int) -> tuple[frozenset[str], int]:
        """The directions behind a unit that do not belong to the next number."""
        kinds: set[str] = set()
        end = at
        while True:
            place = end + (self.kind(end) == "open")
            kind = self.kind(place)
            following = self.skip(place + 1, "filler", *_BEFORE)
            if kind.startswith("after_"):
                kinds.add(kind[6:])
            elif kind in ("most", "least", "exact") and self.kind(following) != "number":
                kinds.add(kind)
            else:
                return frozenset(kinds), end
            end = place + 1

    def margin(self, at: int, number: int) -> tuple[int, int]:
        """How much more or less it may be, in units; 0 where nothing says so."""
        place = self.skip(at, "open", "comma", "filler")
        if self.kind(place) != "margin":
            return 0, at
        place = self.skip(place, "margin", "filler", "most", "more", "not", "about", "after_about")
        value = self.value(place)
        if value is None:
            return 0, at
        place += 1
        if self.kind(place) == "percent":
            return round(number * value[0] / 100), place + 1
        return value[0], place


_BEFORE = ("most", "least", "about", "exact", "more", "less", "between", "length", "length_most")
_PASSED = ("filler", "colon", "modal", "not", "stop")
"""What may stand between a number and what is said of it before."""
_REACH = 24
"""Tokens over which a negation turns a comparison round."""
_ENDS = ("stop", "comma", "open", "and", "break", "colon", "within")
_GAP = ("stop", "comma", "and", "break", "open", "filler", "not", "modal")


_MOST_APART = 10
"""Times by which two numbers of the same thing may differ."""


def _is_of_same(
    left: Quantity,
    right: Quantity,
    gap: Sequence[Token],
    tokens: Sequence[Token],
    *,
    near: bool,
) -> bool:
    """Whether a bare limit counts the same: "it is 1,350 words and must be under 1,000"."""
    ends = right.last >= len(tokens) or tokens[right.last].kind in _ENDS
    says = near or any(token.kind == "modal" for token in gap)
    whole = not any(token.kind == "stop" for token in gap)
    size = left.high <= _MOST_APART * right.high and right.high <= _MOST_APART * left.high
    # "it is 1,350 words, please cut it to 1,000"
    is_goal = any(token.kind == "make" for token in gap) and gap[-1].text.casefold() == "to"
    is_limit = bool(right.directions & {"most", "least"}) and says
    return (is_limit or is_goal) and ends and whole and size


def _with_units(found: list[Quantity], tokens: Sequence[Token]) -> Iterator[Quantity]:
    """Give a half-said end its unit: "200 words minimum, 250 max", "no less than 3 and … 5"."""
    units: list[str | None] = [each.unit for each in found]
    for at, (left, right) in enumerate(pairwise(found)):
        gap = tokens[left.last : right.first]
        near = len(gap) <= 3 and all(token.kind in _GAP for token in gap)
        opposite = {"most", "least"} <= left.directions | right.directions
        if not (near and opposite) and not _is_of_same(left, right, gap, tokens, near=near):
            continue
        if right.unit is None and not right.by_length:
            units[at + 1] = units[at]
        elif left.unit is None and not left.by_length:
            units[at] = right.unit
        if left.by_length and right.unit is None:
            found[at + 1] = replace(right, by_length=True)
    for quantity, unit in zip(found, units, strict=True):
        if unit or quantity.by_length:
            yield replace(quantity, unit=unit)
