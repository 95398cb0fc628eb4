"""Writing to memory in a step (`ALGORITHM.md` 6.5, memory writing).

A step stores its best fresh texts, and revisions of texts from flat or poor groups.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Protocol

import torch
from accelerate.utils import gather_object
from torch import Tensor

from quillgraph.agents.judgements import Judgement
from quillgraph.rl.columns import TRAJECTORY
from quillgraph.rl.mrpo.credit import Credit
from quillgraph.rl.mrpo.fresh import Recount
from quillgraph.rl.mrpo.plan import Fresh, Group, to_remember
from quillgraph.rl.mrpo.replay import Entry, Replay
from quillgraph.rl.trainers import GroupTrainer

FLAT_SPREAD, POOR_MEAN = 0.02, 0.5
"""A group gets a revision if the spread of its rewards is below the first number, or their mean
below the second. Refining failed texts comes from Critique-GRPO (arXiv:2506.03106), the numbers are
ours."""


@dataclass(frozen=True, slots=True)
class Unsatisfying:
    """A text to revise: the median text of a flat or poor group."""

    prompt: Any
    """The prompt as in the dataset."""
    prompt_ids: tuple[int, ...]
    """The bare prompt, under which a revision is trained."""
    text: Fresh
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of reward functions: the dataset's other columns, and TRL's
    `trainer_state`."""


@dataclass(frozen=True, slots=True)
class Revision:
    """An accepted revision: no new hard violation, and a gain that exceeds the noise."""

    text: str
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    """Behaviour log-probs under the reflective context; None if unknown."""
    reward: float
    """Weighted sum of all reward functions, as for a fresh text."""
    parts: Mapping[str, float] = field(default_factory=dict)
    judgement: Judgement | None = None


Reflect = Callable[[Sequence[Unsatisfying]], Sequence[Revision | None]]
"""Revises texts; None where no revision was accepted or the revision failed."""


class MemoryTrainer(GroupTrainer, Protocol):
    """The MRPO trainer, as the modules that write its memory and its rows see it."""

    memory: Replay
    recount: dict[str, Recount]
    reflect: Reflect | None
    credit: Credit | None
    reward_func_names: list[str]
    _is_vlm: bool

    def _tokenize_prompts(self, prompts: list[Any]) -> Any: ...

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any) -> Any: ...


def wants_revision(group: Group) -> bool:
    """Whether a group is flat or poor; a group without rewards is neither."""
    return group.mean is not None and (group.spread < FLAT_SPREAD or group.mean < POOR_MEAN)


