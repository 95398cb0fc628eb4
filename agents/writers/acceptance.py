"""Acceptance: which revision may replace the text before it (`ALGORITHM.md` 6.4, step 3)."""

from collections.abc import Sequence
from statistics import fmean

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.judgements import Judgement, Reward, judged, unit
from quillgraph.agents.writers.reflection import weakest

LEAST_GAIN = 0.02
"""Rise of the reward that a revision must bring; it should be twice the standard error of the
judge or more."""

MOST_FALL = 1.0
"""Points that an essential criterion may lose."""

GOOD_ENOUGH = 0.9
"""Reward, or mean of the weakest criteria, above which there is nothing left to gain."""

MOST_REFUSALS = 2
"""Refused revisions in a row after which the loop ends."""


def refusals(
    criteria_set: CriteriaSet,
    tried: tuple[Judgement, Reward],
    best: tuple[Judgement, Reward],
    first: tuple[Judgement, Reward],
) -> tuple[str, ...]:
    """Say why a revision is refused; no reason accepts it.

    Compared with the best text so far, it must add no violation and raise the reward by
    `LEAST_GAIN`, or mend a violation and lose nothing. No essential criterion may fall by more than
    `MOST_FALL`, compared with the best text or, over several falls, with the first draft. So in a
    loop that accepts by this rule, the last accepted text is never worse than the first under the
    same scores.
    """
    (judgement, reward), (before, standard) = tried, best
    if judgement.gate:
        return (f"turned away before a judge was asked: {judgement.gate}",)
    if reward.value is None or standard.value is None:
        return ("no reward: " + _unread(reward if reward.value is None else standard),)
    reasons = [
        f"adds a violation: {broken.reason}"
        for broken in judgement.violations
        if broken.criterion_id not in before.violated
    ]
    gain = reward.value - standard.value
    mends = judgement.violated < before.violated
    needed = 0.0 if mends else LEAST_GAIN
    if gain < needed:
        reasons.append(f"the reward changes by {gain:+.3f}, {needed:+.3f} is needed")
    for criterion in judged(criteria_set.criteria):
        if criterion.tier == "essential":
            reasons += _falls(criterion.id, criterion.name, judgement, before, first[0])
    return tuple(reasons)


def stop_reason(
    criteria_set: CriteriaSet,
    best: tuple[Judgement, Reward],
    decisions: Sequence[bool],
    rounds: int,
) -> str | None:
    """Say why the loop ends here; None to go on.

    Args:
        criteria_set: The criteria.
        best: Judgement and reward of the best text so far.
        decisions: Whether each revision so far was accepted, in order.
        rounds: Most revisions.
    """
    judgement, reward = best
    if reward.value is None:
        return "no reward: " + _unread(reward)
    if len(decisions) >= rounds:
        return f"{rounds} rounds are over"
    if list(decisions[-MOST_REFUSALS:]) == [False] * MOST_REFUSALS:
        return f"{MOST_REFUSALS} revisions running were refused"
    # a text that breaks a demand of the request is never good enough
    if judgement.violated:
        return None
    if reward.value >= GOOD_ENOUGH:
        return f"the reward is {reward.value:.3f}, {GOOD_ENOUGH} is good enough"
    weak = [unit(judgement.scores[criterion.id]) for criterion in weakest(criteria_set, judgement)]
    if fmean(weak) >= GOOD_ENOUGH:
        return "even the weakest criteria are met well"
    return None


def _falls(
    criterion_id: str, name: str, revision: Judgement, before: Judgement, first: Judgement
) -> list[str]:
    now = revision.scores.get(criterion_id)
    if now is None:
        return [f"no verdict on {name}"]
    floor = max(j.scores.get(criterion_id, 0.0) for j in (before, first))
    if floor - now <= MOST_FALL:
        return []
    return [f"{name} falls from {floor:g} to {now:g}"]


def _unread(reward: Reward) -> str:
    return f"no verdict on {', '.join(reward.excluded) or 'any criterion'}"
