"""What a German request demands: so many words, lines or paragraphs; words to use or leave out."""

import re
from collections.abc import Iterator

from quill_german.wording import WORDING
from quillgraph.agents.checks import (
    CountRange,
    Demand,
    LineCount,
    MustInclude,
    MustNotInclude,
    ParagraphCount,
    WordCount,
    about,
    around,
    quoted_terms,
    unquoted,
)
from quillgraph.agents.text import Numerals

_VALUES = dict(
    zip(
        ("ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "zwölf"),
        (*range(1, 11), 12),
        strict=True,
    )
)
_NUMBER = rf"(?:\d{{1,3}}(?:\.\d{{3}})+|\d+|(?:{'|'.join(_VALUES)})\b)"


def read_number(text: str) -> int | None:
    """Read `1.500`, `200` or `zwei`; None where the text is no number."""
    plain = text.strip().casefold().replace(".", "")
    return int(plain) if plain.isdigit() else _VALUES.get(plain)


NUMERALS = Numerals(_NUMBER, read_number)

PRONOUNS = re.compile(
    r"\b(?:(?P<first>ich|mich|mir|meine?[mnrs]?|wir|uns|unsere?[mnrs]?)"
    r"|(?P<second>du|dich|dir|deine?[mnrs]?|euch|eure?[mnrs]?)"
    r"|(?P<third>er|ihn|ihm|seine?[mnrs]?|sie|ihnen))\b",
    re.IGNORECASE,
)

_COUNT = re.compile(
    r"(?:(?P<most>höchstens|maximal|nicht mehr als|bis zu)|(?P<least>mindestens|wenigstens)"
    r"|(?P<about>etwa|ungefähr|rund|circa|ca\.)|(?P<exact>genau))?\s*"
    rf"\b(?P<low>{_NUMBER})(?:\s*(?:-|–|bis)\s*(?P<high>{_NUMBER}))?\s+"
    r"(?:(?P<word>W[oö]rt(?:er)?n?)|(?P<line>Zeilen?)|(?P<paragraph>Abs[aä]tz(?:en?)?))\b",
    re.IGNORECASE,
)
_CHECKS: dict[str, type[CountRange]] = {
    "word": WordCount,
    "line": LineCount,
    "paragraph": ParagraphCount,
}
_OF_A_PART = re.compile(r"\b(?:jede[nrsm]?|pro|je|Strophen?|Kapiteln?)\b[^,;]*$", re.IGNORECASE)
_TOLD = re.compile(
    r"\b(?:hat|hatte|schrieb|las|enthielt|diese[nrs]?|die|der|den)\s*$", re.IGNORECASE
)


def lengths(text: str) -> Iterator[Demand]:
    """Find how long the text is to be; a bare number of words is never meant to the word."""
    spoken = unquoted(text)
    for match in _COUNT.finditer(spoken):
        before, after = around(spoken, match.start(), match.end())
        if _OF_A_PART.search(before) or _TOLD.search(before) or after.lstrip().startswith("pro "):
            continue
        check = _check(match)
        if check is not None:
            yield Demand(check, check.name_in(WORDING), match.start(), match.end())


def _check(match: re.Match[str]) -> CountRange | None:
    low, high = read_number(match["low"]), read_number(match["high"] or "")
    if not low or (match["high"] and (not high or high < low)):
        return None
    unit = next(unit for unit in _CHECKS if match[unit])
    bounds: tuple[int | None, int | None] = (low, high or low)
    if match["most"]:
        bounds = (None, low)
    elif match["least"]:
        bounds = (low, None)
    elif not high and (match["about"] or (unit == "word" and not match["exact"])):
        bounds = about(low)
    return _CHECKS[unit](min=bounds[0], max=bounds[1])


_JOINER = re.compile(r"\s*(?:,|und|oder)+\s*(?=[„“\"»])")
_WORDS = r"(?:d(?:as|en|ie)\s+)?(?:Wort|Wörter|Begriffe?|Namen?)\s*:?\s*(?=[„“\"])"
_INCLUDED = re.compile(rf"\b(?:verwende|benutze|nutze|erwähne|mit)\s+{_WORDS}", re.IGNORECASE)
_EXCLUDED = re.compile(rf"\b(?:ohne|vermeide)\s+{_WORDS}", re.IGNORECASE)
_NOT = re.compile(r"\s*(?:nicht|nie|niemals)\b")


def included_words(text: str) -> Iterator[Demand]:
    """Find the quoted words that must stand in the text, and "verwende das Wort „…“ nicht"."""
    for match in _INCLUDED.finditer(text):
        terms, end = quoted_terms(text, match.end(), _JOINER)
        if terms:
            kind = MustNotInclude if _NOT.match(text, end) else MustInclude
            check = kind(terms=tuple(terms))
            yield Demand(check, check.name_in(WORDING), match.start(), end)


def excluded_words(text: str) -> Iterator[Demand]:
    """Find the quoted words that must not stand in the text."""
    for match in _EXCLUDED.finditer(text):
        terms, end = quoted_terms(text, match.end(), _JOINER)
        if terms:
            check = MustNotInclude(terms=tuple(terms))
            yield Demand(check, check.name_in(WORDING), match.start(), end)
