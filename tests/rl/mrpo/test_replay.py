import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quillgraph.agents.judgements import Judgement
from quillgraph.backends.errors import StorageError
from quillgraph.rl.mrpo.replay import Entry, Replay, ngram_overlap


def entry(reward: float = 0.5, *, ids: tuple[int, ...] = (1, 2, 3, 4, 5), **changes: Any) -> Entry:
    logp = changes.pop("logp", -1.0)
    fields: dict[str, Any] = {
        "prompt": "p",
        "criteria_sha": "c",
        "context": "bare",
        "prompt_ids": (9,),
        "completion_ids": ids,
        "mask": (True,) * len(ids),
        "logprobs": (logp,) * len(ids),
        "reward": reward,
        "step": 0,
    }
    return Entry(**fields | changes)


def choose(memory: Replay, **changes: Any) -> list[float]:
    entries = memory.of("p")
    options: dict[str, Any] = {
        "criteria_sha": "c",
        "rewards": {each.id: each.reward for each in entries},
        "above": 0.4,
        "step": 0,
        "most": 2,
    }
    return [each.reward for each in memory.choose("p", **options | changes)]


def several(*rewards: float, **fields: Any) -> Replay:
    memory = Replay()
    for number, reward in enumerate(rewards):
        memory.add(entry(reward, ids=tuple(range(number * 10, number * 10 + 6)), **fields))
    return memory


def test_the_best_texts_above_the_fresh_mean_are_chosen() -> None:
    assert choose(several(0.3, 0.9, 0.5, 0.7)) == [0.9, 0.7]


def test_nothing_is_chosen_where_nothing_is_above_the_fresh_mean() -> None:
    assert choose(several(0.3, 0.4)) == []


def test_an_entry_of_other_criteria_is_refused() -> None:
    # algorithm 7.1, test 7
    memory = several(0.9)
    memory.add(entry(0.95, ids=(50, 51, 52, 53, 54), criteria_sha="changed"))
    assert choose(memory) == [0.9]
    assert choose(memory, criteria_sha="changed") == [0.95]
    assert memory.drop_stale("p", "changed") == 1
    assert [each.reward for each in memory.of("p")] == [0.95]


def test_an_entry_is_replayed_for_two_hundred_steps_and_five_times() -> None:
    memory = several(0.9)
    assert choose(memory, step=200) == [0.9]
    assert choose(memory, step=201) == []
    for _ in range(4):
        memory.use([0])
    assert choose(memory) == [0.9]
    memory.use([0])
    assert choose(memory) == []


def test_a_near_copy_of_a_chosen_text_is_passed_over() -> None:
    memory = Replay()
    memory.add(entry(0.9, ids=tuple(range(12))))
    memory.add(entry(0.8, ids=(*range(11), 99)))  # 8 of 10 grams in common: .8
    memory.add(entry(0.7, ids=tuple(range(50, 62))))
    assert choose(memory) == [0.9, 0.7]


def test_overlap_counts_shared_runs_of_four_tokens() -> None:
    # grams 1234 2345 | 2345 3456: one of three
    assert ngram_overlap(entry(ids=(1, 2, 3, 4, 5)), entry(ids=(2, 3, 4, 5, 6))) == pytest.approx(
        1 / 3
    )
    assert ngram_overlap(entry(ids=(1, 2)), entry(ids=(1, 2))) == 1
    assert ngram_overlap(entry(ids=(1, 2)), entry(ids=(1, 3))) == 0


def test_surprise_and_use_cost_an_entry_its_rank() -> None:
    # entropies 1 and 3: z = -1, +1; worths .50+.1-.4 = .2 against .65-.1-.4 = .15
    memory = Replay()
    memory.add(entry(0.50, ids=tuple(range(6)), logp=-1.0))
    memory.add(entry(0.65, ids=tuple(range(10, 16)), logp=-3.0))
    assert choose(memory, most=1) == [0.50]
    # three uses cost .06: .14 against .15
    for _ in range(3):
        memory.use([0])
    assert choose(memory, most=1) == [0.65]


def test_a_prompt_keeps_its_most_useful_entries_and_the_memory_its_newest() -> None:
    memory = Replay(per_prompt=2, capacity=3)
    kept = [memory.add(entry(reward)) for reward in (0.5, 0.9, 0.7, 0.1)]
    assert kept == [0, 1, 2, None]  # .5 went for .7, and .1 was itself the least
    assert [each.reward for each in memory.of("p")] == [0.9, 0.7]
    memory.add(entry(0.2, prompt="q"))
    memory.add(entry(0.3, prompt="r"))
    assert [each.reward for each in memory] == [0.7, 0.2, 0.3]
    assert len(memory) == 3


def test_rewards_that_do_not_count_in_this_step_keep_an_entry_out() -> None:
    assert choose(several(0.9, 0.8), rewards={1: 0.8}) == [0.8]


FIELDS = st.fixed_dictionaries(
    {
        "prompt": st.sampled_from("pqrs"),
        "reward": st.floats(0, 1),
        "criteria_sha": st.sampled_from("cd"),
        "step": st.integers(0, 300),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(FIELDS, max_size=60))
def test_no_order_of_additions_breaks_the_bounds_and_a_copy_goes_on_alike(
    additions: list[dict[str, Any]],
) -> None:
    memory = Replay(per_prompt=3, capacity=7)
    for fields in additions:
        memory.add(entry(**fields))
    assert len(memory) == len(list(memory)) <= 7
    assert all(len(memory.of(prompt)) <= 3 for prompt in "pqrs")

    state = json.loads(json.dumps(memory.state_dict()))
    copy = Replay(per_prompt=3, capacity=7).load_state_dict(state)
    for both in (memory, copy):
        both.add(entry(0.5, prompt="q"))
    assert list(copy) == list(memory)
    assert copy.state_dict() == memory.state_dict()


def test_a_judgement_survives_being_saved() -> None:
    judgement = Judgement(criteria_sha="c", text_sha="t", judge="j")
    memory = Replay()
    memory.add(entry(judgement=judgement, logprobs=None, parts={"criteria": 0.5}))
    loaded = Replay().load_state_dict(json.loads(json.dumps(memory.state_dict())))
    (kept,) = loaded.of("p")
    assert kept == dataclasses.replace(
        entry(judgement=judgement), id=0, logprobs=None, parts={"criteria": 0.5}
    )


@pytest.mark.parametrize(
    ("state", "says"),
    [({"version": 99}, "version 1, got 99"), ({"version": 1, "next": 0, "entries": [{}]}, "read")],
)
def test_a_state_that_is_none_is_refused(state: dict[str, Any], says: str) -> None:
    with pytest.raises(StorageError, match=says):
        Replay().load_state_dict(state)
