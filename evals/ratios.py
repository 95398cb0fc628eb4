"""How sure a ratio of sums is, such as a share over many requests."""

from collections.abc import Sequence

import numpy as np

from quillgraph.evals.intervals import LEVEL, RESAMPLES, Estimate


def ratio_bootstrap(parts: Sequence[tuple[float, float]], *, seed: int = 0) -> Estimate:
    """Estimate Σ numerator / Σ denominator with an interval over prompts drawn with replacement.

    It is `cluster_bootstrap` of that ratio, computed at once for all resamples.

    Args:
        parts: Numerator and denominator of each prompt.
        seed: Of the drawing.
    """
    if not parts or not sum(whole for _, whole in parts):
        return Estimate(value=None, clusters=len(parts))
    table = np.asarray(parts, float)
    part, whole = table.sum(axis=0)
    if len(parts) < 2:
        return Estimate(value=float(part / whole), clusters=len(parts))
    picks = np.random.default_rng(seed).integers(len(parts), size=(RESAMPLES, len(parts)))
    sums = table[picks].sum(axis=1)
    known = sums[sums[:, 1] != 0]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known[:, 0] / known[:, 1], [tail, 1 - tail])
    return Estimate(
        value=float(part / whole),
        low=float(low),
        high=float(high),
        clusters=len(parts),
        undefined=RESAMPLES - len(known),
    )
