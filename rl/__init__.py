"""Training by criteria: group rewards, credit per node, and MRPO.

Names are imported on first use (PEP 562), because some of their modules load torch.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from quillgraph.rl.config.run import TrainConfig, load_config
    from quillgraph.rl.mrpo.config import MRPOConfig
    from quillgraph.rl.mrpo.losses import Rows, Term
    from quillgraph.rl.mrpo.trainer import MRPOTrainer
    from quillgraph.rl.rewards.functions import criteria_reward
    from quillgraph.rl.rewards.group import active_criteria, advantages, hard_gate
    from quillgraph.rl.rewards.joint import joint_reward
    from quillgraph.rl.rewards.rules import RewardRules
    from quillgraph.rl.rewards.scorer import JudgeQueue
    from quillgraph.rl.stages.pipeline import check, train
    from quillgraph.rl.trajectories.credit import (
        by_evidence,
        by_service,
        criterion_parts,
        group_credit,
        node_credit,
    )
    from quillgraph.rl.trajectories.origins import row_origins, trace_rows
    from quillgraph.rl.trajectories.rows import Row, Trajectory, trajectory

__all__ = [
    "JudgeQueue",
    "MRPOConfig",
    "MRPOTrainer",
    "RewardRules",
    "Row",
    "Rows",
    "Term",
    "TrainConfig",
    "Trajectory",
    "active_criteria",
    "advantages",
    "by_evidence",
    "by_service",
    "check",
    "criteria_reward",
    "criterion_parts",
    "group_credit",
    "hard_gate",
    "joint_reward",
    "load_config",
    "node_credit",
    "row_origins",
    "trace_rows",
    "train",
    "trajectory",
]

_PLACES = {
    "JudgeQueue": "rewards.scorer",
    "MRPOConfig": "mrpo.config",
    "MRPOTrainer": "mrpo.trainer",
    "RewardRules": "rewards.rules",
    "Row": "trajectories.rows",
    "Rows": "mrpo.losses",
    "Term": "mrpo.losses",
    "TrainConfig": "config.run",
    "Trajectory": "trajectories.rows",
    "active_criteria": "rewards.group",
    "advantages": "rewards.group",
    "by_evidence": "trajectories.credit",
    "by_service": "trajectories.credit",
    "check": "stages.pipeline",
    "criteria_reward": "rewards.functions",
    "criterion_parts": "trajectories.credit",
    "group_credit": "trajectories.credit",
    "hard_gate": "rewards.group",
    "joint_reward": "rewards.joint",
    "load_config": "config.run",
    "node_credit": "trajectories.credit",
    "row_origins": "trajectories.origins",
    "trace_rows": "trajectories.origins",
    "train": "stages.pipeline",
    "trajectory": "trajectories.rows",
}


def __getattr__(name: str) -> typing.Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("quillgraph"):
            raise
        raise ImportError(
            f"{__name__}.{name} needs {error.name}: pip install 'quillgraph[rl]'"
        ) from error
