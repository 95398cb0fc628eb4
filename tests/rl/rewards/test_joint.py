"""A text that lacks a reward is left out of its group, and ranks neither below nor above others."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from quillgraph.backends.errors import ConfigError
from quillgraph.rl.rewards.joint import LEFT_OUT, incomplete, joint_reward

GOOD = [0.8, None, 0.2, 0.5]
"""Of four texts for one prompt; the judge has failed on the second."""

LENGTH = [0.0, 1.0, 0.0, 0.5]


def giving(values: Sequence[float | None], name: str) -> Callable[..., list[float | None]]:
    """A reward function that gives these to each group of four."""

    def function(completions: Sequence[Any], **_: Any) -> list[float | None]:
        return [values[number % 4] for number in range(len(completions))]

    function.__name__ = name
    return function


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ([(0.8, 0.0), (None, 1.0)], (False, True)),
        ([(None, 0.0), (None, 1.0)], (False, False)),
        ([(None, 1.0), (0.5, None)], (True, True)),
        ([(None, None), (None, None)], (True, True)),
        ([(0.1,), (None,)], (False, True)),
    ],
)
def test_a_function_counts_for_all_texts_of_a_group_or_for_none(
    values: list[tuple[float | None, ...]], left: tuple[bool, ...]
) -> None:
    assert incomplete(values) == left


async def test_the_joint_function_gives_none_where_one_of_them_does() -> None:
    metrics: dict[str, float] = {}
    joint = joint_reward([giving(GOOD, "good"), giving(LENGTH, "length")], [1.0, 2.0])
    rewards = await joint(
        prompts=["p"] * 4, completions=["a", "b", "c", "d"], log_metric=metrics.__setitem__
    )
    assert rewards == [0.8, None, 0.2, 1.5]
    assert metrics[LEFT_OUT] == 1


async def test_a_function_without_weight_leaves_nothing_out() -> None:
    joint = joint_reward([giving(GOOD, "good"), giving(LENGTH, "length")], [0.0, 1.0])
    assert await joint(prompts="pppp", completions=list("abcd")) == LENGTH


async def test_prompts_that_a_function_has_nothing_to_say_on_are_rewarded_by_the_others() -> None:
    # of the second prompt `good` gives nothing at all
    good = [0.8, None, None, None]
    joint = joint_reward([giving(good, "good"), giving(LENGTH, "length")])
    assert await joint(prompts=["p", "p", "q", "q"], completions=list("abcd")) == [
        0.8, None, 0.0, 0.5,
    ]  # fmt: skip


async def test_a_reply_without_a_text_has_no_reward_of_any_function() -> None:
    joint = joint_reward([giving([1.0, 1.0, 1.0, 1.0], "always")])
    completions = ["Fog.", "<think>plan", "<think>plan</think>Fog.", ""]
    assert await joint(prompts="pppp", completions=completions) == [1.0, None, 1.0, 1.0]


def test_weights_that_fit_no_function_are_refused() -> None:
    with pytest.raises(ConfigError, match="got 1 functions and 2 weights"):
        joint_reward([giving(GOOD, "good")], [1.0, 2.0])
    with pytest.raises(ConfigError, match="got 0 functions"):
        joint_reward([])


# sums without the second text: .8, .2, 1.0; their mean is 2/3
CENTRED = [0.8 - 2 / 3, 0.0, 0.2 - 2 / 3, 1.0 - 2 / 3]


def advantages_of(trainer: Any) -> list[float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train()
    return list(trainer._logs["advantages"])[:4]


def made(kind: Any, arguments: Any, functions: list[Any], make: Any, tokenizer: Any) -> Any:
    from datasets import Dataset

    rows = [
        {"prompt": [{"role": "user", "content": f"sun {word}"}], "criteria_sha": "s"}
        for word in ("moon", "rain", "sea", "bell")
    ]
    return kind(
        model=make(),
        reward_funcs=functions,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )


@pytest.fixture
def group_of_four(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "num_generations": 4, "max_steps": 1, "scale_rewards": "none"}


def test_an_untouched_trainer_leaves_them_out_by_the_joint_function(
    tiny_model: Callable[[], Any], tokenizer: Any, group_of_four: dict[str, Any]
) -> None:
    from trl import GRPOConfig, GRPOTrainer

    both = [giving(GOOD, "good"), giving(LENGTH, "length")]
    arguments = GRPOConfig(**group_of_four)
    apart = made(GRPOTrainer, arguments, both, tiny_model, tokenizer)
    # TRL by itself takes the judge's failure for 0, and the text for one as good as the best
    assert advantages_of(apart) == pytest.approx([0.05, 0.25, -0.55, 0.25])
    trainer = made(GRPOTrainer, arguments, [joint_reward(both)], tiny_model, tokenizer)
    assert advantages_of(trainer) == pytest.approx(CENTRED)


def test_trls_algorithm_in_our_runs_leaves_them_out(
    tiny_model: Callable[[], Any], tokenizer: Any, group_of_four: dict[str, Any]
) -> None:
    from trl import GRPOConfig

    from quillgraph.rl.stages.rl import CompleteGRPOTrainer

    both = [giving(GOOD, "good"), giving(LENGTH, "length")]
    trainer = made(CompleteGRPOTrainer, GRPOConfig(**group_of_four), both, tiny_model, tokenizer)
    assert advantages_of(trainer) == pytest.approx(CENTRED)
    assert [row[LEFT_OUT] for row in trainer.state.log_history if LEFT_OUT in row] == [2.0]


def test_where_each_function_is_normalised_first_they_are_left_out_as_well(
    tiny_model: Callable[[], Any], tokenizer: Any, group_of_four: dict[str, Any]
) -> None:
    from trl import GRPOConfig

    from quillgraph.rl.stages.rl import CompleteGRPOTrainer

    arguments = GRPOConfig(**group_of_four, multi_objective_aggregation="normalize_then_sum")
    both = [giving(GOOD, "good"), giving(LENGTH, "length")]
    gains = advantages_of(made(CompleteGRPOTrainer, arguments, both, tiny_model, tokenizer))
    # good: .8 .2 .5, mean .5, deviation .3; length: 0 0 .5, mean 1/6, deviation .5/√3 = .288675
    parts = [
        (good - 0.5) / (0.3 + 1e-4) + (length - 1 / 6) / (0.5 / math.sqrt(3) + 1e-4)
        for good, length in ((0.8, 0.0), (0.2, 0.0), (0.5, 0.5))
    ]
    # two equal groups of three: their sample has 6 values, of which each comes twice
    spread = math.sqrt(2 * sum(each**2 for each in parts) / 5)
    expected = [each / (spread + 1e-4) for each in parts]
    assert gains == pytest.approx([expected[0], 0.0, expected[1], expected[2]], abs=1e-4)


def test_mrpo_leaves_them_out_with_and_without_its_memory(
    tiny_model: Callable[[], Any], tokenizer: Any, group_of_four: dict[str, Any]
) -> None:
    from quillgraph.rl.mrpo.config import MRPOConfig
    from quillgraph.rl.mrpo.trainer import MRPOTrainer

    both = [giving(GOOD, "good"), giving(LENGTH, "length")]
    plain: dict[str, Any] = {"replay_weight": 0.0, "anchor_weight": 0.0, "hard_gate": False}
    further: dict[str, Any]
    for further in ({}, plain):
        arguments = MRPOConfig(**{**group_of_four, **further})
        trainer = made(MRPOTrainer, arguments, both, tiny_model, tokenizer)
        seen = watch_advantages(trainer)
        advantages_of(trainer)
        assert seen[0][:4] == pytest.approx(CENTRED)


def watch_advantages(trainer: Any) -> list[list[float]]:
    """The advantages that the loss gets, in the order of the texts."""
    seen: list[list[float]] = []
    make = trainer._generate_and_score_completions

    def watched(inputs: Any) -> Any:
        out = make(inputs)
        seen.append(out["advantages"].tolist())
        return out

    trainer._generate_and_score_completions = watched
    return seen
