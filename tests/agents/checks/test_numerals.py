"""Numbers as requests write them, in each language."""

import pytest

from quillgraph.agents.checks.en import numerals as english
from quillgraph.agents.checks.zh import numerals as chinese


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,500", 1500),
        ("3k", 3000),
        ("1.5K", 1500),
        ("twenty-five", 25),
        ("a hundred", 100),
        ("two thousand", 2000),
        ("", None),
        ("many", None),
        ("1.2.3", None),
    ],
)
def test_english_numbers(text: str, number: int | None) -> None:
    assert english.read_number(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("两千", 2000),
        ("1.5万", 15_000),
        ("３００", 300),
        ("三百五十", 350),
        ("十二", 12),
        ("二万三千", 23_000),
        ("", None),
        ("很多", None),
    ],
)
def test_chinese_numbers(text: str, number: int | None) -> None:
    assert chinese.read_number(text) == number


def test_every_number_of_a_quote_is_read() -> None:
    assert english.NUMERALS.numbers_in("between two and 1,500 words, 3k at most") == {2, 1500, 3000}
    assert chinese.NUMERALS.numbers_in("三百字到5百字") == {300, 500}
