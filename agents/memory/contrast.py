"""Weights that follow what criteria tell apart: contrast-aware weights, as an option.

In a group of texts a criterion that scores them all alike moves no advantage, and its weight is
idle. POW3R (arXiv:2605.20164) found 37 to 57 % of rubric criteria to be like that, and fewer steps
to the same plateau with weights by contrast. The idea is theirs, the formula is ours.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import pstdev
from typing import Literal

from quillgraph.agents.domain import Criterion
from quillgraph.agents.judgements import Judgement, judged, unit
from quillgraph.agents.memory.known_criteria import TOP

FLOOR = 0.1
"""Part of its weight that a criterion keeps in any case: another group may need it (ours)."""

Silence = Literal["saturated", "dead"]


def scores_of(
    criteria: Sequence[Criterion], group: Iterable[Judgement]
) -> dict[str, tuple[float, ...]]:
    """Criterion id to the scores of a group on it; missing verdicts are left out.

    Hard criteria are left out: code decides them.
    """
    by_text = [judgement.scores for judgement in group]
    return {
        each.id: tuple(scores[each.id] for scores in by_text if each.id in scores)
        for each in judged(tuple(criteria))
    }


def spreads(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Standard deviation of each criterion's scores within a group, on the scale from 0 to 1.

    It is that of the population, at most .5; fewer than two scores tell nothing and give none.
    """
    return {at: pstdev(map(unit, each)) for at, each in scores.items() if len(each) > 1}


def silent(scores: Mapping[str, Sequence[float]]) -> dict[str, Silence]:
    """Criteria that tell no texts of a group apart: all at the top, or all equally below it."""
    return {
        at: "saturated" if min(each) >= TOP else "dead"
        for at, each in scores.items()
        if len(each) > 1 and len(set(each)) == 1
    }


def contrasted(
    criteria: Sequence[Criterion], discrimination: Mapping[str, float]
) -> tuple[Criterion, ...]:
    """Scale weights by measured discrimination; what they add up to stays the same.

    w' = c · w · (FLOOR + (1 - FLOOR) · d / max d), with c such that the sum over the criteria with
    evidence is what it was. Hard criteria and those without evidence keep their weights, and so do
    all where nothing tells any texts apart.

    Args:
        criteria: A whole set; its order is kept.
        discrimination: Criterion id to its spread, 0 or more; ids of no criterion are passed over.

    Raises:
        ValueError: If a spread is negative or not a number.
    """
    if wrong := {at: d for at, d in discrimination.items() if not d >= 0 or math.isinf(d)}:
        raise ValueError(f"expected spreads of 0 or more, got {wrong}")
    measured = [each for each in judged(tuple(criteria)) if each.id in discrimination]
    most = max((discrimination[each.id] for each in measured), default=0.0)
    if not most:
        return tuple(criteria)
    scaled = {
        each.id: each.weight * (FLOOR + (1 - FLOOR) * (discrimination[each.id] / most))
        for each in measured
    }
    whole, now = math.fsum(each.weight for each in measured), math.fsum(scaled.values())
    if not now:
        return tuple(criteria)
    return tuple(
        each.model_copy(update={"weight": scaled[each.id] * whole / now})
        if each.id in scaled
        else each
        for each in criteria
    )
