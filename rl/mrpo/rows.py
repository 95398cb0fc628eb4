"""Rows of a step that are not in TRL's batch, each with its weight in the loss.

They are replays, anchors and an episode's further calls. They have a forward pass of their own, so
their padding costs the fresh rows nothing, and a step without them costs the same as TRL's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Literal, Self

import torch
from torch import Tensor

from quillgraph.rl.mrpo.losses import Rows, clipped, importance
from quillgraph.rl.mrpo.plan import Fresh, Group, Replayed
from quillgraph.rl.mrpo.replay import Entry
from quillgraph.rl.trajectories.rows import Row

PRESENT = ("fresh", "lessoned")
"""Kinds of rows from the present episodes; the others come from memory."""

ELSEWHERE = ("lessoned", "reflective")
"""Kinds of rows that were written under another context than they are trained under."""


@dataclass(frozen=True, slots=True)
class SideRow:
    """Tokens with their weight in the loss of the whole step."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    mask: tuple[bool, ...]
    behaviour: tuple[float, ...] | None
    """Behaviour log-probability of each token; None if unknown."""
    kind: Literal["fresh", "lessoned", "bare", "reflective"]
    """`fresh` for a further call of a present episode, `lessoned` for a present text that was
    written with lessons in its prompt; for a remembered text, the context it was written in."""
    advantage: float = 0.0
    weight: float = 0.0
    """Weight of the sum of its tokens' J; 0 where it has no part in it."""
    anchor: float = 0.0
    """Weight of the sum of its tokens' -log π in the SFT anchor; 0 where it is no target."""

    @property
    def silenced(self) -> "SideRow":
        """The same tokens with weight 0: a place-holder for processes with fewer rows."""
        return SideRow(self.prompt_ids, self.completion_ids, self.mask, self.behaviour, self.kind)


@dataclass(frozen=True, slots=True)
class SideBatch:
    """Rows of one micro-batch as tensors: prompts padded left, completions padded right."""

    prompt_ids_BP: Tensor
    prompt_mask_BP: Tensor
    completion_ids_BT: Tensor
    completion_mask_BT: Tensor
    mask_BT: Tensor
    behaviour_BT: Tensor
    is_known_B: Tensor
    is_fresh_B: Tensor
    is_shaped_B: Tensor
    advantages_B: Tensor
    weights_B: Tensor
    anchors_B: Tensor

    def under(self, logps_BT: Tensor) -> Rows:
        """The input of the terms of the loss: these rows with the policy's log-probs."""
        names = [each.name for each in fields(Rows) if each.name != "logps_BT"]
        return Rows(logps_BT, *(getattr(self, name) for name in names))

    @classmethod
    def of(cls, rows: Sequence[SideRow], *, pad: int, device: torch.device) -> "SideBatch":
        """Pad rows to tensors.

        Args:
            rows: At least one.
            pad: Token id of the padding.
            device: Device of the tensors.
        """
        width = max(len(row.prompt_ids) for row in rows)
        length = max(len(row.completion_ids) for row in rows)

        def left(ids: Sequence[int], fill: int) -> list[int]:
            return [fill] * (width - len(ids)) + list(ids)

        def right(values: Sequence[float], fill: float) -> list[float]:
            return list(values) + [fill] * (length - len(values))

        def tensor(
            values: Sequence[Sequence[float]] | Sequence[float], dtype: torch.dtype
        ) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device)

        ones = [(1,) * len(row.completion_ids) for row in rows]
        real, whole = torch.float32, torch.long
        return cls(
            prompt_ids_BP=torch.tensor([left(row.prompt_ids, pad) for row in rows], device=device),
            prompt_mask_BP=torch.tensor(
                [left((1,) * len(row.prompt_ids), 0) for row in rows], device=device
            ),
            completion_ids_BT=tensor([right(row.completion_ids, pad) for row in rows], whole),
            completion_mask_BT=tensor([right(each, 0) for each in ones], whole),
            mask_BT=tensor([right(row.mask, 0) for row in rows], real),
            behaviour_BT=tensor([right(row.behaviour or (), 0.0) for row in rows], real),
            is_known_B=tensor([row.behaviour is not None for row in rows], torch.bool),
            is_fresh_B=tensor([row.kind in PRESENT for row in rows], torch.bool),
            is_shaped_B=tensor([row.kind in ELSEWHERE for row in rows], torch.bool),
            advantages_B=tensor([row.advantage for row in rows], real),
            weights_B=tensor([row.weight for row in rows], real),
            anchors_B=tensor([row.anchor for row in rows], real),
        )


