"""Repeatability: how many criteria recur in the library, and in a second study of a request.

Reported measures of `ALGORITHM.md` 6.2, step 13, after LOGOS.
"""

from collections.abc import Collection, Sequence

import numpy as np

from quillgraph.backends.embeddings import Vectors

ALIKE = 0.75
"""Cosine from which criteria of two runs count as one (`ALGORITHM.md` 6.2, step 13)."""


def reusability(criteria: Sequence[Collection[str]], matched: Sequence[Collection[str]]) -> float:
    """Share of the criteria of held-out requests that the library knew already.

    Args:
        criteria: For each request the ids of its criteria that a judge scores.
        matched: For each request the ids of those among them that were known.

    Returns:
        From 0 to 1, every criterion counting the same.

    Raises:
        ValueError: If there are no criteria, if the requests are not the same, or if something
            was matched that is no criterion.
    """
    for own, known in zip(criteria, matched, strict=True):
        if stray := set(known) - set(own):
            raise ValueError(f"expected ids of criteria, got {sorted(stray)}")
    total = sum(map(len, criteria))
    if not total:
        raise ValueError("expected at least one criterion, got none: nothing can be shared")
    return sum(map(len, matched)) / total


def greedy_pairs(left: Vectors, right: Vectors) -> tuple[tuple[int, int], ...]:
    """Match rows one to one at a cosine of `ALIKE` or more, the nearest pair first.

    Args:
        left: Unit rows, shape (n, dimensions).
        right: Unit rows, shape (m, dimensions).

    Returns:
        Pairs of places, in the order in which they were matched.
    """
    if not len(left) or not len(right):
        return ()
    cosines = left @ right.T
    # ties go by place, so that the order of equal pairs does not depend on the sort
    order = np.argsort(-cosines, axis=None, kind="stable")
    free_left, free_right = set(range(len(left))), set(range(len(right)))
    pairs = []
    for flat in order.tolist():
        a, b = divmod(flat, len(right))
        if cosines[a, b] < ALIKE:
            break
        if a in free_left and b in free_right:
            pairs.append((a, b))
            free_left.remove(a)
            free_right.remove(b)
    return tuple(pairs)


def consistency(left: Vectors, right: Vectors) -> float:
    """Agreement of two independent studies of a request on their criteria: an F1.

    F1 = 2·matched / (n + m), with the criteria matched as `greedy_pairs` says.

    Args:
        left: Unit vectors of the one study's criteria, shape (n, dimensions).
        right: Those of the other, shape (m, dimensions).

    Raises:
        ValueError: If neither study has a criterion.
    """
    total = len(left) + len(right)
    if not total:
        raise ValueError("expected criteria of at least one study, got none")
    return 2 * len(greedy_pairs(left, right)) / total
