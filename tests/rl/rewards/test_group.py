"""What the texts of one prompt teach each other."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quillgraph.agents.domain import LEVELS, TIER_WEIGHT, Criterion
from quillgraph.rl.rewards.group import (
    DROPOUT,
    KAPPA,
    Baseline,
    active_criteria,
    advantages,
    diversity,
    hard_gate,
    with_diversity,
)

# the time that an example takes says more about the machine than about the code
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REWARD = st.none() | st.floats(0, 1)
GROUP = st.lists(st.tuples(REWARD, st.booleans()), min_size=1, max_size=16)
REWARDS = st.lists(REWARD, max_size=9)
TIERS = st.sampled_from(["essential", "important", "optional", "pitfall"])


def split(group: list[tuple[float | None, bool]]) -> tuple[list[float | None], list[bool]]:
    return [reward for reward, _ in group], [broken for _, broken in group]


def criterion(criterion_id: str, tier: Any = "optional", **fields: Any) -> Criterion:
    given_fields: dict[str, Any] = {
        "name": f"Name of {criterion_id}",
        "description": "The text shows the keeper at work.",
        "kind": "pitfall" if tier == "pitfall" else "soft",
        "levels": dict.fromkeys(LEVELS, "-"),
        "category_id": "k1",
        "evidence": ("i1",),
    }
    given_fields |= fields
    return Criterion(id=criterion_id, tier=tier, weight=TIER_WEIGHT[tier], **given_fields)


# --- the gate --------------------------------------------------------------------------------


def test_a_violator_with_the_best_score_falls_below_the_mean() -> None:
    # mean 2.4/4 = .6; δ = (.9 - .6 + .05) / (1 - 1/4) = .35/.75 = .4666667; .9 - δ = .4333333
    gated = hard_gate([0.9, 0.5, 0.4, 0.6], [True, False, False, False])
    assert gated == pytest.approx((0.4333333, 0.5, 0.4, 0.6))
    # new mean 1.9333333/4 = .4833333, and .4333333 lies .05 below it
    [fresh, _] = advantages(gated)
    assert fresh[0] == pytest.approx(-KAPPA)


def test_violators_that_lie_low_enough_are_left_alone() -> None:
    # mean 1.2/3 = .4; .1 - .4 + .05 = -.25, so δ = 0
    assert hard_gate([0.1, 0.5, 0.6], [True, False, False]) == (0.1, 0.5, 0.6)


@pytest.mark.parametrize("broken", [True, False])
def test_if_all_or_none_are_in_violation_nothing_changes(broken: bool) -> None:
    assert hard_gate([0.9, 0.1], [broken] * 2) == (0.9, 0.1)
    assert hard_gate([], []) == ()


def test_an_absent_reward_stays_absent_and_is_in_no_mean() -> None:
    # of the two that are known: mean (.9 + .5)/2 = .7; δ = (.9 - .7 + .05)/(1 - 1/2) = .5
    gated = hard_gate([None, 0.9, 0.5, None], [True, True, False, False])
    assert gated == pytest.approx((None, 0.4, 0.5, None))
    # the only other text is absent, so all that are known are in violation
    assert hard_gate([0.9, None], [True, False]) == (0.9, None)


def test_a_violator_may_lie_above_a_poor_text() -> None:
    rewards, broken = [0.7, 0.6, 0.1, 0.9, 0.9], [True, True, False, False, False]
    # mean 3.2/5 = .64; δ = (.7 - .64 + .05) / (1 - 2/5) = .11/.6 = .1833333
    plain = hard_gate(rewards, broken)
    assert plain == pytest.approx((0.5166667, 0.4166667, 0.1, 0.9, 0.9))


def test_there_must_be_a_flag_for_each_reward() -> None:
    with pytest.raises(ValueError, match="shorter"):
        hard_gate([0.1, 0.2], [True])


@given(GROUP)
def test_every_violator_ends_at_least_kappa_below_the_mean(
    group: list[tuple[float | None, bool]],
) -> None:
    rewards, broken = split(group)
    gated = hard_gate(rewards, broken)
    known = [flag for reward, flag in group if reward is not None]
    if not 0 < sum(known) < len(known):
        assert gated == tuple(rewards)
        return
    [relative, _] = advantages(gated)
    assert all(
        a is None or a <= -KAPPA + 1e-9 for a, bad in zip(relative, broken, strict=True) if bad
    )


@given(GROUP)
def test_the_gate_keeps_the_order_among_violators_and_leaves_the_others_alone(
    group: list[tuple[float | None, bool]],
) -> None:
    rewards, broken = split(group)
    gated = hard_gate(rewards, broken)
    rows = list(zip(rewards, gated, broken, strict=True))
    assert all(before == after for before, after, bad in rows if not bad)
    moved = sorted((before, after) for before, after, bad in rows if bad and before is not None)
    afters = [after for _, after in moved if after is not None]
    assert afters == sorted(afters)
    assert len(afters) == len(moved)


@given(GROUP, st.randoms(use_true_random=False))
def test_the_gate_does_not_see_the_order_of_the_group(
    group: list[tuple[float | None, bool]], random: Any
) -> None:
    order = list(range(len(group)))
    random.shuffle(order)
    gated = hard_gate(*split(group))
    shuffled = hard_gate(*split([group[n] for n in order]))
    assert shuffled == tuple(gated[n] for n in order)


# --- advantages ------------------------------------------------------------------------------


def test_a_remembered_text_gives_a_group_of_equals_something_to_learn() -> None:
    # mean (8 * .5 + .8) / 9 = .5333333
    fresh, remembered = advantages([0.5] * 8, [0.8])
    assert fresh == pytest.approx((-0.0333333,) * 8, abs=1e-6)
    assert remembered == pytest.approx((0.2666667,))


def test_without_memory_a_group_of_equals_teaches_nothing() -> None:
    assert advantages([0.5] * 4) == ((0.0,) * 4, ())
    assert advantages([0.5] * 4, standardise=True) == ((0.0,) * 4, ())


@pytest.mark.parametrize(
    ("baseline", "fresh", "remembered"),
    [
        # mean of all three: 1.5/3 = .5
        ("joint", (-0.3, -0.1), (0.4,)),
        # .3 and .9
        ("split", (-0.1, 0.1), (0.0,)),
        # .3 for both
        ("fresh", (-0.1, 0.1), (0.6,)),
    ],
)
def test_the_baseline_is_the_mean_of_all_of_each_part_or_of_the_fresh(
    baseline: Baseline, fresh: tuple[float, ...], remembered: tuple[float, ...]
) -> None:
    gains = advantages([0.2, 0.4], [0.9], baseline=baseline)
    assert gains[0] == pytest.approx(fresh)
    assert gains[1] == pytest.approx(remembered)


@pytest.mark.parametrize(
    ("baseline", "fresh", "remembered"),
    [
        # squares of -.3, -.1 and .4: .09 + .01 + .16 = .26; / 2 = .13; root .3605551; + .0001
        ("joint", (-0.3 / 0.3606551, -0.1 / 0.3606551), 0.4 / 0.3606551),
        ("fresh", (-0.1 / 0.3606551, 0.1 / 0.3606551), 0.6 / 0.3606551),
        # of .2 and .4: .01 + .01 = .02; / 1; root .1414214; one alone has no spread
        ("split", (-0.1 / 0.1415214, 0.1 / 0.1415214), 0.0),
    ],
)
def test_standardising_divides_by_the_samples_deviation(
    baseline: Baseline, fresh: tuple[float, ...], remembered: float
) -> None:
    gains = advantages([0.2, 0.4], [0.9], baseline=baseline, standardise=True)
    assert gains[0] == pytest.approx(fresh, abs=1e-6)
    assert gains[1] == pytest.approx((remembered,), abs=1e-6)


def test_an_absent_reward_has_no_advantage_and_is_in_no_mean() -> None:
    # mean of .2, .4 and .9; as a zero it would be 1.5/4
    fresh, remembered = advantages([0.2, None, 0.4], [None, 0.9])
    assert fresh == pytest.approx((-0.3, None, -0.1))
    assert remembered == pytest.approx((None, 0.4))


def test_without_anything_to_compare_with_there_is_no_advantage() -> None:
    assert advantages([None, None]) == ((None, None), ())
    assert advantages([None], [0.9], baseline="fresh") == ((None,), (None,))
    assert advantages([]) == ((), ())


@given(REWARDS, REWARDS, st.booleans())
def test_joint_advantages_add_up_to_nothing(
    fresh: list[float | None], remembered: list[float | None], standardise: bool
) -> None:
    gains = advantages(fresh, remembered, standardise=standardise)
    total = math.fsum(a for part in gains for a in part if a is not None)
    assert total == pytest.approx(0, abs=1e-9)
    assert [a is None for part in gains for a in part] == [r is None for r in fresh + remembered]


@given(REWARDS, REWARDS)
def test_each_part_adds_up_to_nothing_if_split(
    fresh: list[float | None], remembered: list[float | None]
) -> None:
    for part in advantages(fresh, remembered, baseline="split"):
        assert math.fsum(a for a in part if a is not None) == pytest.approx(0, abs=1e-9)


@given(
    REWARDS,
    REWARDS,
    st.sampled_from(["joint", "split", "fresh"]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_advantages_do_not_see_the_order_of_the_group(
    fresh: list[float | None],
    remembered: list[float | None],
    baseline: Any,
    standardise: bool,
    random: Any,
) -> None:
    order = list(range(len(fresh)))
    random.shuffle(order)
    shuffled = [fresh[n] for n in order]
    one = advantages(fresh, remembered, baseline=baseline, standardise=standardise)
    two = advantages(shuffled, remembered, baseline=baseline, standardise=standardise)
    assert two == (tuple(one[0][n] for n in order), one[1])


# --- rubric dropout --------------------------------------------------------------------------

CRITERIA = st.lists(TIERS, max_size=8).map(
    lambda tiers: [criterion(f"k{n}.0", tier) for n, tier in enumerate(tiers)]
)


@given(CRITERIA, st.text(max_size=5), st.integers(0, 99), st.randoms(use_true_random=False))
def test_a_group_and_its_replays_share_one_subset_in_whatever_order_the_criteria_come(
    criteria: list[Criterion], prompt: str, step: int, random: Any
) -> None:
    one = active_criteria(criteria, prompt=prompt, step=step, seed=7)
    random.shuffle(criteria)
    assert active_criteria(criteria, prompt=prompt, step=step, seed=7) == one
    assert one <= {each.id for each in criteria}


@given(CRITERIA, st.integers(0, 99), st.floats(0, 1))
def test_the_essential_criteria_are_never_all_dropped_and_never_everything(
    criteria: list[Criterion], step: int, dropout: float
) -> None:
    kept = active_criteria(criteria, prompt="p", step=step, seed=0, dropout=dropout)
    essential = {each.id for each in criteria if each.tier == "essential"}
    assert not essential or kept & essential
    assert not criteria or kept


def test_a_criterion_stays_or_falls_whatever_others_there_are() -> None:
    # the essential one keeps the rule against dropping everything out of play
    many = [criterion(f"k{n}.0") for n in range(40)]
    kept = active_criteria([criterion("k99.0", "essential"), *many], prompt="p", step=1, seed=0)
    few = active_criteria([criterion("k99.0", "essential"), *many[:9]], prompt="p", step=1, seed=0)
    assert few == kept & {"k99.0", *(each.id for each in many[:9])}


def test_the_subset_of_a_step_is_the_same_in_every_run_and_version() -> None:
    # no sum by hand, but a promise: stored rewards hold under the subset that they were given for
    many = [criterion(f"k{n}.0") for n in range(8)]
    assert active_criteria(many, prompt="p", step=1, seed=0) == {"k4.0", "k5.0", "k6.0", "k7.0"}


def test_about_the_asked_share_is_dropped() -> None:
    many = [criterion(f"k{n}.0") for n in range(1000)]
    kept = active_criteria(many, prompt="p", step=1, seed=0)
    # 700 expected, deviation root(1000 * .3 * .7) = 14.5; five of them are 72
    assert abs(len(kept) - 700) < 72
    assert DROPOUT == 0.3


def test_no_dropout_keeps_all_and_full_dropout_one_essential() -> None:
    mixed = [criterion("a", "essential"), criterion("b", "essential"), criterion("c", "pitfall")]
    assert active_criteria(mixed, prompt="p", step=1, seed=0, dropout=0.0) == {"a", "b", "c"}
    [left] = active_criteria(mixed, prompt="p", step=1, seed=0, dropout=1.0)
    assert left in {"a", "b"}


def test_prompt_step_and_seed_each_change_the_subset() -> None:
    many = [criterion(f"k{n}.0") for n in range(40)]
    subsets = {
        active_criteria(many, prompt="p", step=1, seed=0),
        active_criteria(many, prompt="q", step=1, seed=0),
        active_criteria(many, prompt="p", step=2, seed=0),
        active_criteria(many, prompt="p", step=1, seed=1),
    }
    assert len(subsets) == 4


def test_hard_criteria_are_not_drawn() -> None:
    hard = criterion("h1", "essential", kind="hard", levels={}, category_id=None)
    kept = active_criteria([hard, criterion("a")], prompt="p", step=1, seed=0, dropout=1.0)
    assert kept == {"a"}
    assert active_criteria([hard], prompt="p", step=1, seed=0) == frozenset()


# --- diversity -------------------------------------------------------------------------------

SOME = ("a b c", "A b, c.", "a b x", "p q r")
# 2- and 3-grams: ab bc abc | the same | ab bx abx | pq qr pqr; own: 0/3, 0/3, 2/3, 3/3


def test_diversity_is_the_share_of_runs_that_no_other_text_has() -> None:
    assert diversity(SOME) == pytest.approx((0, 0, 2 / 3, 1))


def test_the_shares_are_stretched_from_0_to_1() -> None:
    # ab is shared, so own: bc abc, 2/3; bd abd, 2/3; xy yz xyz, 3/3
    assert diversity(["a b c", "a b d", "x y z"]) == pytest.approx((0, 0, 1))


def test_chinese_is_compared_by_characters() -> None:
    assert diversity(["灯塔很", "灯塔很。", "灯塔旧", "海鸥睡"]) == pytest.approx((0, 0, 2 / 3, 1))


@pytest.mark.parametrize(
    "texts", [["a b c"] * 3, ["a b", "c d"], ["a b c"], ["", "a"], ["one", "two"]]
)
def test_where_no_text_is_more_of_a_copy_than_another_none_pays(texts: list[str]) -> None:
    assert diversity(texts) == (1.0,) * len(texts)


def test_a_text_too_short_for_a_run_has_nothing_of_its_own() -> None:
    assert diversity(["a", "p q"]) == (0.0, 1.0)
    assert diversity([]) == ()


@given(
    st.lists(st.text(alphabet="ab 灯", max_size=9), max_size=5), st.randoms(use_true_random=False)
)
def test_diversity_lies_between_0_and_1_and_does_not_see_the_order(
    texts: list[str], random: Any
) -> None:
    order = list(range(len(texts)))
    random.shuffle(order)
    shares = diversity(texts)
    assert all(0 <= each <= 1 for each in shares)
    assert diversity([texts[n] for n in order]) == tuple(shares[n] for n in order)


def test_a_good_text_keeps_a_fifth_of_its_reward_as_far_as_it_differs() -> None:
    # d = 0, 0, 2/3, 1: .8 * .8; weak, so unchanged; .8 * (.8 + .2 * 2/3); .8 * 1
    rewards = with_diversity([0.8] * 4, [0.7, 0.5, 0.7, 0.7], SOME, share=0.2)
    assert rewards == pytest.approx((0.64, 0.8, 0.7466667, 0.8))


def test_a_score_at_the_limit_is_not_above_it() -> None:
    assert with_diversity([0.8] * 4, [0.6] * 4, SOME, share=0.2) == (0.8,) * 4


def test_a_text_without_a_reward_stays_without_and_counts_as_another() -> None:
    # the first is a copy of a text that was written, though no verdict on that could be read
    rewards = with_diversity([0.8, None, 0.8, 0.8], [0.7, None, 0.7, 0.7], SOME, share=0.2)
    assert rewards == pytest.approx((0.64, None, 0.7466667, 0.8))


def test_the_share_can_be_chosen() -> None:
    # 1 - .6 of .8
    rewards = with_diversity([0.8] * 4, [0.7] * 4, SOME, share=0.6)
    assert rewards[0] == pytest.approx(0.32)


def test_there_must_be_a_text_for_each_reward() -> None:
    with pytest.raises(ValueError, match="longer"):
        with_diversity([0.8], [0.7], ["a", "b"], share=0.2)


def test_rewards_that_floats_do_not_hold_exactly_give_no_advantage_beyond_their_spread() -> None:
    # mean .425; squares of 7 × -.075 and of .525: .039375 + .275625 = .315; / 7 = .045; root
    # .2121320; + .0001
    alone = advantages([0.35] * 7 + [0.95], standardise=True)[0]
    assert alone == pytest.approx([-0.075 / 0.2122320] * 7 + [0.525 / 0.2122320], abs=1e-6)
    # .1 + .2 is .30000000000000004: the same reward, and nothing to learn
    equal = advantages([0.1 + 0.2, 0.3, 0.3, 0.3], standardise=True)[0]
    assert equal == pytest.approx([0.0] * 4, abs=1e-9)
