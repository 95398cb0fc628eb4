"""Revisions of what went badly, written back to memory (`ALGORITHM.md` 6.5, memory writing)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quillgraph.agents.judgements import Judgement
from quillgraph.rl.mrpo.plan import Fresh, Group
from quillgraph.rl.mrpo.replay import Entry

FLAT_SPREAD, POOR_MEAN = 0.02, 0.5
"""A group is revised if its rewards spread less than this, or their mean is lower than this. To
refine what failed is Critique-GRPO's (arXiv:2506.03106), the numbers are ours."""


@dataclass(frozen=True, slots=True)
class Unsatisfying:
    """A text to be revised: the median one of a flat or poor group."""

    prompt: Any
    """As the dataset has it."""
    prompt_ids: tuple[int, ...]
    """The bare prompt, under which a revision will be learned from."""
    text: Fresh
    columns: Mapping[str, Any] = field(default_factory=dict)
    """What reward functions are told beside the text: the dataset's other columns, and TRL's
    `trainer_state`."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision that was accepted: no hard violation more, and a gain that is no noise."""

    text: str
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    """Behaviour log-probs under the reflective context; None if unknown."""
    reward: float
    """All reward functions together, as for a fresh text."""
    parts: Mapping[str, float] = field(default_factory=dict)
    judgement: Judgement | None = None


Reflect = Callable[[Sequence[Unsatisfying]], Sequence[Revision | None]]
"""Revises texts; None where no revision was accepted, or none could be had."""


def wants_revision(group: Group) -> bool:
    """Whether a group is flat or poor; one without rewards is neither, nothing is known of it."""
    return group.mean is not None and (group.spread < FLAT_SPREAD or group.mean < POOR_MEAN)


def median(fresh: Sequence[Fresh]) -> int:
    """Number of the text with the median reward, the lower one of two, among those with one."""
    known = [number for number, each in enumerate(fresh) if each.reward is not None]
    ranked = sorted(known, key=lambda number: (fresh[number].reward or 0.0, number))
    return ranked[(len(ranked) - 1) // 2]


def entry_of(revision: Revision, revised: Unsatisfying, *, step: int) -> Entry:
    """Make a reflective entry of a revision, to be learned from under the bare prompt."""
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
