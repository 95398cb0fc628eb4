from typing import Any

import pytest

from quillgraph.agents.judgements import Judgement, Violation
from quillgraph.rl.columns import key_of
from quillgraph.rl.mrpo.plan import Fresh, Group, Rules, plan_step, to_remember
from quillgraph.rl.mrpo.replay import Entry, Replay


def fresh(*rewards: float | None, **changes: Any) -> list[Fresh]:
    fields: dict[str, Any] = {"prompt": "p", "criteria_sha": "c", "text": "", "tokens": 6}
    return [Fresh(reward=reward, **fields | changes) for reward in rewards]


def remembered(*rewards: float, prompt: str = "p", **changes: Any) -> Replay:
    memory = Replay()
    for number, reward in enumerate(rewards):
        ids = tuple(range(number * 10, number * 10 + 6))
        fields: dict[str, Any] = {
            "criteria_sha": "c",
            "context": "bare",
            "prompt_ids": (9,),
            "completion_ids": ids,
            "mask": (True,) * 6,
            "logprobs": (-1.0,) * 6,
            "step": 0,
        }
        memory.add(Entry(prompt=prompt, reward=reward, **fields | changes))
    return memory


def plan(texts: list[Fresh], memory: Replay | None = None, **rules: Any) -> Group:
    (group,) = plan_step(
        [texts], memory or Replay(), Rules(**rules), step=1, count=lambda text: text.reward
    )
    return group


def judgement(*broken: str) -> Judgement:
    violations = tuple(Violation(criterion_id=each, reason="") for each in broken)
    return Judgement(criteria_sha="c", text_sha="t", judge="j", violations=violations)


def test_a_flat_group_is_skipped_without_memory_and_learns_from_it_with_memory() -> None:
    # algorithm 7.1, test 6: .5 four times teaches nothing; beside .9 the mean is .58
    alone = plan(fresh(0.5, 0.5, 0.5, 0.5))
    assert alone.is_skipped
    assert alone.advantages == (0, 0, 0, 0)

    together = plan(fresh(0.5, 0.5, 0.5, 0.5), remembered(0.9))
    assert not together.is_skipped
    assert together.advantages == pytest.approx((-0.08,) * 4)
    assert [each.advantage for each in together.replayed] == pytest.approx([0.32])


def test_with_nothing_to_learn_from_memory_a_nearly_flat_group_is_left_to_trl() -> None:
    group = plan(fresh(0.5, 0.505), skips_flat=False)
    assert not group.is_changed
    assert not group.is_skipped


@pytest.mark.parametrize(
    ("baseline", "ours", "theirs"),
    [
        ("joint", (-0.25, -0.05), [0.25, 0.05]),  # mean of .2 .4 .7 .5 = .45
        ("fresh", (-0.1, 0.1), [0.4, 0.2]),  # mean of .2 .4 = .3
        ("split", (-0.1, 0.1), [0.1]),  # the picks' own mean is .6, and .5 lies below it
    ],
)
def test_the_baseline_decides_whose_mean_is_taken_off(
    baseline: Any, ours: tuple[float, ...], theirs: list[float]
) -> None:
    group = plan(fresh(0.2, 0.4), remembered(0.7, 0.5), baseline=baseline)
    assert group.advantages == pytest.approx(ours)
    assert [each.advantage for each in group.replayed] == pytest.approx(theirs)


def test_a_pick_that_gains_nothing_leaves_and_is_not_in_the_mean() -> None:
    # .2 .2 | 1.0 .3: mean .425, so .3 leaves; then .2 .2 1.0: mean .4667
    group = plan(fresh(0.2, 0.2), remembered(1.0, 0.3))
    assert [each.entry.reward for each in group.replayed] == [1.0]
    assert group.advantages == pytest.approx((-0.266667,) * 2, abs=1e-6)


def test_texts_below_the_mean_are_replayed_if_that_is_asked_for() -> None:
    group = plan(fresh(0.2, 0.2), remembered(1.0, 0.3), keeps_negative=True)
    assert [each.advantage for each in group.replayed] == pytest.approx([0.575, -0.125])


def test_an_absent_reward_is_in_no_mean_and_has_no_advantage() -> None:
    group = plan(fresh(0.2, None, 0.6))
    assert group.advantages == (pytest.approx(-0.2), None, pytest.approx(0.2))
    assert group.is_changed  # TRL may have seen a reward where a rollout was excluded


def test_a_group_without_any_reward_teaches_nothing() -> None:
    group = plan(fresh(None, None), remembered(0.9))
    assert group.advantages == (None, None)
    assert group.replayed == ()
    assert group.mean is None


