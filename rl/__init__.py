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
from quillgraph.rl.judgement_cache import JudgementCache
from quillgraph.rl.reward_functions import criteria_reward
from quillgraph.rl.rewards import RewardRules, episode_reward
from quillgraph.rl.scoring import Scorer

__all__ = [
    "JudgementCache",
    "RewardRules",
    "Scorer",
    "absent",
    "active_criteria",
    "advantages",
    "combine_advantages",
    "criteria_reward",
    "diversity",
    "episode_reward",
    "hard_gate",
    "pairwise_bonus",
    "with_diversity",
]
