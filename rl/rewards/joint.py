"""Several reward functions at once: a text counts with all of its rewards, or is left out.

TRL adds the rewards of a text up and takes one that is missing for 0, or, where it normalises each
function first, for the mean. So a judge that failed ranks a text below a bad one, or above it. Here
missing stays missing: within a group, the texts for one prompt, each function counts for all texts
that are compared. A text that lacks one of these rewards is left out: its advantage is 0, and it
enters neither mean nor spread. A function that gives None for every text of a group has nothing to
say on its prompt, and the others count.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from quillgraph.backends.errors import ConfigError
from quillgraph.rl.columns import key_of
from quillgraph.rl.rewards.functions import checked_values
from quillgraph.rl.rewards.group import Rewards

LEFT_OUT = "rewards/left_out"
"""Metric: texts of a step that lack a reward which others of their group have, or have none."""


def incomplete(values: Sequence[Rewards]) -> tuple[bool, ...]:
    """Say which texts of a group are left out.

    Args:
        values: For each text the reward of each function that has weight.
    """
    counting = [
        number for number, column in enumerate(zip(*values, strict=True)) if set(column) != {None}
    ]
    return tuple(not counting or any(row[each] is None for each in counting) for row in values)


def joint_reward(
    functions: Sequence[Callable[..., Any]], weights: Sequence[float] | None = None
) -> Callable[..., Awaitable[list[float | None]]]:
    """Make one reward function of several, for `reward_funcs=[…]` of an untouched trainer of TRL's.

    A reward function cannot see what the others give; this one calls them all. Of a group that is
    dealt to several processes each of them sees its own part.

    Args:
        functions: `criteria_reward(…)` and functions of your own.
        weights: One for each; None weighs all alike.

    Raises:
        ConfigError: If there is no function, or not one weight for each.
    """
    if not functions or (weights is not None and len(weights) != len(functions)):
        raise ConfigError(
            f"expected a weight for each of one or more reward functions, got {len(functions)} "
            f"functions and {'no' if weights is None else len(weights)} weights"
        )
    checked = [checked_values(each) for each in functions]
    heights = list(weights or [1.0] * len(functions))

    async def joint(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        parts = await asyncio.gather(
            *(
                each(prompts=prompts, completions=completions, log_metric=log_metric, **columns)
                for each in checked
            )
        )
        rows = [list(row) for row in zip(*parts, strict=True)]
        skipped = _incomplete_rows(rows, heights, [key_of(each) for each in prompts])
        if log_metric is not None:
            log_metric(LEFT_OUT, float(sum(skipped)))
        return [
            None if is_out else _weighed(row, heights)
            for row, is_out in zip(rows, skipped, strict=True)
        ]

    return joint


class CompleteRewards:
    """What makes a trainer of TRL's leave texts out that lack a reward; stands before its class."""

    reward_weights: Any
    model: Any
    num_generations: int
    num_generations_eval: int
    _metrics: dict[str, dict[str, list[float]]]

    def _calculate_rewards(self, *arguments: Any, **options: Any) -> Any:
        """TRL's, of all processes in the order of their groups; NaN where a text is left out."""
        rewards = super()._calculate_rewards(*arguments, **options)  # type: ignore[misc]
        is_training = self.model.training
        size = self.num_generations if is_training else self.num_generations_eval
        rows = [[None if math.isnan(each) else each for each in row] for row in rewards.tolist()]
        groups = [number // size for number in range(len(rows))]
        skipped = _incomplete_rows(rows, self.reward_weights.tolist(), groups)
        for number, is_out in enumerate(skipped):
            if is_out:
                rewards[number] = math.nan
        self._metrics["train" if is_training else "eval"][LEFT_OUT].append(float(sum(skipped)))
        return rewards


def _incomplete_rows(
    rows: Sequence[Rewards], weights: Sequence[float], groups: Sequence[Any]
) -> list[bool]:
    """Which rows are left out, where rows of one group need not stand together."""
    counting = [number for number, weight in enumerate(weights) if weight]
    places: dict[Any, list[int]] = {}
    for number, group in enumerate(groups):
        places.setdefault(group, []).append(number)
    skipped = [False] * len(rows)
    for members in places.values():
        flags = incomplete([[rows[each][column] for column in counting] for each in members])
        for place, is_out in zip(members, flags, strict=True):
            skipped[place] = is_out
    return skipped


def _weighed(row: Rewards, weights: Sequence[float]) -> float:
    pairs = zip(row, weights, strict=True)
    return math.fsum(weight * value for value, weight in pairs if value is not None)