def test_the_gate_puts_a_violator_below_the_joint_mean() -> None:
    # .9 breaks; δ = (.9 - .6333 + .05)/(2/3) = .475: .425 .5 .5, mean .475
    good, bad = judgement(), judgement("h1")
    texts = fresh(0.9, judgement=bad) + fresh(0.5, 0.5, judgement=good)
    group = plan(texts)
    assert group.rewards == pytest.approx((0.425, 0.5, 0.5))
    assert group.advantages == pytest.approx((-0.05, 0.025, 0.025))
    assert not plan(texts, has_gate=False).is_changed


def test_a_remembered_text_that_keeps_the_demands_gates_a_group_that_does_not() -> None:
    texts = fresh(0.6, 0.55, judgement=judgement("h1"))
    assert plan(texts).rewards == (0.6, 0.55)  # all break: no shift
    # beside .58, which keeps them: δ = (.6 - .576667 + .05)/(1/3) = .22: .38 .33 | .58, mean .43
    group = plan(texts, remembered(0.58, judgement=judgement()))
    assert group.rewards == pytest.approx((0.38, 0.33))
    assert group.advantages == pytest.approx((-0.05, -0.1))
    assert group.replayed[0].advantage == pytest.approx(0.15)


def test_each_prompt_stands_for_its_share_of_the_step() -> None:
    memory = remembered(0.9, 0.8)
    plans = plan_step(
        [fresh(0.2, 0.3), fresh(0.2, 0.3, prompt="q")],
        memory,
        Rules(),
        step=1,
        count=lambda text: text.reward,
    )
    # 2 prompts, 2 replays of the first: each is a quarter
    assert [each.weight for each in plans[0].replayed] == [0.25, 0.25]
    assert plans[1].replayed == ()
    assert [each.uses for each in memory.of("p")] == [1, 1]


def test_replays_take_no_more_than_their_share_of_the_tokens() -> None:
    # 12 fresh tokens: half of all allows 12 replayed ones, two texts of 6; .4 allows 8, and .2
    # allows 3
    group = fresh(0.2, 0.3)
    assert len(plan(group, remembered(0.9, 0.8)).replayed) == 2
    assert len(plan(group, remembered(0.9, 0.8), token_share=0.4).replayed) == 1
    assert len(plan(group, remembered(0.9, 0.8), token_share=0.2).replayed) == 0


def test_prompts_of_middling_difficulty_replay_first_where_not_all_can() -> None:
    first = 0
    for seed in range(200):
        groups = [fresh(0.5, 0.5), fresh(0.05, 0.05, prompt="q")]
        memory = remembered(0.9)
        memory.add(next(iter(remembered(0.9, prompt="q"))))
        plans = plan_step(
            groups,
            memory,
            Rules(token_share=0.2, seed=seed),  # 24 fresh tokens: one text of 6
            step=1,
            count=lambda text: text.reward,
        )
        assert sum(len(each.replayed) for each in plans) == 1
        first += len(plans[0].replayed)
    # weights 1 and exp(-.45²/.08) = .0796: the first comes first in 92.6 % of draws, ± 3.7
    assert first / 200 == pytest.approx(0.926, abs=0.06)


def test_the_anchor_learns_from_revisions_better_than_the_mean() -> None:
    memory = remembered(0.9, 0.8, 0.3, is_revision=True)
    memory.add(next(iter(remembered(0.95))))
    group = plan(fresh(0.4, 0.6), memory, replays=0, anchors=2)
    assert [each.reward for each in group.anchors] == [0.9, 0.8]
    assert group.replayed == ()


def test_the_best_two_with_a_gain_are_remembered() -> None:
    texts = fresh(0.1, 0.9, 0.7, 0.8)
    assert to_remember(texts, plan(texts)) == (1, 3)
    flat = fresh(0.5, 0.5)
    assert to_remember(flat, plan(flat)) == ()


def test_fresh_and_remembered_texts_count_by_the_same_rule() -> None:
    # algorithm 7.1, test 8: what hides criteria from fresh texts hides them from replays
    memory, seen = remembered(0.9), []

    def count(text: Fresh | Entry) -> float | None:
        seen.append(text)
        return None if text.reward is None else text.reward / 2

    (group,) = plan_step([fresh(0.4, 0.6)], memory, Rules(), step=1, count=count)
    assert len(seen) == 3
    assert group.rewards == (0.2, 0.3)
    assert group.replayed[0].advantage == pytest.approx(0.45 - 0.95 / 3)


def test_a_prompt_has_one_key_in_every_process() -> None:
    turns = [{"role": "user", "content": "été"}]
    assert key_of(turns) == key_of([{"content": "été", "role": "user"}])
    assert key_of(turns) != key_of("été")
