"""Numbers as people write them in requests: `1,500`, `3k`, `twenty-five`, `两千`, `1.5万`."""

import re
import unicodedata

_UNITS_EN = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_TENS_EN = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_EN = (
    {word: value for value, word in enumerate(_UNITS_EN)}
    | {word: 10 * value for value, word in enumerate(_TENS_EN, start=2)}
    | {"a": 1, "an": 1, "dozen": 12, "couple": 2}
)
_SCALES_EN = {"hundred": 100, "thousand": 1000}
_DIGITS_ZH = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {
    "两": 2,
    "〇": 0,
}
_SCALES_ZH = {"十": 10, "百": 100, "千": 1000}

_WORD_EN = "|".join([*_UNITS_EN[1:], *_TENS_EN])
NUMBER_EN = (
    r"(?:\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?k\b|\d+"
    rf"|(?:(?:{_WORD_EN}|a)\s+)(?:hundred|thousand)|(?:{_WORD_EN})(?:-(?:{_WORD_EN}))?\b)"
)
"""Pattern of an English number, without groups."""
NUMBER_ZH = r"(?:[\d０-９]+(?:[,，.．][\d０-９]+)*\s*[万千百]?|[零〇一二两三四五六七八九十百千万]+)"
"""Pattern of a Chinese number, without groups."""


def read_number(text: str) -> int | None:
    """Read a number.

    Returns:
        The number, rounded to a whole one, or None where the text is not a number.
    """
    plain = unicodedata.normalize("NFKC", text).strip().casefold().replace(",", "")
    digits = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([k万千百]?)", plain)
    if digits:
        scale = {"": 1, "k": 1000, "万": 10_000, "千": 1000, "百": 100}[digits[2]]
        return round(float(digits[1]) * scale)
    return _chinese(plain) if re.search(r"[一-龥〇]", plain) else _english(plain)


def _english(text: str) -> int | None:
    total = part = 0
    words = re.split(r"[\s-]+", text)
    for word in words:
        if word in _EN:
            part += _EN[word]
        elif word in _SCALES_EN:
            part *= _SCALES_EN[word]
            if word == "thousand":
                total, part = total + part, 0
        else:
            return None
    return total + part


def _chinese(text: str) -> int | None:
    if text.endswith("万"):
        head = _chinese(text[:-1])
        return None if head is None else head * 10_000
    total = digit = 0
    for character in text:
        if character in _DIGITS_ZH:
            digit = _DIGITS_ZH[character]
        elif character in _SCALES_ZH:
            total += (digit or 1) * _SCALES_ZH[character]
            digit = 0
        elif character == "万":
            total, digit = (total + digit) * 10_000, 0
        else:
            return None
    return total + digit
