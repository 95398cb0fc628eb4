"""English numbers: `1,500`, `1 500`, `3k`, `twenty-five`, `one thousand two hundred`."""

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
    | {"a": 1, "an": 1, "dozen": 12, "single": 1}
)
_SCALES = {"hundred": 100, "thousand": 1000}

_SMALL = (
    rf"(?:(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(_UNITS[1:10])}))?|(?:{'|'.join(_UNITS[1:])}))"
)
_HUNDREDS = rf"(?:{_SMALL}|a)[- ]hundred(?:(?: and|,)?[- ]{_SMALL})?"
_THOUSANDS = rf"(?:{_HUNDREDS}|{_SMALL}|a)[- ]thousand(?:(?: and|,)? (?:{_HUNDREDS}|{_SMALL}))?"
NUMBER = (
    r"(?:(?<![\w.,$£€#])\d{1,3}(?:[,\u2009\u00a0 .]\d{3})+(?![\w,]|\.\d)"
    r"|(?<![\w.,$£€#])\d+(?:\.\d+)?\s?k\b"
    rf"|(?<![\w.,$£€#])\d+(?![\d]|[.,]\d|(?!ish\b)\w)|\b(?:{_THOUSANDS}|{_HUNDREDS}|(?:a"
    rf"|one) dozen|{_SMALL})\b"
    r"|\ba single(?= (?:sentence|paragraph|line|stanza)\b))"
)
"""Pattern of a number, without groups."""


def read_number(text: str) -> int | None:
    """Read a number in digits or words; None where the text is none."""
    plain = folded(text)
    if re.fullmatch(r"\d{1,3}(?:[ .]\d{3})+", plain):
        plain = re.sub("[ .]", "", plain)
    digits = read_digits(plain, {"k": 1000})
    return _in_words(plain) if digits is None else digits


def _in_words(text: str) -> int | None:
    total = part = 0
    for word in re.split(r"[\s-]+", text.replace(",", " ")):
        if word == "and" and (total or part):
            continue
        if word in _VALUES:
            # "a dozen" is twelve, not thirteen
            part = _VALUES[word] if word in ("dozen", "single") else part + _VALUES[word]
        elif word in _SCALES:
            part = max(part, 1) * _SCALES[word]
            if word == "thousand":
                total, part = total + part, 0
        else:
            return None
    return total + part


NUMERALS = Numerals(NUMBER, read_number)
