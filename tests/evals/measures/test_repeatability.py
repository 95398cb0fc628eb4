"""Reusability and consistency, on numbers that were worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.evals.measures.repeatability import consistency, greedy_pairs, reusability


def at_angles(*degrees: float) -> np.ndarray:
    turned = np.deg2rad(np.asarray(degrees, dtype=np.float64))
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def test_reusability_is_the_share_of_all_criteria_that_were_known() -> None:
    # 2 of 3 and 0 of 1 are 2 of 4, every criterion counting the same
    assert reusability([["a", "b", "c"], ["a"]], [["a", "c"], []]) == 0.5


def test_without_criteria_there_is_no_share() -> None:
    with pytest.raises(ValueError, match="at least one criterion"):
        reusability([[]], [[]])


def test_what_is_matched_must_be_a_criterion_of_the_same_request() -> None:
    with pytest.raises(ValueError, match=r"expected ids of criteria, got \['z'\]"):
        reusability([["a"]], [["z"]])
    with pytest.raises(ValueError, match="shorter"):
        reusability([["a"], ["b"]], [["a"]])


def test_the_nearest_pair_is_matched_first_and_each_row_once() -> None:
    # left 0 and 30, right 25: the pair 5 apart wins, and 0 is left alone though 25 is near it too
    assert greedy_pairs(at_angles(0, 30), at_angles(25)) == ((1, 0),)
    # cos 41 = .7547 counts, cos 42 = .7431 does not
    assert greedy_pairs(at_angles(0), at_angles(41)) == ((0, 0),)
    assert greedy_pairs(at_angles(0), at_angles(42)) == ()


def test_consistency_is_an_f1() -> None:
    # 0 and 5 match, 90 and 200 stay alone: 2·1 / (2 + 2)
    assert consistency(at_angles(0, 90), at_angles(5, 200)) == 0.5
    # 3 rows against 1: precision 1, recall 1/3, F1 1/2
    assert consistency(at_angles(0, 90, 180), at_angles(90)) == 0.5
    assert consistency(at_angles(0), np.zeros((0, 2), dtype=np.float32)) == 0


def test_two_empty_studies_have_no_consistency() -> None:
    nothing = np.zeros((0, 2), dtype=np.float32)
    with pytest.raises(ValueError, match="got none"):
        consistency(nothing, nothing)


angles = st.lists(st.floats(0, 359), min_size=1, max_size=6)


@given(angles, angles)
def test_consistency_lies_between_0_and_1_and_is_1_with_oneself(
    left: list[float], right: list[float]
) -> None:
    one, other = at_angles(*left), at_angles(*right)
    assert 0 <= consistency(one, other) <= 1
    assert consistency(one, one) == 1
    matched = greedy_pairs(one, other)
    assert len({a for a, _ in matched}) == len({b for _, b in matched}) == len(matched)
