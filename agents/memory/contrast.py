"""Contrast-aware weights, an option: a criterion weighs more the better it tells texts apart.

A criterion that scores all texts of a group alike has no effect on their advantages, so its weight
is wasted. POW3R (arXiv:2605.20164) reports that 37 to 57 % of rubric criteria do so, and that
weights by contrast reach the same plateau in fewer steps. The idea is theirs, the formula is ours.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import pstdev
from typing import Literal

from quillgraph.agents.domain import Criterion
from quillgraph.agents.judgements import Judgement, judged, unit
from quillgraph.agents.memory.known_criteria import TOP

FLOOR = 0.1
"""Share of its weight that a criterion always keeps, because another group may need it (ours)."""

Silence = Literal["saturated", "dead"]


def scores_of(
    criteria: Sequence[Criterion], group: Iterable[Judgement]
) -> dict[str, tuple[float, ...]]:
    """Scores of a group of texts on each criterion, by criterion id; missing verdicts are left out.

    Hard criteria are left out, because code decides them.
    """
    by_text = [judgement.scores for judgement in group]
    return {
        each.id: tuple(scores[each.id] for scores in by_text if each.id in scores)
        for each in judged(tuple(criteria))
    }


def spreads(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Standard deviation of each criterion's scores within a group, on the scale from 0 to 1.

    It is the standard deviation of a population, at most .5. A criterion with fewer than two scores
    is left out.
    """
    return {at: pstdev(map(unit, each)) for at, each in scores.items() if len(each) > 1}


def silent(scores: Mapping[str, Sequence[float]]) -> dict[str, Silence]:
    """Criteria that score all texts of a group alike: `saturated` at the top, `dead` below it."""
    return {
        at: "saturated" if min(each) >= TOP else "dead"
        for at, each in scores.items()
        if len(each) > 1 and len(set(each)) == 1
    }


def contrasted(
    criteria: Sequence[Criterion], discrimination: Mapping[str, float]
) -> tuple[Criterion, ...]:
    """Scale weights by measured discrimination; their sum stays the same.

    w' = c · w · (FLOOR + (1 - FLOOR) · d / max d), where d is the discrimination of a criterion and
    c keeps the sum over the criteria with a d. Hard criteria and those without a d keep their
    weights. If no criterion tells any texts apart, all weights stay as they are.

    Args:
        criteria: A whole set; its order is kept.
        discrimination: Spread of each criterion, 0 or more, by criterion id; unknown ids are
            ignored.

    Raises:
        ValueError: If a spread is negative or not a number.
    """
    if invalid := {at: d for at, d in discrimination.items() if not d >= 0 or math.isinf(d)}:
        raise ValueError(f"expected spreads of 0 or more, got {invalid}")
    measured = [each for each in judged(tuple(criteria)) if each.id in discrimination]
    most = max((discrimination[each.id] for each in measured), default=0.0)
    if not most:
        return tuple(criteria)
    scaled = {
        each.id: each.weight * (FLOOR + (1 - FLOOR) * (discrimination[each.id] / most))
        for each in measured
    }
    before, after = math.fsum(each.weight for each in measured), math.fsum(scaled.values())
    if not after:
        return tuple(criteria)
    return tuple(
        each.model_copy(update={"weight": scaled[each.id] * before / after})
        if each.id in scaled
        else each
        for each in criteria
    )
