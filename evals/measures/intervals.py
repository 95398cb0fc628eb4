"""Bootstrap intervals that respect the dependence of ratings within a prompt."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from quillgraph.agents.domain import Value
from quillgraph.backends.errors import InputError

T = TypeVar("T")

RESAMPLES = 2000
LEVEL = 0.95


class Estimate(Value):
    """A number with its 95 % confidence interval."""

    value: float | None
    """None if the data leave it undefined."""
    low: float | None = None
    high: float | None = None
    clusters: int = 0
    """Independent pieces of evidence: prompts, not ratings."""
    undefined: int = 0
    """Resamples that left the number undefined; the interval excludes them."""


def cluster_bootstrap(
    rows: Sequence[T],
    cluster_of: Callable[[T], Hashable],
    measure: Callable[[Sequence[T]], float | None],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Estimate a measure with a percentile interval over clusters drawn with replacement.

    Ratings of one prompt are not independent: drawing single ratings would make the interval too
    narrow. A single cluster has no interval.

    Args:
        rows: The data.
        cluster_of: What a row belongs to, such as its prompt.
        measure: The number, from rows; None where they leave it undefined.
        resamples: How many times the clusters are drawn anew.
        seed: Of the drawing.

    Raises:
        InputError: If `resamples` is below 100: its ends would be noise.
    """
    _check(resamples)
    clusters: dict[Hashable, list[T]] = {}
    for row in rows:
        clusters.setdefault(cluster_of(row), []).append(row)
    members, value = list(clusters.values()), measure(rows)
    if value is None or len(members) < 2:
        return Estimate(value=value, clusters=len(members))
    generator = np.random.default_rng(seed)
    resampled = (
        measure([row for n in picks for row in members[n]])
        for picks in generator.integers(len(members), size=(resamples, len(members)))
    )
    defined = [number for number in resampled if number is not None]
    low, high = (None, None) if not defined else _ends(defined)
    return Estimate(
        value=value,
        low=low,
        high=high,
        clusters=len(members),
        undefined=resamples - len(defined),
    )


def ratio_bootstrap(
    parts: Sequence[tuple[float, float]], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Estimate Σ numerator / Σ denominator, such as a share over many prompts.

    Equals `cluster_bootstrap` of that ratio, vectorized over all resamples.

    Args:
        parts: Numerator and denominator of each cluster.
        resamples: How many times the clusters are drawn anew.
        seed: Of the drawing.

    Raises:
        InputError: If `resamples` is below 100.
    """
    _check(resamples)
    if not parts or not sum(whole for _, whole in parts):
        return Estimate(value=None, clusters=len(parts))
    table = np.asarray(parts, float)
    part, whole = table.sum(axis=0)
    if len(parts) < 2:
        return Estimate(value=float(part / whole), clusters=len(parts))
    picks = np.random.default_rng(seed).integers(len(parts), size=(resamples, len(parts)))
    sums = table[picks].sum(axis=1)
    defined = sums[sums[:, 1] != 0]
    low, high = _ends(defined[:, 0] / defined[:, 1])
    return Estimate(
        value=float(part / whole),
        low=low,
        high=high,
        clusters=len(parts),
        undefined=resamples - len(defined),
    )


def mean_bootstrap(
    values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Estimate the mean of values that are independent of each other, one for each cluster.

    Raises:
        InputError: If `resamples` is below 100.
    """
    return ratio_bootstrap([(value, 1.0) for value in values], resamples=resamples, seed=seed)


def paired_bootstrap(
    left: Sequence[float], right: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Estimate the mean of `left - right`, both measured on the same prompts in the same order.

    Raises:
        InputError: If the sides differ in length.
    """
    if len(left) != len(right):
        raise InputError(
            f"expected both sides measured on the same prompts, got {len(left)} and {len(right)}"
        )
    differences = [a - b for a, b in zip(left, right, strict=True)]
    return mean_bootstrap(differences, resamples=resamples, seed=seed)


def _check(resamples: int) -> None:
    if resamples < 100:
        raise InputError(f"expected 100 resamples or more, got {resamples}")


def _ends(numbers: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(numbers, [tail, 1 - tail])
    return float(low), float(high)
