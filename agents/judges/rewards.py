"""The reward of a text, from its verdicts, length and repetition (`ALGORITHM.md` 6.3).

Demands that code checks count too. A model that breaks one in nearly every text would get the same
reward for all of them and learn from none, so training may also use how near a text comes. These
degrees are ours; `Check.violation` alone decides whether a demand is kept.
"""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.count import CharCount, WordCount
from quillgraph.agents.domain import CriteriaSet, Criterion
from quillgraph.agents.judgements import (
    CODE,
    Judgement,
    Reward,
    checked,
    judged,
    text_hash,
    unit,
)
from quillgraph.agents.text import measures
from quillgraph.agents.text.measures import ngrams, tokens
from quillgraph.backends.errors import InputError

EXACT_SHARE = 0.5
"""What keeping a demand is worth beyond nearly keeping it."""


def satisfaction(check: Check, text: str) -> float:
    """Rate from 0 to 1 how nearly a text keeps a demand; 1 only where it keeps it.

    Keeping the demand earns `EXACT_SHARE`; the rest is `Check.nearness`: a count has a slope at any
    distance, each demanded word counts, and other demands have no degrees.
    """
    if check.violation(text) is None:
        return 1.0
    return (1 - EXACT_SHARE) * check.nearness(text)


def satisfied_share(criteria: Sequence[Criterion], text: str) -> float | None:
    """Weighted mean of how nearly a text keeps the hard criteria; None where there are none."""
    hard = [each for each in checked(tuple(criteria)) if each.check is not None]
    total = sum(each.weight for each in hard)
    if not total:
        return None
    return sum(each.weight * satisfaction(each.check, text) for each in hard if each.check) / total


SOFT_SHARE, LENGTH_SHARE, REPETITION_SHARE = 0.85, 0.10, 0.05
"""Weights of the composite, ours (`ALGORITHM.md` 6.3.7)."""

FREE_REPETITION = 0.05
"""Share of repeated 4-grams that costs nothing: refrains and names, ours (`ALGORITHM.md` 6.3.6)."""

LONGEST = 2
"""Multiple of the upper end at which the length term reaches 0: L_max = 2·hi is our choice. The
plateau with its two slopes is LongWriter-Zero's (arXiv:2506.18841)."""

GRAM = 4


@dataclass(frozen=True, slots=True)
class LengthRange:
    """The length that a request asks for; both ends are inclusive."""

    lo: int
    hi: int | None
    """None where there is no upper end."""
    counted: Literal["words", "characters"]
    """What is counted, by `measures.word_count` (also 字数) or `measures.character_count`."""


def length_range(criteria: Sequence[Criterion]) -> LengthRange | None:
    """Read the demanded length from the hard criteria that count the whole text.

    Where several count in the unit of the first, the length has to lie in all their ranges; if no
    length can, the first range is used.

    Returns:
        The range of their `WordCount` or `CharCount`, 0 for a lower end that is open; None where
        no criterion has such a check.
    """
    ranges = [length for each in checked(tuple(criteria)) if (length := _range_of(each))]
    if not ranges:
        return None
    first = ranges[0]
    alike = [each for each in ranges if each.counted == first.counted]
    lo = max(each.lo for each in alike)
    hi = min((each.hi for each in alike if each.hi is not None), default=None)
    return first if hi is not None and hi < lo else LengthRange(lo, hi, first.counted)


def length_term(text: str, wanted: LengthRange) -> float:
    """Rate the length of a text from 0 to 1 (`ALGORITHM.md` 6.3.6).

    1 within the range, L/lo below it, and above it a line that falls to 0 at `LONGEST` times hi.
    Where the upper end is 0 there is no such line: any length above it gives 0.
    """
    counts = {"words": measures.word_count, "characters": measures.character_count}
    length = counts[wanted.counted](text)
    if length < wanted.lo:
        return length / wanted.lo
    if wanted.hi is None or length <= wanted.hi:
        return 1.0
    most = LONGEST * wanted.hi
    return max(0.0, (most - length) / (most - wanted.hi)) if wanted.hi else 0.0


def repetition_term(text: str) -> float:
    """Rate from 0 to 1 how little a text repeats itself (`ALGORITHM.md` 6.3.6).

    r = 1 - max(0, dup - .05) / .95, where dup is the share of 4-grams that occurred before in
    the text. A cost for repetition is LongWriter-Zero's idea (arXiv:2506.18841), the formula is
    ours. A text of fewer than four tokens has no 4-gram and repeats nothing.
    """
    grams = ngrams(tokens(text), GRAM)
    repeated = 1 - len(set(grams)) / len(grams) if grams else 0.0
    return 1 - max(0.0, repeated - FREE_REPETITION) / (1 - FREE_REPETITION)


def weighted_score(scores: Mapping[str, float], criteria: Sequence[Criterion]) -> float | None:
    """Take the weighted mean of the scores: S = Σ w·(s - 1)/9 / Σ w (`ALGORITHM.md` 6.3.3).

    The sum is that of Rubrics as Rewards (arXiv:2507.17746). Sums are exact until they are
    rounded once, so the order of criteria cannot matter.

    Args:
        scores: Criterion id to a score from 1 to 10.
        criteria: The active criteria; hard ones among them are skipped.

    Returns:
        S, from 0 to 1, over the criteria that have a score; None where their weights are 0.
    """
    scored = [each for each in judged(tuple(criteria)) if each.id in scores]
    total = math.fsum(each.weight for each in scored)
    if not total:
        return None
    return math.fsum(each.weight * unit(scores[each.id]) for each in scored) / total


