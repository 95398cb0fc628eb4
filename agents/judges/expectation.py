"""A score as an expectation over its possible tokens (G-Eval, arXiv:2303.16634).

A sampled score of 7 hides whether the judge hesitated between 6 and 8. Where the engine returns the
probabilities of the other tokens, the mean over them says more, at the cost of the same call.
"""

import math
import re
from collections.abc import Sequence

from quillgraph.backends.messages import Alternative, Position

MOST_UNCLEAR = 0.05
"""Most probability that may lie on tokens whose score is not known."""

_SCORE = re.compile(r'"score"\s*:\s*')


def expected_scores(positions: Sequence[Position]) -> list[float | None]:
    """Read the expectation of each score in a JSON reply, in the order of the scores.

    Many tokenizers write 10 as `1` and `0`. Where the reply did not sample the `1`, nothing says
    how much of its probability belongs to 10. If that probability is more than `MOST_UNCLEAR`, the
    score has no expectation.

    Args:
        positions: The tokens of the reply with their alternatives.

    Returns:
        One number from 1 to 10 for each score; None where it cannot be read.
    """
    reply, starts = "", dict[int, int]()
    for place, position in enumerate(positions):
        starts[len(reply)] = place
        reply += position.text
    scores = []
    for match in _SCORE.finditer(reply):
        # blanks before the digit may be part of its token
        at = next((at for at in range(match.end(), match.start(), -1) if at in starts), None)
        scores.append(None if at is None else _expectation(positions, starts[at]))
    return scores


def _expectation(positions: Sequence[Position], place: int) -> float | None:
    masses: dict[int, float] = {}
    unclear = 0.0
    tokens = positions[place].alternatives
    writes_ten = any(token.text.strip() == "10" for token in tokens)
    for token in tokens:
        digits, mass = token.text.strip(), math.exp(token.logprob)
        if digits == "1" and not writes_ten:
            ten = _share_of_ten(positions, place)
            if ten is None:
                unclear += mass
                continue
            masses[10] = masses.get(10, 0.0) + mass * ten
            masses[1] = masses.get(1, 0.0) + mass * (1 - ten)
        elif digits.isdecimal() and 1 <= int(digits) <= 10:
            masses[int(digits)] = masses.get(int(digits), 0.0) + mass
        else:
            unclear += mass
    total = math.fsum(masses.values())
    if not total or unclear > MOST_UNCLEAR:
        return None
    return math.fsum(score * mass for score, mass in masses.items()) / total


def _share_of_ten(positions: Sequence[Position], place: int) -> float | None:
    """The share of a `1` that continues to 10; None where the reply did not sample the `1`."""
    if positions[place].text.strip() != "1" or place + 1 >= len(positions):
        return None
    return math.fsum(
        math.exp(token.logprob) for token in positions[place + 1].alternatives if _is_zero(token)
    )


def _is_zero(token: Alternative) -> bool:
    return token.text.startswith("0")
