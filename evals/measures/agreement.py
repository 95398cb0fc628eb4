"""Agreement of two or more raters, such as a judge and people.

Every measure returns None if the data leave it undefined (all in one class, no pair, no spread):
an undefined agreement is absent, not zero.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quillgraph.backends.errors import InputError
from quillgraph.evals.extra import from_extra

Scale = Literal["nominal", "ordinal", "interval"]
Numbers = NDArray[np.float64]


def cohen_kappa(left: Sequence[Hashable], right: Sequence[Hashable]) -> float | None:
    """Agreement of two raters beyond chance: κ = (P - Pe) / (1 - Pe) (Cohen 1960).

    scikit-learn's `cohen_kappa_score` gives the same number and takes 20 times as long, which a
    bootstrap repeats 2,000 times.

    Args:
        left: Label of each item by one rater.
        right: Label of each item by the other.

    Returns:
        κ, at most 1; None if there is no item, or both raters gave one and the same label.

    Raises:
        InputError: If the raters did not rate the same number of items.
    """
    _same_length(left, right)
    if len({*left, *right}) < 2:
        return None
    items, own, other = len(left), Counter(left), Counter(right)
    agreed = sum(a == b for a, b in zip(left, right, strict=True)) / items
    by_chance = sum(own[label] * other[label] for label in own) / items**2
    return (agreed - by_chance) / (1 - by_chance)


def krippendorff_alpha(
    ratings: Sequence[Sequence[float | None]], scale: Scale = "nominal"
) -> float | None:
    """Agreement of any number of raters; each may leave items out.

    α = 1 - (n - 1) Σ o·δ² / Σ n_c·n_k·δ², over the coincidences o of values within an item
    (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability").

    Args:
        ratings: One row for each rater, one value for each item; None where it was left out.
        scale: What a difference between two values means.

    Returns:
        α, at most 1; None if no item has two values, or all values are one.

    Raises:
        InputError: If the rows differ in length.
    """
    if len({len(row) for row in ratings}) > 1:
        raise InputError(
            "expected a value or None of each rater for each item, got rows of "
            f"{sorted({len(row) for row in ratings})} items"
        )
    items = [[v for v in column if v is not None] for column in zip(*ratings, strict=True)]
    paired = [values for values in items if len(values) > 1]
    labels = sorted({value for values in paired for value in values})
    if len(labels) < 2:
        return None
    counts = np.asarray([[values.count(label) for label in labels] for values in paired], float)
    sizes = counts.sum(1)
    coincidences = (counts.T / (sizes - 1)) @ counts
    coincidences -= np.diag((counts / (sizes - 1)[:, None]).sum(0))
    totals = coincidences.sum(0)
    distances = _DISTANCES[scale](np.asarray(labels, float), totals)
    by_chance = (np.outer(totals, totals) * distances).sum()
    return float(1 - (totals.sum() - 1) * (coincidences * distances).sum() / by_chance)


def pair_accuracy(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    """Share of pairs in which the preferred text got the higher score; a tie is half a hit.

    Args:
        pairs: Scores of the preferred and of the other text. Pairs that lack one are left out;
            the caller counts them.

    Returns:
        From 0 to 1, where .5 is chance; None if no pair has both scores.
    """
    hits = [
        0.5 if better == worse else float(better > worse)
        for better, worse in pairs
        if better is not None and worse is not None
    ]
    return float(np.mean(hits)) if hits else None


def spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Rank correlation, ties sharing their mean rank; None if either side has no spread.

    Raises:
        ConfigError: If SciPy is not installed.
        InputError: If the sides differ in length.
    """
    _same_length(left, right)
    if len(set(left)) < 2 or len(set(right)) < 2:
        return None
    stats = from_extra("scipy.stats", "rank correlations")
    return float(stats.spearmanr(left, right).statistic)


def spearman_within(groups: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float | None:
    """Mean rank correlation within groups, so that easy prompts do not pass for good judging.

    Args:
        groups: For each prompt the judge's and the people's scores of its texts.

    Returns:
        Mean over the groups in which it is defined; None if there is no such group.
    """
    correlations = [value for group in groups if (value := spearman(*group)) is not None]
    return float(np.mean(correlations)) if correlations else None


def _nominal(labels: Numbers, totals: Numbers) -> Numbers:
    return np.asarray(labels[:, None] != labels[None, :], float)


def _interval(labels: Numbers, totals: Numbers) -> Numbers:
    return np.asarray((labels[:, None] - labels[None, :]) ** 2)


def _ordinal(labels: Numbers, totals: Numbers) -> Numbers:
    # δ = the values that lie between two, each end counted half
    upto = np.cumsum(totals) - totals / 2
    return np.asarray((upto[:, None] - upto[None, :]) ** 2)


_DISTANCES: dict[Scale, Callable[[Numbers, Numbers], Numbers]] = {
    "nominal": _nominal,
    "ordinal": _ordinal,
    "interval": _interval,
}


def _same_length(left: Sequence[object], right: Sequence[object]) -> None:
    if len(left) != len(right):
        raise InputError(
            f"expected as many ratings on either side, got {len(left)} and {len(right)}"
        )
