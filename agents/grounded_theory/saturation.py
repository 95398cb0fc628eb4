"""Saturation: when further incidents stop bringing new codes."""

from collections.abc import Sequence

BASE = 4
RUN = 2
THRESHOLD = 0.05
"""Base size, run length and new-information threshold of Guest, Namey and Chen 2020
(doi:10.1371/journal.pone.0232076)."""


def new_code_ratio(new_codes: Sequence[int], base: int = BASE, run: int = RUN) -> float | None:
    """New codes in the last `run` incidents, relative to those in the first `base`.

    Args:
        new_codes: Number of new codes from each incident, in the order of coding.
        base: Number of first incidents, which start the codebook.
        run: Number of last incidents, which are searched for new codes.

    Returns:
        The ratio, or None while there are fewer than `base + run` incidents.
    """
    if len(new_codes) < base + run:
        return None
    return sum(new_codes[-run:]) / max(1, sum(new_codes[:base]))


def is_saturated(new_codes: Sequence[int]) -> bool:
    """Whether the incidents have stopped bringing new codes; False before `BASE + RUN` of them."""
    ratio = new_code_ratio(new_codes)
    return ratio is not None and ratio <= THRESHOLD
