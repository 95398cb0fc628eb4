"""Measures of criteria that need neither people nor a judge (`ALGORITHM.md` 6.2, step 13).

All of them are of meaning: vectors are unit rows of one embedding model, so a cosine is a product.
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

import numpy as np
import numpy.typing as npt

from quillgraph.agents.grounded_theory.comparison import SIMILAR
from quillgraph.evals.measures.matching import NEAR
from quillgraph.evals.measures.repeatability import ALIKE, consistency

Vectors = npt.NDArray[np.float32]


def near_duplicates(criteria: Vectors) -> int:
    """Criteria that lie nearer than `SIMILAR` to one before them in the set."""
    cosines = np.tril(criteria @ criteria.T, -1)
    return int((cosines.max(axis=1) > SIMILAR).sum()) if len(criteria) else 0


def covered(clauses: Vectors, criteria: Vectors) -> int:
    """Clauses of a request that a criterion comes near (`NEAR`), whoever made it.

    What a study itself cites is another measure, and others have nothing like it.
    """
    return _within_reach(clauses, criteria, NEAR)


def reused(criteria: Vectors, others: Vectors) -> int:
    """Criteria that are also those of another request (`ALIKE`)."""
    return _within_reach(criteria, others, ALIKE)


def run_to_run(runs: Sequence[Vectors]) -> float | None:
    """How far several runs come to the same criteria: the mean F1 of all pairs of runs.

    Returns:
        From 0 to 1; None for fewer than two runs with criteria.
    """
    found = [run for run in runs if len(run)]
    pairs = [consistency(one, other) for one, other in combinations(found, 2)]
    return fmean(pairs) if pairs else None


def _within_reach(rows: Vectors, others: Vectors, least: float) -> int:
    if not len(rows) or not len(others):
        return 0
    return int(((rows @ others.T).max(axis=1) >= least).sum())
