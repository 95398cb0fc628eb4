"""What a German request demands: so many words, lines or paragraphs; words to use or leave out."""

import re
from collections.abc import Iterator

from quill_german.wording import WORDING
from quillgraph.agents.checks import (
    COUNTS,
    Demand,
    MustInclude,
    MustNotInclude,
    QuantityWords,
    around,
    bounds_of,
    quantities,
    quoted_terms,
    tokens_of,
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


def _range(text: str) -> tuple[int, int] | None:
    number = read_number(text)
    return None if number is None else (number, number)


QUANTITIES = QuantityWords(
    number=rf"\b{_NUMBER}",
    read=_range,
    by_words=True,
    units={
        "word": r"W[oö]rt(?:er)?n?\b",
        "line": r"Zeilen?\b",
        "paragraph": r"Abs[aä]tz(?:en?)?\b",
    },
    tokens={
        "most": r"\b(?:höchstens|maximal|bis zu)\b",
        "least": r"\b(?:mindestens|wenigstens)\b",
        "about": r"\b(?:etwa|ungefähr|rund|circa|ca\.)",
        "exact": r"\bgenau\b",
        "between": r"\bzwischen\b",
        "more": r"\b(?:mehr|länger) als\b|\büber\b",
        "less": r"\b(?:weniger|kürzer) als\b|\bunter\b",
        "not": r"\b(?:nicht|kein\w*|nie)\b",
        "joiner": r"\bbis\b|[-–]",
        "and": r"\bund\b",
        "comma": ",",
        "stop": r"[.!?;:()\n]",
    },
)
_OF_A_PART = re.compile(r"\b(?:jede[nrsm]?|pro|je|Strophen?|Kapiteln?)\b[^,;]*$", re.IGNORECASE)
_TOLD = re.compile(
    r"\b(?:hat|hatte|schrieb|las|enthielt|diese[nrs]?|die|der|den)\s*$", re.IGNORECASE
)


def lengths(text: str) -> Iterator[Demand]:
    """Find how long the text is to be; a bare number of words is never meant to the word."""
    spoken = unquoted(text)
    tokens = tokens_of(spoken, QUANTITIES)
    for quantity in quantities(tokens, QUANTITIES):
        start, end = tokens[quantity.first].start, tokens[quantity.last - 1].end
        before, after = around(spoken, start, end)
        if _OF_A_PART.search(before) or _TOLD.search(before) or after.lstrip().startswith("pro "):
            continue
        low, high, _ = bounds_of(quantity, is_loose=quantity.unit == "word")
        check = COUNTS[quantity.unit or "word"].model_validate({"min": low, "max": high})
        yield Demand(check, check.name_in(WORDING), start, end)


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
