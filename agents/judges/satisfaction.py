"""How nearly a text keeps what code can check, where yes or no would teach a beginner nothing.

A model that breaks a demand in nearly every text gets the same reward for all of them, and learns
from none. So training may ask how far off a text is. The degrees are ours; `Check.violation` alone
decides whether a demand is kept.
"""

from collections.abc import Sequence

from quillgraph.agents.checks.check import Check, MustInclude, MustNotInclude
from quillgraph.agents.checks.count import CountRange
from quillgraph.agents.domain import Criterion
from quillgraph.agents.judgements import checked

EXACT_SHARE = 0.5
"""What a demand that is kept is worth beyond one that is all but kept."""


def satisfaction(check: Check, text: str) -> float:
    """Rate from 0 to 1 how nearly a text keeps a demand; 1 just where it keeps it.

    `EXACT_SHARE` is for keeping it. The rest is for coming near: a count of n beyond a bound b is
    worth min(n, b) / max(n, b), so that it has a slope however far off it is; words that must
    stand in the text are worth the share that stand there. Other demands have no degrees.
    """
    if check.violation(text) is None:
        return 1.0
    return (1 - EXACT_SHARE) * _nearness(check, text)


def satisfied_share(criteria: Sequence[Criterion], text: str) -> float | None:
    """Weigh together how nearly a text keeps the hard criteria; None where there are none."""
    hard = [each for each in checked(tuple(criteria)) if each.check is not None]
    total = sum(each.weight for each in hard)
    if not total:
        return None
    return sum(each.weight * satisfaction(each.check, text) for each in hard if each.check) / total


def _nearness(check: Check, text: str) -> float:
    match check:
        case CountRange():
            return max(_closeness(count, check) for count in check.counts(text))
        case MustInclude() | MustNotInclude():
            return _kept_terms(check, text)
    return 0.0


def _closeness(count: int, asked: CountRange) -> float:
    low, high = asked.min or 0, asked.max
    bound = low if count < low or high is None else high
    return min(count, bound) / max(count, bound)


def _kept_terms(check: MustInclude | MustNotInclude, text: str) -> float:
    """Share of the terms that alone would be no complaint; a choice of terms counts as one."""
    parts: list[Check] = [
        check.model_copy(update={"terms": (term,), **_no_choice(check)}) for term in check.terms
    ]
    if isinstance(check, MustInclude) and check.any_of:
        parts.append(check.model_copy(update={"terms": ()}))
    return sum(part.violation(text) is None for part in parts) / len(parts)


def _no_choice(check: MustInclude | MustNotInclude) -> dict[str, tuple[str, ...]]:
    return {"any_of": ()} if isinstance(check, MustInclude) else {}
