"""Learning from criteria: what a group of texts for one prompt teaches."""

from quillgraph.rl.groups import (
    absent,
    active_criteria,
    advantages,
    combine_advantages,
    diversity,
    hard_gate,
    pairwise_bonus,
    with_diversity,
)

__all__ = [
    "absent",
    "active_criteria",
    "advantages",
    "combine_advantages",
    "diversity",
    "hard_gate",
    "pairwise_bonus",
    "with_diversity",
]
