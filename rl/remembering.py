"""From TRL's batch of tensors to what memory keeps of it."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from quillgraph.rl.planning import Fresh
from quillgraph.rl.replay import Entry


def written(out: dict[str, Any]) -> Tensor:
    """Find the mask of the completion tokens that the policy wrote, shape (B, T)."""
    mask: Tensor = out["completion_mask"]
    return mask * out["tool_mask"] if "tool_mask" in out else mask


def bare_entry(
    text: Fresh, out: dict[str, Any], mask: Tensor, row: int, logps: Sequence[float], step: int
) -> Entry:
    """Make a bare entry of a row of TRL's batch, with the log-probs that it was sampled with."""
    length = int(out["completion_mask"][row].sum())
    prompt = out["prompt_ids"][row][out["prompt_mask"][row].bool()]
    assert text.reward is not None  # else it would have no advantage
    return Entry(
        prompt=text.prompt,
        criteria_sha=text.criteria_sha,
        context="bare",
        prompt_ids=tuple(prompt.tolist()),
        completion_ids=tuple(out["completion_ids"][row, :length].tolist()),
        mask=tuple(bool(each) for each in mask[row, :length].tolist()),
        logprobs=tuple(logps[:length]),
        reward=text.reward,
        step=step,
        text=text.text,
        judgement=text.judgement,
    )
