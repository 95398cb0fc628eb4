"""Episodes as rows of tokens, and the credit of each node."""

from quillgraph.rl.trajectories.credit import by_evidence, criterion_parts, group_credit
from quillgraph.rl.trajectories.rows import rows_of, trajectory

__all__ = [
    "by_evidence",
    "criterion_parts",
    "group_credit",
    "rows_of",
    "trajectory",
]
