"""From judgements to the rewards of a group."""

from quillgraph.rl.rewards.group import advantages

__all__ = [
    "advantages",
]
