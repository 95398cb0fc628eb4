"""From judgements to the rewards of a group."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.checks import WordCount
from quillgraph.agents.domain import LEVELS, TIER_WEIGHT, Core, CriteriaSet, Criterion
from quillgraph.agents.judgements import CODE, Judgement, Verdict, Violation, text_hash
from quillgraph.agents.requests import writing_task
from quillgraph.backends.errors import RewardError
from quillgraph.rl.rewards.rules import (
    RewardRules,
    criteria_of,
    group_rewards,
    recount_of,
)

TASK = writing_task("A story of the sea in at most 4 words.")
PLAIN = RewardRules(dropout=0)
IDS = ("k1", "k2", "k3", "k4", "k5", "k6")


def soft(name: str, tier: Any = "important") -> Criterion:
    return Criterion(
        id=name, name=name, description=name, kind="soft", tier=tier, weight=TIER_WEIGHT[tier],
        levels=dict.fromkeys(LEVELS, "so"), category_id="k", evidence=("i1",),
    )  # fmt: skip


HARD = Criterion(
    id="h1", name="short", description="short", kind="hard", tier="essential", weight=1.0,
    levels={}, category_id=None, evidence=("i1",), check=WordCount(max=4),
)  # fmt: skip


def set_of(*criteria: Criterion) -> CriteriaSet:
    return CriteriaSet(
        request_hash=TASK.request_hash, language="en", genre="story",
        core=Core(category_id="k", storyline="s"), criteria=criteria,
    )  # fmt: skip


def judged(criteria_set: CriteriaSet, text: str, /, judge: str = "j", **scores: Any) -> Judgement:
    broken = HARD in criteria_set.criteria and HARD.check and HARD.check.violation(text)
    return Judgement(
        criteria_sha=criteria_set.sha256,
        text_sha=text_hash(text),
        judge=judge,
        verdicts=tuple(Verdict(criterion_id=k, score=s, votes=(s,)) for k, s in scores.items()),
        violations=(Violation(criterion_id="h1", reason=broken),) if broken else (),
    )


SETS = set_of(*map(soft, IDS), HARD)


def test_where_nobody_judged_code_alone_rewards() -> None:
    # eight words where four are allowed: H = .5·4/8 = .25, R = .95·.25 + .05
    text = "one two three four five six seven eight"
    rewards, values = group_rewards(SETS, [text], [judged(SETS, text, CODE)], PLAIN, step=0)
    assert list(values) == pytest.approx([0.95 * 0.25 + 0.05])
    assert rewards[0].inactive == IDS


def test_a_share_of_the_hard_demands_gives_a_group_of_violators_a_slope() -> None:
    criteria = set_of(soft("k1"), HARD)
    near, far = "a b c d e", "a b c d e f g h"
    judgements = [judged(criteria, text, k1=10.0) for text in (near, far)]
    half = PLAIN.model_copy(update={"hard_share": 0.5})
    rewards, values = group_rewards(criteria, [near, far], judgements, half, step=0)
    # S = .5·1 + .5·H with H = .5·4/5 and .5·4/8; the length term is 1 - 1/4 and 0 at twice four
    assert values[0] == pytest.approx(0.85 * (0.5 + 0.5 * 0.4) + 0.10 * 0.75 + 0.05)
    assert values[1] == pytest.approx(0.85 * (0.5 + 0.5 * 0.25) + 0.10 * 0.0 + 0.05)
    assert rewards[0].hard == pytest.approx(0.4)


def test_a_violator_lies_below_the_mean_of_its_group_by_the_gate() -> None:
    good, bad = "a b c d", "a b c d e"
    criteria = set_of(soft("k1"), HARD)
    judgements = [judged(criteria, good, k1=1.0), judged(criteria, bad, k1=10.0)]
    _, values = group_rewards(criteria, [good, bad], judgements, PLAIN, step=0)
    assert values[0] is not None
    assert values[1] is not None
    # κ = .05 below the mean of both
    assert values[1] == pytest.approx((values[0] + values[1]) / 2 - 0.05)


def test_without_the_gate_rewards_stay_as_they_are() -> None:
    good, bad = "a b c d", "a b c d e"
    judgements = [judged(SETS, text, CODE) for text in (good, bad)]
    rules = PLAIN.model_copy(update={"gate": False})
    rewards, values = group_rewards(SETS, [good, bad], judgements, rules, step=0)
    assert values == tuple(each.value for each in rewards)


def test_a_missing_verdict_is_no_reward_and_moves_nobody() -> None:
    criteria = set_of(soft("k1"), soft("k2"))
    judgements = [judged(criteria, "a b", k1=4.0, k2=4.0), judged(criteria, "c d", k1=4.0)]
    _, values = group_rewards(criteria, ["a b", "c d"], judgements, PLAIN, step=0)
    # half of the weight is missing, and .3 may be; 3/9 of S with the length's share, and .05
    assert values[0] == pytest.approx(0.95 * 3 / 9 + 0.05)
    assert values[1] is None


@given(step=st.integers(0, 500), seed=st.integers(0, 50))
def test_dropout_hides_the_same_criteria_from_a_whole_group_and_its_replays(
    step: int, seed: int
) -> None:
    rules = RewardRules(dropout=0.5, seed=seed)
    texts = [f"text {n}" for n in range(4)]
    judgements = [judged(SETS, text, **cast("Any", dict.fromkeys(IDS, 5.0))) for text in texts]
    rewards, _ = group_rewards(SETS, texts, judgements, rules, step=step)
    assert len({each.inactive for each in rewards}) == 1
    # what memory is counted by at this step is what the fresh texts are counted by
    recount = recount_of({SETS.sha256: SETS}, rules)
    again = [recount(j, t, step) for j, t in zip(judgements, texts, strict=True)]
    assert again == [each.value for each in rewards]


@given(seed=st.integers(0, 200), step=st.integers(0, 100))
def test_a_held_out_criterion_counts_in_no_step(seed: int, step: int) -> None:
    rules = RewardRules(dropout=0.3, held_out=0.4, seed=seed)
    assert rules.active(SETS, step) <= rules.trained(SETS)


def test_what_is_held_out_is_some_and_not_all() -> None:
    shares = [len(RewardRules(held_out=0.4, seed=seed).trained(SETS)) for seed in range(50)]
    assert min(shares) >= 1
    # of 6 criteria 40 % are held out: 3.6 stay on average
    assert 3.2 < sum(shares) / len(shares) < 4.0


@pytest.mark.parametrize(
    ("criteria_for", "message"),
    [
        ({}, "got none; find them before training"),
        (lambda _: set_of(soft("k1")), "nothing to reward"),
        (
            {TASK.request_hash: SETS.model_copy(update={"request_hash": "ff" * 32})},
            "got those of the request with hash ffffffffffff",
        ),
    ],
)
def test_criteria_that_do_not_fit_a_request_are_refused(
    criteria_for: Callable[..., Any] | dict[str, CriteriaSet], message: str
) -> None:
    with pytest.raises(RewardError, match=message):
        criteria_of(criteria_for, TASK, has_judge=False)


def test_soft_criteria_alone_will_do_where_there_is_a_judge() -> None:
    only: Sequence[Criterion] = (soft("k1"),)
    assert criteria_of(lambda _: set_of(*only), TASK, has_judge=True) == set_of(*only)


def test_criteria_that_all_have_weight_0_are_refused_before_anybody_is_asked() -> None:
    # Σ w·s / Σ w has no value: neither 0 nor NaN
    idle = set_of(*(soft(name).model_copy(update={"weight": 0.0}) for name in IDS))
    with pytest.raises(RewardError, match=r"nothing to reward: all criteria .* have weight 0"):
        criteria_of(lambda _: idle, TASK, has_judge=True)
    assert criteria_of(lambda _: set_of(*idle.criteria, HARD), TASK, has_judge=True)
