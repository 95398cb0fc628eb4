"""Learning from criteria: what a group of texts for one prompt teaches."""

from quillgraph.rl.rewards.functions import criteria_reward
from quillgraph.rl.rewards.group import (
    absent,
    active_criteria,
    advantages,
    combine_advantages,
    diversity,
    hard_gate,
    pairwise_bonus,
    with_diversity,
)
from quillgraph.rl.rewards.rules import RewardRules, episode_reward
from quillgraph.rl.rewards.scorer import JudgementCache, JudgeQueue
from quillgraph.rl.trajectories.credit import (
    by_evidence,
    by_service,
    criterion_parts,
    group_credit,
    node_credit,
)
from quillgraph.rl.trajectories.origins import origins, row_origins, trace_rows
from quillgraph.rl.trajectories.rows import Row, Trajectory, trajectory

__all__ = [
    "JudgeQueue",
    "JudgementCache",
    "RewardRules",
    "Row",
    "Trajectory",
    "absent",
    "active_criteria",
    "advantages",
    "by_evidence",
    "by_service",
    "combine_advantages",
    "criteria_reward",
    "criterion_parts",
    "diversity",
    "episode_reward",
    "group_credit",
    "hard_gate",
    "node_credit",
    "origins",
    "pairwise_bonus",
    "row_origins",
    "trace_rows",
    "trajectory",
    "with_diversity",
]
