"""Measures of meaning, on unit vectors in the plane."""

import numpy as np
import pytest

from quillgraph.backends.embeddings import Vectors
from quillgraph.evals.criteria.report import (
    covered,
    near_duplicates,
    reused,
    run_to_run,
)


def at(*degrees: float) -> Vectors:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32).reshape(-1, 2)


NOTHING = np.zeros((0, 1), dtype=np.float32)


def test_a_criterion_that_repeats_several_is_one_duplicate() -> None:
    # cos 32° = .848 lies below .85, cos 31° = .857 above it
    assert near_duplicates(at(0, 10, 20, 90)) == 2
    assert near_duplicates(at(0, 32)) == 0
    assert near_duplicates(at(0, 31)) == 1
    assert near_duplicates(NOTHING) == 0


def test_clauses_are_covered_by_what_lies_within_sixty_degrees() -> None:
    assert covered(at(0, 59, 121, 180), at(0, 30)) == 2
    assert covered(at(0), NOTHING) == 0
    assert covered(NOTHING, at(0)) == 0


def test_criteria_come_again_within_forty_one_degrees() -> None:
    # cos 41° = .755, cos 42° = .743
    assert reused(at(0, 90), at(41, 132)) == 1


def test_every_pair_of_runs_counts_and_runs_without_criteria_do_not() -> None:
    # 0 and 90 against 0: 2·1/3; against 90: 2/3; 0 against 90: 0
    assert run_to_run([at(0, 90), at(0), NOTHING, at(90)]) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert run_to_run([at(0), NOTHING]) is None
