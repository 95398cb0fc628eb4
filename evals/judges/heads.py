"""Fits and compares heads that map hidden states to points.

All heads are linear: with two thousand texts and as many numbers per text, non-linear heads
measured no better (LOG.md), and a linear one is a few kilobytes that anyone can read.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from quillgraph.agents.domain import Value
from quillgraph.evals.extra import from_extra
from quillgraph.evals.measures.agreement import Numbers, pair_accuracy, spearman

FOLDS = 5


@dataclass(frozen=True, slots=True)
class ScoredVectors:
    """Texts as vectors, with people's points."""

    states: Numbers
    """One row per text."""
    points: Numbers
    families: tuple[int, ...]
    """Texts of one family are versions of one another."""
    spoilt: "ScoredVectors | None" = None
    """Texts corrupted on purpose, in the families of their originals; used to fit, never to
    measure."""

    def where(self, mask: npt.NDArray[np.bool_]) -> "ScoredVectors":
        """Select texts, and the corrupted texts whose originals are all selected."""
        rest = {family for family, is_in in zip(self.families, mask, strict=True) if not is_in}
        spoilt = self.spoilt and self.spoilt._of(
            np.asarray([family not in rest for family in self.spoilt.families])
        )
        return ScoredVectors(*self._of(mask)._rows, spoilt)

    @property
    def _rows(self) -> tuple[Numbers, Numbers, tuple[int, ...]]:
        return self.states, self.points, self.families

    def _of(self, mask: npt.NDArray[np.bool_]) -> "ScoredVectors":
        families = tuple(f for f, is_in in zip(self.families, mask, strict=True) if is_in)
        return ScoredVectors(self.states[mask], self.points[mask], families)


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Points = states · weights + bias."""

    weights: Numbers
    bias: float

    def __call__(self, states: Numbers) -> Numbers:
        """Points of each text."""
        points: Numbers = states @ self.weights + self.bias
        return points


@dataclass(frozen=True, slots=True)
class Ridge:
    """Ridge regression on standardized states.

    Differences between versions of a text are more informative than those between texts: one
    writer scored both, and they differ in little but quality. So each family's deviations from
    its mean are extra rows.
    """

    penalty: float
    versions: float = 0.0
    """Weight of the deviations within a family; a text has weight 1."""

    def fit(self, scores: ScoredVectors) -> LinearHead:
        """Fit the line."""
        linear = from_extra("sklearn.linear_model", "heads")
        scaler = from_extra("sklearn.preprocessing", "heads").StandardScaler().fit(scores.states)
        rows, points, weights = [scaler.transform(scores.states)], [scores.points], []
        weights.append(np.ones(len(scores.points)))
        middle = float(scores.points.mean())
        if scores.spoilt:
            rows.append(scaler.transform(scores.spoilt.states))
            points.append(scores.spoilt.points)
            weights.append(np.ones(len(scores.spoilt.points)))
        if self.versions:
            inner = [_deviations(part, scores.families) for part in (rows[0], points[0] - middle)]
            rows.append(inner[0])
            points.append(inner[1] + middle)
            weights.append(np.full(len(inner[1]), self.versions))
        fitted = linear.Ridge(alpha=self.penalty, fit_intercept=False).fit(
            np.concatenate(rows), np.concatenate(points) - middle, np.concatenate(weights)
        )
        line = fitted.coef_ / scaler.scale_
        return LinearHead(line, middle - float(scaler.mean_ @ line))


@dataclass(frozen=True, slots=True)
class LeastSquares:
    """Partial least squares: a few directions of the states that covary with the points."""

    directions: int

    def fit(self, scores: ScoredVectors) -> LinearHead:
        """Fit the line."""
        states, points = scores.states, scores.points
        if scores.spoilt:
            states = np.concatenate([states, scores.spoilt.states])
            points = np.concatenate([points, scores.spoilt.points])
        regression = from_extra("sklearn.cross_decomposition", "heads").PLSRegression
        fitted = regression(self.directions).fit(states, points)
        bias = float(np.ravel(fitted.predict(np.zeros((1, states.shape[1]))))[0])
        return LinearHead(np.asarray(fitted.coef_, float).ravel(), bias)


Head = Ridge | LeastSquares

HEADS: dict[str, Head] = {
    "ridge": Ridge(10_000),
    "ridge with versions": Ridge(10_000, versions=2),
    "ridge with more of versions": Ridge(10_000, versions=5),
    "partial least squares": LeastSquares(4),
}
"""The heads to compare; their hyperparameters were chosen on the training files (LOG.md)."""


class Validation(Value):
    """Measures of a head on families of texts that it was not fitted to."""

    head: str
    spearman: float
    """Over all texts."""
    pair_accuracy: float
    """Over pairs of versions of a text with different points; .5 is chance."""
    pairs: int

    @property
    def merit(self) -> float:
        """Ranks heads: combines both measures, 0 being chance and 1 perfect."""
        return (self.spearman + 2 * self.pair_accuracy - 1) / 2


def predicted(head: Head, scores: ScoredVectors) -> Numbers:
    """Predict each text by a head fitted to the other folds; families are never split."""
    fold = np.asarray([_fold(family) for family in scores.families])
    points = np.zeros(len(scores.points))
    for number in range(FOLDS):
        out = fold == number
        if out.any() and not out.all():
            points[out] = head.fit(scores.where(~out))(scores.states[out])
    return points


def validate(name: str, points: Numbers, scores: ScoredVectors) -> Validation:
    """Measure predicted points."""
    pairs = [(points[better], points[worse]) for better, worse in _versions(scores)]
    return Validation(
        head=name,
        spearman=spearman(points.tolist(), scores.points.tolist()) or 0.0,
        pair_accuracy=pair_accuracy(pairs) or 0.5,
        pairs=len(pairs),
    )


def _versions(scores: ScoredVectors) -> list[tuple[int, int]]:
    """Pairs of versions of one text, the better one first."""
    members: dict[int, list[int]] = {}
    for n, family in enumerate(scores.families):
        members.setdefault(family, []).append(n)
    pairs = []
    for versions in members.values():
        for one, other in combinations(versions, 2):
            if scores.points[one] != scores.points[other]:
                better = max(one, other, key=lambda n: scores.points[n])
                pairs.append((better, one + other - better))
    return pairs


def _deviations(values: Numbers, families: Sequence[int]) -> Numbers:
    """Each value minus the mean of its family."""
    numbers = np.unique(families, return_inverse=True)[1]
    counts = np.bincount(numbers)
    sums = np.zeros((len(counts), *values.shape[1:]))
    np.add.at(sums, numbers, values)
    means = sums / counts.reshape(-1, *[1] * (values.ndim - 1))
    deviations: Numbers = values - means[numbers]
    return deviations


def _fold(family: int) -> int:
    return hashlib.sha256(f"fold/{family}".encode()).digest()[0] % FOLDS
