"""Reward functions for TRL's trainers: for ours and for an unchanged `GRPOTrainer`.

A missing reward is None, which TRL leaves out of the group's mean and spread.
"""

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.judges import Judge
from quillgraph.agents.replies import ReplyText
from quillgraph.agents.requests import writing_task
from quillgraph.backends.errors import ConfigError, QuillError, RewardError
from quillgraph.rl.columns import EXCLUDED, JUDGEMENT, REQUEST, TEXT, request_of, rewarded_texts
from quillgraph.rl.rewards.rules import (
    CriteriaFor,
    Observer,
    RewardedText,
    RewardRules,
    criteria_of,
    reward_summary,
    rewarded_group,
)
from quillgraph.rl.rewards.scorer import JudgeQueue

NAME = "criteria"
"""Name of our reward function, by which TRL logs it."""


def criteria_reward(
    criteria_for: CriteriaFor,
    judge: Judge | None = None,
    *,
    rules: RewardRules | None = None,
    scorer: JudgeQueue | None = None,
    observers: Sequence[Observer] = (),
) -> Callable[..., Awaitable[list[float | None]]]:
    """Make a reward function from our criteria, for `reward_funcs=[…]` of TRL's trainers.

    It reads the request from the column `request` of the dataset if there is one, else from the
    last user turn of the prompt. It judges all texts of a call at once, equal texts only once, and
    rewards the texts for one prompt as a group.

    What is judged is the last answer of a completion, without the model's thinking and without
    words around the text (`agents.replies`). Where there is no text, as after thinking that was cut
    off, the reward is None.

    Args:
        criteria_for: The frozen criteria of a task.
        judge: Scores the soft criteria; None only checks the hard ones, by code.
        rules: How judgements become rewards.
        scorer: Queue that judges the texts, to start judging during generation or to cache
            judgements in a file; it has its own judge. None makes one from `judge`.
        observers: Called with every text, its judgement and its reward.

    Raises:
        ConfigError: If both a judge and a scorer are passed.
    """
    if judge is not None and scorer is not None:
        raise ConfigError("expected a judge or a scorer, got both; the scorer has a judge already")
    reward_rules, queue = rules or RewardRules(), scorer or JudgeQueue(judge)

    async def criteria(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        trainer_state: Any = None,
        log_metric: Callable[[str, float], None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        step = int(getattr(trainer_state, "global_step", 0))
        requests = columns.get(REQUEST) or [request_of(prompt) for prompt in prompts]
        texts = rewarded_texts(prompts, completions, columns)
        groups = _grouped(requests)
        parts = await asyncio.gather(
            *(
                _score_group(writing_task(request), [texts[n] for n in members], step)
                for request, members in groups.items()
            )
        )
        scored = _in_order(list(groups.values()), parts)
        for observer in observers:
            observer(scored)
        if log_metric is not None:
            for name, value in reward_summary(scored).items():
                log_metric(name, value)
        if log_extra is not None:
            log_extra(JUDGEMENT, [each.judgement.model_dump_json() for each in scored])
        return refuse_all_missing([each.value for each in scored], NAME, scored)

    async def _score_group(
        task: WritingTask, texts: list[ReplyText], step: int
    ) -> list[RewardedText]:
        criteria_set = criteria_of(criteria_for, task, has_judge=queue.judge is not None)
        return await rewarded_group(queue, task, criteria_set, texts, reward_rules, step=step)

    return criteria


def guarded(function: Callable[..., Any]) -> Callable[..., Awaitable[list[float | None]]]:
    """Wrap a user's reward function, so that its failures are errors and never training signal.

    It gets the texts that rewards are of in the form of completions, and the completions as they
    were sampled as `replies`. Where there is no text its value is not used.

    Raises (when called):
        RewardError: As `checked_values` does, and if it returns None for all texts of a step.
    """
    checked = checked_values(function)

    async def wrapped(
        prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        return refuse_all_missing(await checked(prompts, completions, **columns), wrapped.__name__)

    wrapped.__name__ = checked.__name__
    return wrapped


def checked_values(function: Callable[..., Any]) -> Callable[..., Awaitable[list[float | None]]]:
    """Wrap a user's reward function, so that it returns a number or None for each text, or raises.

    Raises (when called):
        RewardError: If the function raises, returns NaN or infinity, or not one value per text.
    """
    name = getattr(function, "__name__", type(function).__name__)

    async def wrapped(
        prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        texts = rewarded_texts(prompts, completions, columns)
        forms = [_form(text, each) for text, each in zip(texts, completions, strict=True)]
        further = {
            "replies": completions,
            TEXT: [each.text for each in texts],
            EXCLUDED: [each.missing for each in texts],
        }
        columns |= {key: value for key, value in further.items() if _takes(function, key)}
        try:
            rewards = function(prompts=prompts, completions=forms, **columns)
            values = list(await rewards if inspect.isawaitable(rewards) else rewards)
        except QuillError:
            raise
        except Exception as error:  # foreign code may raise anything
            raise RewardError(
                f"reward function {name!r} failed with {type(error).__name__}: {error}; it got "
                f"{len(completions)} texts, the first {texts[0].words[:60]!r}"
            ) from error
        if len(values) != len(completions):
            raise RewardError(
                f"expected {len(completions)} rewards from {name!r}, one per text, got "
                f"{len(values)}"
            )
        for value, text in zip(values, texts, strict=True):
            if value is not None and not _is_number(value):
                raise RewardError(
                    f"expected a number or None from reward function {name!r}, got {value!r} for "
                    f"the text {text.words[:60]!r}; return None for a text that cannot be rewarded"
                )
        rows = zip(values, texts, strict=True)
        return [None if text.text is None else value for value, text in rows]

    wrapped.__name__ = name
    return wrapped


def refuse_all_missing(
    values: list[float | None], name: str, scored: Sequence[RewardedText] = ()
) -> list[float | None]:
    """Return the rewards, or raise if all are missing.

    Raises:
        RewardError: If every reward is None; a step without rewards teaches nothing.
    """
    if values and all(value is None for value in values):
        missing = (entry.reason for each in scored for entry in each.judgement.missing)
        reason = next(missing, "it returned None for each")
        raise RewardError(
            f"no reward for any of {len(values)} texts from {name!r}: {reason}; check with "
            "`quillgraph judge` that the judge answers in the expected form"
        )
    return values


def _takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has a place for an argument of this name."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # of C code, which tells nothing
        return False
    any_name = (each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return name in parameters or any(any_name)


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number, or a tensor with one."""
    try:
        return math.isfinite(value)
    except (TypeError, ValueError):
        return False


def _form(text: ReplyText, completion: Any) -> Any:
    """The text that a reward is of, plain or conversational as its completion is."""
    if isinstance(completion, str):
        return text.words
    return [{"role": "assistant", "content": text.words}]


def _grouped(requests: Sequence[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for number, request in enumerate(requests):
        groups.setdefault(request, []).append(number)
    return groups


def _in_order(
    places: Sequence[list[int]], parts: Sequence[list[RewardedText]]
) -> list[RewardedText]:
    texts = {
        place: each
        for members, part in zip(places, parts, strict=True)
        for place, each in zip(members, part, strict=True)
    }
    return [texts[place] for place in sorted(texts)]
