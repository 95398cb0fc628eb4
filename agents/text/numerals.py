"""Numbers as people write them in requests, and digits, which all languages share."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Numerals:
    """How one language writes numbers."""

    pattern: str
    """Pattern of a number, without groups."""
    read: Callable[[str], int | None]
    """Reads a match of the pattern; None where it is not a number."""

    def numbers_in(self, text: str) -> set[int | None]:
        """Read every number of a text; None among them where one cannot be read."""
        return {self.read(match) for match in re.findall(self.pattern, text)}


def folded(text: str) -> str:
    """Fold width and case, and take out the commas between thousands."""
    return unicodedata.normalize("NFKC", text).strip().casefold().replace(",", "")


def read_digits(text: str, scales: Mapping[str, int]) -> int | None:
    """Read digits with an ending such as `k` or 万, rounded to a whole number.

    Args:
        text: The folded text.
        scales: Endings to what they multiply by.

    Returns:
        The number, or None where the text is not a number.
    """
    digits = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(\D*)", text)
    if not digits or (digits[2] and digits[2] not in scales):
        return None
    return round(float(digits[1]) * scales.get(digits[2], 1))
