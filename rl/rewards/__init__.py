"""Rewards of a group of texts, computed from their judgements."""

from quillgraph.rl.rewards.group import advantages

__all__ = [
    "advantages",
]
