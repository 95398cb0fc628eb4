"""Contrast-aware weights: sums, signs and numbers that were worked out by hand."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.domain import TIER_WEIGHT, Criterion
from quillgraph.agents.judgements import Judgement, Verdict
from quillgraph.agents.judges.rewards import weighted_score
from quillgraph.agents.memory.contrast import FLOOR, contrasted, scores_of, silent, spreads


def criterion(at: str, tier: Any = "essential") -> Criterion:
    return Criterion(
        id=at, name=at, description=at, kind="pitfall" if tier == "pitfall" else "soft",
        tier=tier, weight=TIER_WEIGHT[tier], levels={}, category_id="k1", evidence=("i1",),
    )  # fmt: skip


HARD = criterion("h1").model_copy(update={"kind": "hard", "category_id": None})
SET = (HARD, criterion("a"), criterion("b", "important"), criterion("c", "optional"))


def judgement(**scores: float) -> Judgement:
    verdicts = tuple(
        Verdict(criterion_id=at, score=score, votes=(score,)) for at, score in scores.items()
    )
    return Judgement(criteria_sha="1", text_sha="2", judge="j", verdicts=verdicts)


def weights(criteria: Sequence[Criterion]) -> dict[str, float]:
    return {each.id: each.weight for each in criteria}


def test_the_scores_of_a_group_are_gathered_and_missing_verdicts_left_out() -> None:
    group = [judgement(a=1, b=5), judgement(a=10), judgement(a=10, b=5, c=9)]
    assert scores_of(SET, group) == {"a": (1, 10, 10), "b": (5, 5), "c": (9,)}


def test_spreads_are_standard_deviations_on_the_scale_from_0_to_1() -> None:
    # a: 0 and 1, mean .5, deviation .5; b: equal; c: one score tells nothing
    assert spreads({"a": (1, 10), "b": (5, 5), "c": (9,)}) == {"a": 0.5, "b": 0.0}


def test_silent_criteria_are_saturated_at_the_top_and_dead_below_it() -> None:
    scores = {"a": (9, 9), "b": (8, 8), "c": (9, 10), "d": (10,), "e": (10, 10, 10)}
    assert silent(scores) == {"a": "saturated", "b": "dead", "e": "saturated"}


def test_weights_follow_the_spreads_and_keep_their_sum() -> None:
    # a (1.0) has d = .2, b (.7) has d = 0, c (.3) has d = .4 = max d.
    # factors: a .1 + .9/2 = .55, b .1, c 1; scaled: .55, .07, .3, together .92.
    # the sum was 2, so c = 2/.92: a 1.1957, b .1522, c .6522
    measured = weights(contrasted(SET, {"a": 0.2, "b": 0.0, "c": 0.4}))
    assert measured == {
        "h1": 1.0,
        "a": pytest.approx(1.1 / 0.92),
        "b": pytest.approx(0.14 / 0.92),
        "c": pytest.approx(0.6 / 0.92),
    }


def test_a_criterion_without_evidence_keeps_its_weight() -> None:
    # a: .1 + .9/2 = .55 of 1; c: 1 of .3; together .85 for a sum that was 1.3
    measured = weights(contrasted(SET, {"a": 0.2, "c": 0.4}))
    assert measured["b"] == 0.7
    assert measured["a"] == pytest.approx(0.55 * 1.3 / 0.85)


@pytest.mark.parametrize("told", [{}, {"a": 0.0, "b": 0.0}, {"unknown": 0.4}, {"h1": 0.4}])
def test_without_evidence_nothing_changes(told: dict[str, float]) -> None:
    assert contrasted(SET, told) == SET


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_what_is_no_spread_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="spreads of 0 or more"):
        contrasted(SET, {"a": wrong})


tiers = st.sampled_from(sorted(TIER_WEIGHT))
rated = st.lists(st.tuples(tiers, st.none() | st.floats(0, 0.5)), min_size=1, max_size=10)


@given(rated)
def test_weights_stay_positive_and_their_sum_is_kept(entries: list[Any]) -> None:
    before = [criterion(f"k{n}", tier) for n, (tier, _) in enumerate(entries)]
    told = {f"k{n}": d for n, (_, d) in enumerate(entries) if d is not None}
    after = contrasted(before, told)
    assert [each.id for each in after] == [each.id for each in before]
    assert all(each.weight > 0 for each in after)
    assert sum(each.weight for each in after) == pytest.approx(sum(e.weight for e in before))


@given(rated, st.floats(0.01, 100))
def test_only_the_proportions_of_the_spreads_matter(entries: list[Any], factor: float) -> None:
    before = [criterion(f"k{n}", tier) for n, (tier, _) in enumerate(entries)]
    told = {f"k{n}": d for n, (_, d) in enumerate(entries) if d is not None and d > 1e-9}
    one = weights(contrasted(before, told))
    other = weights(contrasted(before, {at: factor * d for at, d in told.items()}))
    assert other == pytest.approx(one)


@given(rated)
def test_a_larger_spread_never_gets_the_smaller_share_of_its_weight(entries: list[Any]) -> None:
    before = {f"k{n}": criterion(f"k{n}", tier) for n, (tier, _) in enumerate(entries)}
    told = {f"k{n}": d for n, (_, d) in enumerate(entries) if d is not None}
    after = weights(contrasted(tuple(before.values()), told))
    ordered = sorted(told, key=lambda at: told[at])
    shares = [after[at] / before[at].weight for at in ordered]
    assert all(low <= high + 1e-12 for low, high in itertools.pairwise(shares))


def test_equal_spreads_change_nothing() -> None:
    assert weights(contrasted(SET, {"a": 0.3, "b": 0.3, "c": 0.3})) == pytest.approx(weights(SET))


def test_a_silent_criterion_keeps_no_more_than_the_floor_beside_a_telling_one() -> None:
    pair = (criterion("a"), criterion("b"))
    measured = weights(contrasted(pair, {"a": 0.0, "b": 0.5}))
    assert measured["a"] / measured["b"] == pytest.approx(FLOOR)


def test_contrast_widens_the_distance_of_texts_that_one_criterion_tells_apart() -> None:
    pair, texts = (criterion("a"), criterion("b")), ({"a": 10.0, "b": 1.0}, {"a": 10.0, "b": 10.0})
    spread = spreads({"a": (10, 10), "b": (1, 10)})
    plain = [weighted_score(text, pair) for text in texts]
    sharp = [weighted_score(text, contrasted(pair, spread)) for text in texts]
    # equal weights: .5 and 1; with a at a tenth of b: 1/11 and 1
    assert plain == [0.5, 1.0]
    assert sharp == [pytest.approx(1 / 11), 1.0]