@dataclass(frozen=True, slots=True)
class Drift:
    """Importance ratios that measure how far the side rows have drifted from the policy."""

    replayed: Tensor
    """w of the replayed tokens whose b is known, detached, shape (n,)."""
    lessoned: Tensor
    """w of the tokens written with lessons, detached, shape (n,)."""
    clipped: Tensor
    """Number of bare replayed tokens that the clip limits, a scalar."""
    bare: Tensor
    """Number of bare replayed tokens, a scalar."""

    @classmethod
    def of(cls, rows: Rows, *, low: float, high: float) -> Self:
        """Measure the drift of rows; ε_l is `low` and ε_h is `high`."""
        ratio_BT = importance(rows.logps_BT, rows.behaviour_BT).detach()
        clip_BT = clipped(ratio_BT, rows.advantages_B, low=low, high=high)
        is_fresh_B1, is_shaped_B1 = rows.is_fresh_B.unsqueeze(1), rows.is_shaped_B.unsqueeze(1)
        has_part_BT = rows.weights_B.unsqueeze(1) * rows.mask_BT > 0
        replayed_BT = has_part_BT & ~is_fresh_B1
        bare_BT = replayed_BT & ~is_shaped_B1
        held_BT = bare_BT & (clip_BT < ratio_BT * rows.advantages_B.unsqueeze(1))
        return cls(
            replayed=ratio_BT[replayed_BT & rows.is_known_B.unsqueeze(1)],
            lessoned=ratio_BT[has_part_BT & is_fresh_B1 & is_shaped_B1],
            clipped=held_BT.sum(),
            bare=bare_BT.sum(),
        )


def dealt(rows: Sequence[SideRow], hands: int) -> list[list[SideRow]]:
    """Split rows into `hands` parts with about equally many tokens, long rows first."""
    ordered = sorted(rows, key=lambda row: -len(row.prompt_ids) - len(row.completion_ids))
    return [list(ordered[hand::hands]) for hand in range(hands)]


def memory_rows(plans: Sequence[Group], loss_type: str, longest: int) -> list[SideRow]:
    """Make rows of the replayed entries and of the targets of the SFT anchor.

    J_rep of a prompt is (1/(M·L_max)) Σ_j Σ_t z·J, averaged over the prompts of the step; with
    `grpo` 1/|y_j| replaces 1/L_max, with `dapo` and `bnpo` 1/Σ_j |y_j| replaces 1/(M·L_max). L_sft
    is a mean over all tokens of its targets. A text that is both a replay and a target is one row.

    Args:
        plans: The groups of the step.
        loss_type: TRL's loss type, which decides the normaliser.
        longest: L_max, tokens.
    """
    rows: dict[int, SideRow] = {}
    for group in plans:
        for each in group.replayed:
            weight = each.weight * _share_of_a_token(each, group.replayed, loss_type, longest)
            row = _row(each.entry)
            rows[each.entry.id] = replace(row, advantage=each.advantage, weight=weight)
    targets = list(chain.from_iterable(group.anchors for group in plans))
    tokens = sum(entry.tokens for entry in targets)
    for entry in targets:
        rows[entry.id] = replace(rows.get(entry.id) or _row(entry), anchor=1 / max(1, tokens))
    return list(rows.values())


@dataclass(frozen=True, slots=True)
class Normaliser:
    """Weight of a token of a present episode: the same as in the loss of TRL's batch."""

    loss_type: str
    """TRL's loss type, which decides the normaliser."""
    rows: int
    """Number of episodes of the step, over all processes."""
    tokens: int
    """Number of tokens of their texts."""
    longest: int
    """L_max, tokens."""

    @classmethod
    def of(cls, groups: Sequence[Sequence[Fresh]], loss_type: str, longest: int) -> Self:
        """Make the normaliser of a step from its groups."""
        return cls(
            loss_type,
            rows=sum(len(group) for group in groups),
            tokens=sum(each.tokens for group in groups for each in group),
            longest=longest,
        )

    def weight(self, own: int) -> float:
        """Weight of each of the `own` tokens of a row."""
        if self.loss_type == "grpo":
            return 1 / (self.rows * max(1, own))
        if self.loss_type == "dr_grpo":
            return 1 / (self.rows * self.longest)
        return 1 / max(1, self.tokens)


def rider_rows(
    riders: Sequence[Sequence[Row]],
    advantages: Sequence[Sequence[float]],
    normaliser: Normaliser,
) -> list[SideRow]:
    """Make rows of the further calls of the present episodes, each with its advantage.

    They add to the loss of the text's own row and do not change its normaliser.

    Args:
        riders: Further calls of each episode of this process.
        advantages: A of each of these calls.
        normaliser: Weight of a token.
    """
    return [
        SideRow(
            row.prompt_ids,
            row.completion_ids,
            row.mask,
            row.logprobs,
            "fresh",
            advantage=gain,
            weight=normaliser.weight(sum(row.mask)),
        )
        for calls, gains in zip(riders, advantages, strict=True)
        for row, gain in zip(calls, gains, strict=True)
        if gain
    ]


def lessoned_row(
    row: Row, bare_ids: Sequence[int], advantage: float, normaliser: Normaliser
) -> SideRow:
    """Make a row under the bare prompt from a text that was written with lessons in its prompt."""
    return SideRow(
        tuple(bare_ids),
        row.completion_ids,
        row.mask,
        row.logprobs,
        "lessoned",
        advantage=advantage,
        weight=normaliser.weight(sum(row.mask)),
    )


def _share_of_a_token(
    one: Replayed, of_prompt: Sequence[Replayed], loss_type: str, longest: int
) -> float:
    if loss_type == "dr_grpo":
        return 1 / longest
    if loss_type == "grpo":
        return 1 / max(1, one.entry.tokens)
    return len(of_prompt) / max(1, sum(each.entry.tokens for each in of_prompt))


def _row(entry: Entry) -> SideRow:
    return SideRow(
        tuple(entry.prompt_ids),
        tuple(entry.completion_ids),
        tuple(map(bool, entry.mask)),
        None if entry.logprobs is None else tuple(entry.logprobs),
        entry.context,
    )