def reward(
    judgement: Judgement,
    criteria_set: CriteriaSet,
    text: str,
    *,
    active: AbstractSet[str] | None = None,
    most_missing: float = 0.0,
    hard_share: float = 0.0,
) -> Reward:
    """Turn a judgement into one number: R = .85·S + .10·length + .05·repetition.

    Where no length is asked for, its weight goes to S (`ALGORITHM.md` 6.3.7). A text that the gate
    refused has S = 0 and R = 0 (6.3.5). Broken hard criteria are listed and cost nothing here:
    their cost depends on the group. But where no criterion needs a judge, or no judge was asked, H
    replaces S and the length term: R = .95·H + .05·repetition (ours). H is how nearly the hard
    criteria are kept (`satisfied_share`), the length among them.

    Args:
        judgement: The judgement of the text under these criteria.
        criteria_set: The frozen criteria.
        text: The text that was judged.
        active: Ids of the criteria that rubric dropout left in; None for all.
        most_missing: Share of the active weight, from 0 to 1, whose verdicts may be missing.
            Training allows .3 (6.3.2).
        hard_share: Share of H in S where there are verdicts as well, from 0 to 1. Where every text
            of a group breaks a demand, the group has no gate, and H gives it a slope.

    Returns:
        The reward. Its value and S are None where more verdicts are missing than `most_missing`
        allows, or where no active criterion has weight.

    Raises:
        InputError: If the judgement is about other criteria or another text, or if an active id
            is not one of the set's. It is a ValueError.
    """
    _check_that_they_belong(judgement, criteria_set, text)
    has_judge = judgement.judge != CODE or judgement.verdicts
    if not has_judge or not judged(criteria_set.criteria):
        return _by_code(judgement, criteria_set, text)
    kept, dropped = _divided(criteria_set, active)
    scores = judgement.scores
    missing = () if judgement.gate else tuple(each for each in kept if each.id not in scores)
    soft = 0.0 if judgement.gate else _soft(scores, kept, missing, most_missing)
    wanted = length_range(criteria_set.criteria)
    length = length_term(text, wanted) if wanted else None
    repetition = repetition_term(text)
    hard = satisfied_share(criteria_set.criteria, text) if hard_share else None
    whole = soft
    if soft is not None and hard is not None:
        whole = (1 - hard_share) * soft + hard_share * hard
    return Reward(
        value=0.0 if judgement.gate else _composite(whole, length, repetition),
        soft=soft,
        length=length,
        repetition=repetition,
        hard=hard,
        violations=tuple(sorted(judgement.violated)),
        excluded=tuple(each.id for each in missing),
        inactive=tuple(each.id for each in dropped),
    )


Criteria = tuple[Criterion, ...]


def _range_of(criterion: Criterion) -> LengthRange | None:
    match criterion.check:
        case CharCount(min=lo, max=hi, unit="character"):
            return LengthRange(lo or 0, hi, "characters")
        case WordCount(min=lo, max=hi) | CharCount(min=lo, max=hi):
            return LengthRange(lo or 0, hi, "words")
    return None


def _by_code(judgement: Judgement, criteria_set: CriteriaSet, text: str) -> Reward:
    unread = {each.criterion_id for each in judgement.missing}
    excluded = tuple(each.id for each in checked(criteria_set.criteria) if each.id in unread)
    hard = None if excluded else satisfied_share(criteria_set.criteria, text)
    repetition = repetition_term(text)
    value = _composite(hard, None, repetition)
    return Reward(
        value=0.0 if judgement.gate and hard is not None else value,
        soft=None,
        length=None,
        repetition=repetition,
        hard=hard,
        violations=tuple(sorted(judgement.violated)),
        excluded=excluded,
        inactive=tuple(each.id for each in judged(criteria_set.criteria)),
    )


def _divided(
    criteria_set: CriteriaSet, active: AbstractSet[str] | None
) -> tuple[Criteria, Criteria]:
    """Split the criteria that a judge scores into the active and the inactive ones."""
    every = judged(criteria_set.criteria)
    if active is None:
        return every, ()
    if unknown := sorted(active - {each.id for each in criteria_set.criteria}):
        raise InputError(
            f"expected active ids of the criteria {criteria_set.sha256[:12]}…, got {unknown}: "
            "draw them from the same set"
        )
    return (
        tuple(each for each in every if each.id in active),
        tuple(each for each in every if each.id not in active),
    )


def _soft(
    scores: Mapping[str, float], kept: Criteria, missing: Criteria, most_missing: float
) -> float | None:
    """S over the verdicts there are; None where more weight is missing than allowed."""
    total = math.fsum(each.weight for each in kept)
    if math.fsum(each.weight for each in missing) > most_missing * total:
        return None
    return weighted_score(scores, kept)


def _composite(soft: float | None, length: float | None, repetition: float) -> float | None:
    if soft is None:
        return None
    if length is None:
        return math.fsum(((SOFT_SHARE + LENGTH_SHARE) * soft, REPETITION_SHARE * repetition))
    parts = (SOFT_SHARE * soft, LENGTH_SHARE * length, REPETITION_SHARE * repetition)
    return math.fsum(parts)


def _check_that_they_belong(judgement: Judgement, criteria_set: CriteriaSet, text: str) -> None:
    pairs = {
        "criteria": (criteria_set.sha256, judgement.criteria_sha),
        "text": (text_hash(text), judgement.text_sha),
    }
    for what, (here, there) in pairs.items():
        if here != there:
            raise InputError(
                f"expected a judgement of the {what} with hash {here}, got one of {there}: "
                "scores hold only for what was judged, so judge the text again"
            )
