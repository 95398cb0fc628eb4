"""Chinese numbers: `两千`, `1.5万`, `三百五十`."""

from quillgraph.agents.text.numerals import Numerals, folded, read_digits

_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_SCALES = {"十": 10, "百": 100, "千": 1000}

NUMBER = r"(?:[\d０-９]+(?:[,，.．][\d０-９]+)*\s*[万千百]?|[零〇一二两三四五六七八九十百千万]+)"
"""Pattern of a number, without groups."""


def read_number(text: str) -> int | None:
    """Read a number in digits or characters; None where the text is none."""
    plain = folded(text)
    digits = read_digits(plain, {"万": 10_000, "千": 1000, "百": 100})
    return _in_characters(plain) if digits is None and plain else digits


def _in_characters(text: str) -> int | None:
    if text.endswith("万"):
        head = _in_characters(text[:-1])
        return None if head is None else head * 10_000
    total = digit = 0
    for character in text:
        if character in _DIGITS:
            digit = _DIGITS[character]
        elif character in _SCALES:
            total += (digit or 1) * _SCALES[character]
            digit = 0
        elif character == "万":
            total, digit = (total + digit) * 10_000, 0
        else:
            return None
    return total + digit


NUMERALS = Numerals(NUMBER, read_number)
