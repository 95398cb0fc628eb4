"""Maps from a judge's scores to the scale of people's, and how far off the scores were."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from quillgraph.agents.domain import Value
from quillgraph.backends.errors import InputError
from quillgraph.evals.extra import from_extra
from quillgraph.evals.measures.agreement import Numbers

Method = Literal["isotonic", "linear"]

BANDS = 10
"""Most bands of a calibration curve."""


class Calibration(Value):
    """A rising map from a judge's scores to people's: straight lines between knots."""

    method: Method
    knots: tuple[tuple[float, float], ...] = Field(min_length=1)
    """Judge's score and people's score, both rising; constant beyond the first and last knot."""
    fitted_on: int
    """Pairs that it was fitted on. Their error is no evidence of its quality."""

    def __call__(self, score: float) -> float:
        """The score that people would give."""
        judged, human = zip(*self.knots, strict=True)
        return float(np.interp(score, judged, human))


class Band(Value):
    """A band of close judge's scores, and people's scores of the same texts."""

    judged: float
    human: float
    count: int


def fit(judged: Sequence[float], human: Sequence[float], method: Method) -> Calibration:
    """Fit a calibration that never falls, by least squares.

    Args:
        judged: The judge's scores.
        human: People's scores of the same texts.
        method: `isotonic` (pool adjacent violators) follows the data and needs some dozens of
            pairs; `linear` is one straight line, or a constant if it would fall.

    Raises:
        InputError: If the sides differ in length or there are fewer than two pairs.
    """
    if len(judged) != len(human) or len(judged) < 2:
        raise InputError(
            f"expected two or more pairs of scores to calibrate on, got {len(judged)} of the judge "
            f"and {len(human)} of people"
        )
    order = np.argsort(judged, kind="stable")
    x, y = np.asarray(judged, float)[order], np.asarray(human, float)[order]
    places, first, counts = np.unique(x, return_index=True, return_counts=True)
    means = np.add.reduceat(y, first) / counts
    knots = (_isotonic if method == "isotonic" else _line)(places, means, counts.astype(float))
    return Calibration(method=method, knots=knots, fitted_on=len(judged))


def leniency(judged: Sequence[float], human: Sequence[float]) -> float | None:
    """Mean points by which the judge scores above people; None without a pair."""
    differences = [a - b for a, b in zip(judged, human, strict=True)]
    return float(np.mean(differences)) if differences else None


def curve(judged: Sequence[float], human: Sequence[float]) -> tuple[Band, ...]:
    """Mean scores of people over bands of the judge's, each of about as many texts."""
    pairs = sorted(zip(judged, human, strict=True))
    parts = np.array_split(np.asarray(pairs, float).reshape(-1, 2), min(BANDS, max(len(pairs), 1)))
    return tuple(
        Band(judged=float(part[:, 0].mean()), human=float(part[:, 1].mean()), count=len(part))
        for part in parts
        if len(part)
    )


Knots = tuple[tuple[float, float], ...]


def _isotonic(places: Numbers, means: Numbers, counts: Numbers) -> Knots:
    optimize = from_extra("scipy.optimize", "calibrations")
    risen = optimize.isotonic_regression(means, weights=counts).x
    return tuple(zip(map(float, places), map(float, risen), strict=True))


def _line(places: Numbers, means: Numbers, counts: Numbers) -> Knots:
    x, y, weights = places, means, counts
    centre_x, centre_y = np.average(x, weights=weights), np.average(y, weights=weights)
    spread = float((weights * (x - centre_x) ** 2).sum())
    slope = float((weights * (x - centre_x) * (y - centre_y)).sum()) / spread if spread else 0.0
    slope = max(slope, 0.0)
    ends = (float(x[0]), float(x[-1])) if len(x) > 1 else (float(x[0]),)
    return tuple((end, float(centre_y + slope * (end - centre_x))) for end in ends)
