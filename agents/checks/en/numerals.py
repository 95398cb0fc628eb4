"""English numbers: `1,500`, `3k`, `twenty-five`, `two hundred`."""

import re

from quillgraph.agents.text.numerals import Numerals, folded, read_digits

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = (
    {word: value for value, word in enumerate(_UNITS)}
    | {word: 10 * value for value, word in enumerate(_TENS, start=2)}
    | {"a": 1, "an": 1, "dozen": 12, "couple": 2}
)
_SCALES = {"hundred": 100, "thousand": 1000}

_WORD = "|".join([*_UNITS[1:], *_TENS])
NUMBER = (
    r"(?:\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?k\b|\d+"
    rf"|(?:(?:{_WORD}|a)\s+)(?:hundred|thousand)|(?:{_WORD})(?:-(?:{_WORD}))?\b)"
)
"""Pattern of a number, without groups."""


def read_number(text: str) -> int | None:
    """Read a number in digits or words; None where the text is none."""
    plain = folded(text)
    digits = read_digits(plain, {"k": 1000})
    return _in_words(plain) if digits is None else digits


def _in_words(text: str) -> int | None:
    total = part = 0
    for word in re.split(r"[\s-]+", text):
        if word in _VALUES:
            part += _VALUES[word]
        elif word in _SCALES:
            part *= _SCALES[word]
            if word == "thousand":
                total, part = total + part, 0
        else:
            return None
    return total + part


NUMERALS = Numerals(NUMBER, read_number)
