"""From the plan of a step to the rows beside TRL's batch, each with its weight in the loss."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from quillgraph.rl.mrpo.plan import Group, Replayed
from quillgraph.rl.mrpo.replay import Entry
from quillgraph.rl.mrpo.rows import SideRow
from quillgraph.rl.trajectories.trajectory import Row


def memory_rows(plans: Sequence[Group], loss_type: str, longest: int) -> list[SideRow]:
    """Make rows of what is replayed and of what the SFT anchor learns from.

    J_rep of a prompt is (1/(M·L_max)) Σ_j Σ_t z·J, averaged over the prompts of the step; with
    `grpo` 1/|y_j| stands for 1/L_max, with `dapo` and `bnpo` 1/Σ_j |y_j| for 1/(M·L_max). L_sft is
    a mean over all tokens of its targets. A text that is both is one row.

    Args:
        plans: The groups of the step.
        loss_type: TRL's, which names the normaliser.
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
    """What a token of a present episode weighs: as much as in the loss of TRL's batch."""

    loss_type: str
    """TRL's, which names the normaliser."""
    rows: int
    """Episodes of the step, over all processes."""
    tokens: int
    """Tokens of their texts."""
    longest: int
    """L_max."""

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

    They add to what the text's own row teaches and leave its normaliser as it is.

    Args:
        riders: Further calls of each episode of this process.
        advantages: A of each of these calls.
        normaliser: What their tokens weigh.
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
    """Make a row under the bare prompt of a text that was written with lessons in its prompt."""
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
