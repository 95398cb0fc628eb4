"""Our criteria as a reward function of TRL's own trainer."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from quillgraph.agents.requests import writing_task
from quillgraph.backends.errors import ConfigError, RewardError
from quillgraph.rl.columns import JUDGEMENT, request_of
from quillgraph.rl.config.criteria import hard_set
from quillgraph.rl.rewards.functions import criteria_reward, guarded
from quillgraph.rl.rewards.rules import RewardedText, RewardRules
from quillgraph.rl.rewards.scorer import JudgeQueue

REQUESTS = [f"Write a story in exactly {n} words about the sea." for n in (2, 3, 4, 5)]
SETS = {(task := writing_task(each)).request_hash: hard_set(task) for each in REQUESTS}
UNGATED = RewardRules(dropout=0, gate=False)


def conversation(request: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": "Write."}, {"role": "user", "content": request}]


def answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


async def test_each_text_is_rewarded_under_the_criteria_of_its_own_request() -> None:
    function = criteria_reward(SETS, rules=UNGATED)
    rewards = await function(
        prompts=[conversation(REQUESTS[0]), conversation(REQUESTS[1]), conversation(REQUESTS[0])],
        completions=[answer("salt wind"), answer("salt wind"), answer("salt")],
    )
    # two words where two are asked for; two of three: H = .5·2/3; one of two: H = .5·1/2
    expected = [1.0, 0.95 * 0.5 * 2 / 3 + 0.05, 0.95 * 0.5 / 2 + 0.05]
    assert rewards == pytest.approx(expected)


async def test_the_request_may_stand_in_a_column_of_its_own() -> None:
    function = criteria_reward(SETS, rules=UNGATED)
    rewards = await function(
        prompts=["another wording"], completions=["salt wind"], request=[REQUESTS[0]]
    )
    assert rewards == [1.0]


async def test_observers_and_the_log_are_told_of_every_text() -> None:
    seen: list[RewardedText] = []
    metrics: dict[str, float] = {}
    extra: dict[str, list[Any]] = {}
    function = criteria_reward(SETS, rules=UNGATED, observers=[seen.extend])
    await function(
        prompts=[REQUESTS[0]] * 2,
        completions=["salt wind", "salt wind and rain"],
        log_metric=metrics.__setitem__,
        log_extra=extra.__setitem__,
    )
    assert [each.text for each in seen] == ["salt wind", "salt wind and rain"]
    assert metrics["criteria/kept_all"] == 0.5
    assert metrics["criteria/missing"] == 0
    assert [name for name, rows in extra.items() for _ in rows] == [JUDGEMENT] * 2


def test_a_judge_beside_a_scorer_is_refused() -> None:
    scorer = JudgeQueue()
    with pytest.raises(ConfigError, match="the scorer has a judge already"):
        criteria_reward(SETS, judge=object(), scorer=scorer)  # type: ignore[arg-type]
    scorer.close()


def test_the_request_of_a_prompt_is_its_last_user_turn() -> None:
    assert request_of([*conversation("first"), *conversation("second")]) == "second"
    assert request_of("as it is") == "as it is"


def raising(**_: Any) -> list[float]:
    raise ZeroDivisionError("no words")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (raising, "'raising' failed with ZeroDivisionError: no words; it got 2 texts"),
        (lambda **_: [1.0, math.nan], "expected a number or None .* got nan for the text 'b'"),
        (lambda **_: [1.0, math.inf], "got inf"),
        (lambda **_: [1.0], "expected 2 rewards .* one per text, got 1"),
        (lambda **_: [None, None], "no reward for any of 2 texts"),
    ],
)
async def test_what_goes_wrong_in_a_users_function_is_said(
    function: Callable[..., Any], message: str
) -> None:
    with pytest.raises(RewardError, match=message):
        await guarded(function)(prompts=["p", "p"], completions=["a", "b"])


async def test_none_for_one_text_is_no_error() -> None:
    assert await guarded(lambda **_: [None, 2])(prompts="pp", completions=["a", "b"]) == [None, 2]


def trainer_with(functions: list[Any], make: Callable[[], Any], **parts: Any) -> Any:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    return GRPOTrainer(
        model=make(),
        reward_funcs=functions,
        args=GRPOConfig(**parts["options"]),
        train_dataset=Dataset.from_list(
            [{"prompt": conversation(each), "request": each} for each in REQUESTS]
        ),
        processing_class=parts["tokenizer"],
    )


def test_an_untouched_grpo_trainer_learns_from_our_criteria(
    tiny_model: Callable[[], Any], tokenizer: Any, options: dict[str, Any]
) -> None:
    seen: list[RewardedText] = []
    function = criteria_reward(SETS, rules=UNGATED, observers=[seen.extend])
    trainer = trainer_with([function], tiny_model, options=options, tokenizer=tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train()
    # 3 steps of 8 texts, and the trainer's own log says what we gave it
    assert len(seen) == 24
    steps = [row for row in trainer.state.log_history if "rewards/criteria/mean" in row]
    for number, row in enumerate(steps):
        values = [each.value for each in seen[8 * number : 8 * number + 8] if each.value]
        assert row["rewards/criteria/mean"] == pytest.approx(sum(values) / 8, abs=1e-6)
    assert {each.step for each in seen} == {0, 1, 2}


def test_a_reward_function_that_fails_ends_trls_training_with_its_name(
    tiny_model: Callable[[], Any], tokenizer: Any, options: dict[str, Any]
) -> None:
    trainer = trainer_with([guarded(raising)], tiny_model, options=options, tokenizer=tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RewardError, match="'raising' failed"):
            trainer.train()


SIX = "Write a story in at most 6 words about the sea."
TASK_OF_SIX = writing_task(SIX)
SET_OF_SIX = {TASK_OF_SIX.request_hash: hard_set(TASK_OF_SIX)}
FOG = "Fog sat on the wheel."


async def values_of(*completions: Any, **columns: Any) -> tuple[list[float | None], list[Any]]:
    seen: list[RewardedText] = []
    function = criteria_reward(SET_OF_SIX, rules=UNGATED, observers=[seen.extend])
    values = await function(
        prompts=[conversation(SIX)] * len(completions), completions=list(completions), **columns
    )
    return values, seen


@pytest.mark.parametrize(
    "completion",
    [
        [
            {"role": "assistant", "content": "I will look at what the sea is like in the fog."},
            {"role": "tool", "name": "look", "content": "grey"},
            {"role": "assistant", "content": FOG},
        ],
        [
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
            {"role": "tool", "content": "grey"},
            {"role": "assistant", "content": FOG},
        ],
        answer(f"<think>They ask for six words at most, so I count.</think>\n\n{FOG}"),
        [{"role": "assistant", "content": FOG, "reasoning_content": "They ask for six words."}],
        answer(f"Sure! Here is your story:\n\n{FOG}"),
        [{"role": "assistant", "content": [{"type": "thinking", "thinking": "p"}, FOG]}],
    ],
)
async def test_the_last_answer_is_judged_and_the_rest_is_kept(completion: Any) -> None:
    values, (seen,) = await values_of(completion)
    assert (values, seen.text) == ([1.0], FOG)
    assert seen.aside


async def test_a_good_text_with_thinking_is_worth_more_than_one_that_is_too_long() -> None:
    values, _ = await values_of(answer(f"<think>{FOG * 9}</think>{FOG}"), answer(f"{FOG} {FOG}"))
    assert values[0] is not None
    assert values[1] is not None
    assert values[0] > values[1]


async def test_thinking_that_was_cut_off_has_no_reward_and_is_counted() -> None:
    metrics: dict[str, float] = {}
    values, seen = await values_of(
        answer("<think>They ask"), answer(FOG), log_metric=metrics.__setitem__
    )
    assert values == [None, 1.0]
    assert "the thinking was cut off" in seen[0].no_text
    assert (metrics["criteria/no_text"], metrics["criteria/missing"]) == (1, 1)


async def test_a_prompt_that_opens_the_thinking_makes_a_reply_without_its_end_no_text() -> None:
    values, _ = await values_of(answer("They ask"), answer(FOG), opened_thinking=[True, False])
    assert values == [None, 1.0]
    function = criteria_reward(SET_OF_SIX, rules=UNGATED)
    prompts = [f"{SIX}\n<think>\n"] * 2
    completions = [f"plan\n</think>\n{FOG}", "plan"]
    assert await function(prompts=prompts, completions=completions, request=[SIX] * 2) == [
        1.0,
        None,
    ]


async def test_a_step_of_cut_thinking_alone_says_so() -> None:
    with pytest.raises(RewardError, match="the thinking was cut off before it"):
        await values_of(answer("<think>They ask"))


async def test_what_a_rollout_excludes_is_not_judged() -> None:
    values, seen = await values_of(answer(""), answer(FOG), excluded=["the engine broke", None])
    assert values == [None, 1.0]
    assert seen[0].no_text == "the engine broke"


async def test_a_users_function_gets_the_text_and_the_reply_beside_it() -> None:
    shown: list[Any] = []

    def words(completions: Any, replies: Any, **_: Any) -> list[float]:
        shown.append((completions, replies))
        return [len(each[0]["content"].split()) for each in completions]

    reply = answer(f"<think>plan</think>{FOG}")
    cut = answer("<think>plan")
    assert await guarded(words)(prompts="pp", completions=[reply, cut]) == [5, None]
    assert shown == [([answer(FOG), answer("")], [reply, cut])]
