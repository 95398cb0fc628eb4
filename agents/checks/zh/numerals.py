"""Chinese numbers: `两千`, `1.5万`, `1万2千`, `3k`, `三百五十`, and `八九百` for two at once."""

import re

from quillgraph.agents.text.numerals import Numerals, folded, read_digits

_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_SCALES = {"十": 10, "百": 100, "千": 1000}
_ENDINGS = {"万": 10_000, "w": 10_000, "千": 1000, "k": 1000, "百": 100}

_PLAIN = r"[\d０-９]+(?:[,，][\d０-９]{3})*"
NUMBER = (
    rf"(?:{_PLAIN}(?:[.．][\d０-９]+)?\s*[万wWkK千百](?:[\d０-９]+[千百]?)?(?![\d０-９a-zA-Z])"
    rf"|{_PLAIN}|[零〇一二两三四五六七八九十百千万]+)"
)
"""Pattern of a number, without groups."""
_TWO = re.compile(r"(.*[十百千万])?([一二三四五六七八九两])([二三四五六七八九])([十百千万]*)")


def read_number(text: str) -> int | None:
    """Read a number in digits or characters; None where the text is none."""
    plain = folded(text).replace(" ", "")
    digits = read_digits(plain, _ENDINGS)
    if digits is not None or not plain:
        return digits
    mixed = re.fullmatch(r"(\d+)([万w千k])(\d+)([千百]?)", plain)
    if not mixed:
        return _in_characters(plain)
    scale = _ENDINGS[mixed[2]]
    # 1万2 is 12,000, as 1万2千 is
    rest = int(mixed[3]) * (_ENDINGS[mixed[4]] if mixed[4] else scale // 10)
    return int(mixed[1]) * scale + rest


def read_range(text: str) -> tuple[int, int] | None:
    """Read a number, or the two that 八九百 and 一千二三百 name; None for none."""
    two = _TWO.fullmatch(text)
    if two and _DIGITS[two[3]] == _DIGITS[two[2]] + 1:
        head = two[1] or ""
        low, high = (read_number(head + digit + two[4]) for digit in (two[2], two[3]))
        return None if low is None or high is None else (low, high)
    number = read_number(text)
    return None if number is None else (number, number)


def _in_characters(text: str) -> int | None:
    if text.endswith("万"):
        head = _in_characters(text[:-1]) if text[:-1] else 1
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
    if len(text) > 1 and text[-2] in "百千万" and text[-1] in _DIGITS:
        digit *= (_SCALES | {"万": 10_000})[text[-2]] // 10  # 一千二 is 1200
    return total + digit


NUMERALS = Numerals(NUMBER, read_number)
