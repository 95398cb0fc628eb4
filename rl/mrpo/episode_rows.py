"""Rows of the present episodes that are not in TRL's batch.

They are the further calls of graphs, and texts that were written with lessons and are trained under
the bare prompt.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from accelerate.utils import gather_object

from quillgraph.rl.columns import RIDERS, TRAJECTORY
from quillgraph.rl.mrpo.credit import NOBODY
from quillgraph.rl.mrpo.memory import MemoryTrainer, Step
from quillgraph.rl.mrpo.rows import Normaliser, SideRow, lessoned_row, rider_rows
from quillgraph.rl.rollouts.sampling import chance_of


def own_rows(trainer: MemoryTrainer, step: Step, normaliser: Normaliser) -> list[SideRow]:
    """Make the rows of this process, and change the advantages of TRL's batch to match them.

    Args:
        trainer: The MRPO trainer, whose `credit` divides advantages and whose options say how often
            lessons are removed from prompts.
        step: The step; its `out["advantages"]` changes where the credit of a leading call differs
            from the whole advantage, and becomes 0 where a text is trained in a row of its own.
        normaliser: Weight of a token.
    """
    riders = [each.get(RIDERS) or () for each in step.inputs]
    return [
        *rider_rows(riders, _of_riders(trainer, step), normaliser),
        *_without_lessons(trainer, step, normaliser),
    ]


def _of_riders(trainer: MemoryTrainer, step: Step) -> list[Sequence[float]]:
    """Advantages of the further calls; those of leading calls go into TRL's batch."""
    whole, metrics = step.out["advantages"].tolist(), trainer._metrics["train"]
    calls = [each.get(RIDERS) or () for each in step.inputs]
    gains: list[Sequence[float]] = [
        (gain,) * len(each) for gain, each in zip(whole, calls, strict=True)
    ]
    if trainer.credit is None:
        return gains
    trajectories = gather_object([each.get(TRAJECTORY) or NOBODY for each in step.inputs])
    size, shifts = len(step.groups[0]), []
    for number, (texts, plan) in enumerate(zip(step.groups, step.plans, strict=True)):
        group = trajectories[number * size : (number + 1) * size]
        row_advantages = trainer.credit(group, texts, plan.advantages, step.number)
        for place, (one, rows) in enumerate(zip(group, row_advantages, strict=True)):
            if rows is None or (row := step.place(number * size + place)) is None:
                continue
            shifts += [abs(value - (plan.advantages[place] or 0.0)) for value in rows]
            lead = one.lead % len(rows)
            step.out["advantages"][row] = rows[lead]
            gains[row] = [*rows[:lead], *rows[lead + 1 :]]
    metrics["credit/moved"].append(fmean(shifts) if shifts else 0.0)
    return gains


def _without_lessons(trainer: MemoryTrainer, step: Step, normaliser: Normaliser) -> list[SideRow]:
    """Make rows under the bare prompt for some of the texts that were written with lessons.

    The others are trained under the prompt that they were written under, as TRL does
    (`ALGORITHM.md` 6.5, rollout with lessons). The run's seed decides which are which.
    """
    trajectories = [each.get(TRAJECTORY) for each in step.inputs]
    lessons = gather_object([each.lessons if each else None for each in trajectories])
    if all(each is None for each in lessons):
        return []
    rows = []
    for row, each in enumerate(trajectories):
        about = (trainer.args.seed, step.number, "lessons", step.first + row)
        if not each or not each.lessons or chance_of(*about) >= trainer.args.lessons_removed:
            continue
        gain = step.out["advantages"][row].item()
        step.out["advantages"][row] = 0.0
        bare = step.bare_ids(trainer, row)
        rows.append(lessoned_row(each.leading, bare, gain, normaliser))
    _log_lessons(trainer, step, lessons, len(rows))
    return [each for each in rows if each.advantage]


def _log_lessons(trainer: MemoryTrainer, step: Step, lessons: Sequence[Any], removals: int) -> None:
    """Log how many texts were written with lessons, and their gain in reward."""
    metrics = trainer._metrics["train"]
    texts = [text for group in step.groups for text in group]
    pairs = [
        (bool(ids), text.reward)
        for ids, text in zip(lessons, texts, strict=True)
        if text.reward is not None
    ]
    metrics["lessons/share"].append(fmean(map(bool, lessons)))
    metrics["lessons/removed"].append(float(sum(gather_object([removals]))))
    with_them = [reward for has, reward in pairs if has]
    without = [reward for has, reward in pairs if not has]
    if with_them and without:
        metrics["lessons/gain"].append(fmean(with_them) - fmean(without))