def median(fresh: Sequence[Fresh]) -> int:
    """Index of the text with the median reward, or the lower median, among texts with a reward."""
    known = [number for number, each in enumerate(fresh) if each.reward is not None]
    ranked = sorted(known, key=lambda number: (fresh[number].reward or 0.0, number))
    return ranked[(len(ranked) - 1) // 2]


def reflective_entry(revision: Revision, revised: Unsatisfying, *, step: int) -> Entry:
    """Make a reflective entry from a revision, to be trained under the bare prompt."""
    return Entry(
        prompt=revised.text.prompt,
        criteria_sha=revised.text.criteria_sha,
        context="reflective",
        prompt_ids=revised.prompt_ids,
        completion_ids=revision.completion_ids,
        mask=(True,) * len(revision.completion_ids),
        logprobs=revision.logprobs,
        reward=revision.reward,
        step=step,
        text=revision.text,
        parts=revision.parts,
        judgement=revision.judgement,
        is_revision=True,
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One generation: TRL's batch of this process, and the groups of all processes."""

    number: int
    """Optimizer steps done."""
    inputs: Sequence[Mapping[str, Any]]
    out: Mapping[str, Any]
    """TRL's tensors of the batch."""
    mask_BT: Tensor
    """Which completion tokens the policy wrote."""
    groups: Sequence[Sequence[Fresh]]
    plans: Sequence[Group]
    first: int
    """Index of this process's first text among the texts of all processes."""

    def prompt_ids(self, row: int) -> tuple[int, ...]:
        """Prompt ids of a row of this process, without padding."""
        ids = self.out["prompt_ids"][row][self.out["prompt_mask"][row].bool()]
        return tuple(ids.tolist())

    def bare_ids(self, trainer: MemoryTrainer, row: int) -> tuple[int, ...]:
        """Ids of the dataset's prompt for a row of this process, without any lessons."""
        trajectory = self.inputs[row].get(TRAJECTORY)
        if trajectory is None or trajectory.is_bare:
            return self.prompt_ids(row)
        ids, _, _ = trainer._tokenize_prompts([self.inputs[row]["prompt"]])
        return tuple(ids[0])

    def columns(self, trainer: MemoryTrainer, row: int) -> dict[str, Any]:
        """The dataset's columns of a row, except its prompt."""
        names = set(trainer.train_dataset.column_names or ()) - {"prompt"}
        return {name: value for name, value in self.inputs[row].items() if name in names}

    def place(self, number: int) -> int | None:
        """Row in this process of a text of the step; None where another process has it."""
        row = number - self.first
        return row if 0 <= row < len(self.inputs) else None


def written_tokens(out: Mapping[str, Any]) -> Tensor:
    """Mask of the completion tokens that the policy wrote, shape (B, T)."""
    mask: Tensor = out["completion_mask"]
    return mask * out["tool_mask"] if "tool_mask" in out else mask


def write_fresh(trainer: MemoryTrainer, step: Step) -> tuple[int, ...]:
    """Store the best fresh texts in memory, the same ones in every process.

    Returns:
        Ids of the stored entries.
    """
    size = len(step.groups[0])
    picks = [
        (place, step.groups[group][number])
        for group, plan in enumerate(step.plans)
        for number in to_remember(step.groups[group], plan)
        if (place := step.place(group * size + number)) is not None
    ]
    logps = _behaviour(trainer, step.out, [row for row, _ in picks])
    entries = [
        (step.first + row, _fresh_entry(trainer, step, row, text, logp))
        for (row, text), logp in zip(picks, logps, strict=True)
        # an engine may fail to score a token; a row without ratios cannot be replayed
        if all(map(math.isfinite, logp))
    ]
    return _add(trainer, entries)


def write_revisions(trainer: MemoryTrainer, step: Step, reflect: Reflect) -> tuple[int, ...]:
    """Revise the median texts of flat and poor groups, split among processes, and store them.

    Returns:
        Ids of the stored entries.
    """
    size = len(step.groups[0])
    poor = [number for number, plan in enumerate(step.plans) if wants_revision(plan)]
    own = [(n, row) for n in poor if (row := step.place(n * size)) is not None]
    medians = {number: step.groups[number][median(step.groups[number])] for number in poor}
    unsatisfying = [
        Unsatisfying(
            step.inputs[row]["prompt"],
            step.bare_ids(trainer, row),
            medians[number],
            {**step.columns(trainer, row), "trainer_state": trainer.state},
        )
        for number, row in own
    ]
    revisions = reflect(unsatisfying) if unsatisfying else []
    entries = [
        (number, reflective_entry(revision, text, step=step.number))
        for (number, _), text, revision in zip(own, unsatisfying, revisions, strict=True)
        if revision is not None
    ]
    everyones = gather_object(entries)
    metrics = trainer._metrics["train"]
    metrics["reflection/asked"].append(float(len(poor)))
    metrics["reflection/accepted"].append(float(len(everyones)))
    if everyones:
        gains = [entry.reward - (medians[number].reward or 0.0) for number, entry in everyones]
        metrics["reflection/gain"].append(fmean(gains))
    return _add(trainer, entries)


def _add(trainer: MemoryTrainer, entries: list[tuple[int, Entry]]) -> tuple[int, ...]:
    """Add the entries of all processes in one order, so that all memories stay equal."""
    everyones = sorted(gather_object(entries), key=lambda pair: pair[0])
    ids = [trainer.memory.add(entry) for _, entry in everyones]
    return tuple(each for each in ids if each is not None)


def _fresh_entry(
    trainer: MemoryTrainer, step: Step, row: int, text: Fresh, logps: Sequence[float]
) -> Entry:
    """Make an entry from a fresh text; with lessons it is reflective, under the bare prompt."""
    trajectory = step.inputs[row].get(TRAJECTORY)
    has_lessons = trajectory is not None and bool(trajectory.lessons)
    length = int(step.out["completion_mask"][row].sum())
    assert text.reward is not None  # a text without a reward has no advantage and is not chosen
    return Entry(
        prompt=text.prompt,
        criteria_sha=text.criteria_sha,
        context="reflective" if has_lessons else "bare",
        prompt_ids=step.bare_ids(trainer, row) if has_lessons else step.prompt_ids(row),
        completion_ids=step.out["completion_ids"][row, :length].tolist(),
        mask=step.mask_BT[row, :length].tolist(),
        logprobs=logps[:length],
        reward=text.reward,
        step=step.number,
        text=text.text,
        parts=text.parts,
        judgement=text.judgement,
    )


def _behaviour(
    trainer: MemoryTrainer, out: Mapping[str, Any], rows: Sequence[int]
) -> list[list[float]]:
    """Log-probs that rows were sampled with; computed only where no engine returned them."""
    for name in ("sampling_per_token_logps", "old_per_token_logps"):
        if name in out:
            return [out[name][row].tolist() for row in rows]
    most = max(gather_object([len(rows)]))
    if not most:
        return []
    # every process makes the same forward passes, or collectives would hang
    index = (list(rows) + [0] * most)[:most]
    with torch.no_grad():
        logps_BT, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            torch.cat([out["prompt_ids"][index], out["completion_ids"][index]], 1),
            torch.cat([out["prompt_mask"][index], out["completion_mask"][index]], 1),
            out["completion_ids"].size(1),
            batch_size=trainer.args.per_device_train_batch_size,
        )
    return list(logps_BT.tolist()[: len(rows)])
