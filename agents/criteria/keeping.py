"""Which criteria stay when the repairs are over, and under which names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quillgraph.agents.criteria.validation import Fault, Finding
from quillgraph.agents.domain import Criterion, Dropped

LEAST_HARM: tuple[Fault, ...] = ("flat", "exploitable", "duplicate", "ungrounded")
"""Faults in the order in which their criteria are spared when too few would be left."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What becomes of the criteria."""

    criteria: tuple[Criterion, ...]
    spared: tuple[Criterion, ...]
    """Those among them that were refused and are kept all the same."""
    dropped: tuple[Dropped, ...]


def keep(criteria: Sequence[Criterion], refused: Mapping[str, Finding], *, fewest: int) -> Kept:
    """Drop the refused criteria, but not so many that fewer than `fewest` would be left."""
    good = sum(criterion.id not in refused for criterion in criteria)
    bad = sorted(
        (criterion for criterion in criteria if criterion.id in refused),
        key=lambda criterion: LEAST_HARM.index(refused[criterion.id].fault),
    )
    room = max(0, fewest - good)
    lost = {criterion.id for criterion in bad[room:]}
    return Kept(
        criteria=tuple(criterion for criterion in criteria if criterion.id not in lost),
        spared=tuple(bad[:room]),
        dropped=tuple(
            Dropped(
                stage="criteria",
                agent="validator",
                reason=refused[criterion.id].fault,
                text=criterion.name,
            )
            for criterion in bad[room:]
        ),
    )


def uniquely_named(
    criteria: Sequence[Criterion], dimensions: Mapping[str, str]
) -> tuple[Criterion, ...]:
    """Tell namesakes apart by the property that each of them tests.

    Args:
        criteria: The criteria.
        dimensions: Criterion id to the name of its property.
    """
    named: dict[str, Criterion] = {}
    for criterion in criteria:
        name = criterion.name
        if name.casefold() in named:
            name = f"{name} ({dimensions.get(criterion.id, criterion.kind)})"
        number = 2
        while name.casefold() in named:
            name, number = f"{criterion.name} ({number})", number + 1
        named[name.casefold()] = criterion.model_copy(update={"name": name})
    return tuple(named.values())
