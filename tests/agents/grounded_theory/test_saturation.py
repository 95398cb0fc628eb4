"""When the data has stopped bringing new codes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.grounded_theory.saturation import (
    BASE,
    RUN,
    THRESHOLD,
    is_saturated,
    new_code_ratio,
)

COUNTS = st.lists(st.integers(0, 12), max_size=14)


def first_saturated(counts: list[int]) -> int | None:
    return next((n for n in range(len(counts) + 1) if is_saturated(counts[:n])), None)


@pytest.mark.parametrize(
    ("counts", "length"),
    [
        # base 9+5+4+2 = 20; behind it 0+0 = 0 new ones, and 0/20 <= .05
        ([9, 5, 4, 2, 0, 0, 0], 6),
        # 3+2 = 5 and 5/20 = .25; then 2+1 = 3 and 3/20 = .15
        ([9, 5, 4, 2, 3, 2, 1], None),
        ([9, 5, 4], None),
        # 1+0 and 1/20 = .05 is little enough, 2/20 is not
        ([9, 5, 4, 2, 1, 0], 6),
        ([9, 5, 4, 2, 1, 1, 0], 7),
        # a base without codes counts as one: 0/1 is saturated, 1/1 is not
        ([0, 0, 0, 0, 0, 0], 6),
        ([0, 0, 0, 0, 0, 1], None),
    ],
)
def test_the_reference_series_saturate_where_they_should(
    counts: list[int], length: int | None
) -> None:
    assert first_saturated(counts) == length


def test_the_ratio_is_that_of_the_last_run_to_the_base() -> None:
    # (3 + 1) / (9 + 5 + 4 + 2); the 7 in between counts nowhere
    assert new_code_ratio([9, 5, 4, 2, 7, 3, 1]) == pytest.approx(0.2)
    # (4 + 2) / (9 + 5 + 4)
    assert new_code_ratio([9, 5, 4, 4, 2], base=3, run=2) == pytest.approx(6 / 18)


@given(COUNTS)
def test_below_base_and_run_there_is_no_ratio_and_no_saturation(counts: list[int]) -> None:
    early = counts[: BASE + RUN - 1]
    assert new_code_ratio(early) is None
    assert not is_saturated(early)


@given(COUNTS.filter(lambda counts: len(counts) >= BASE + RUN))
def test_two_empty_incidents_always_saturate_and_a_burst_never_does(counts: list[int]) -> None:
    assert is_saturated([*counts, 0, 0])
    assert not is_saturated([*counts, 0, sum(counts[:BASE]) + 1])


def test_the_numbers_are_those_of_the_source() -> None:
    # Guest, Namey and Chen 2020: base 4, run 2, threshold 5 %
    assert (BASE, RUN, THRESHOLD) == (4, 2, 0.05)
