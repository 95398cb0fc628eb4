"""Options of MRPO, on top of those of TRL's GRPO."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trl import GRPOConfig

from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.rl.columns import CRITERIA_SHA
from quillgraph.rl.mrpo import losses, replay
from quillgraph.rl.mrpo.memory import MemoryTrainer
from quillgraph.rl.rewards.group import Baseline

REPLAYABLE = ("grpo", "dr_grpo", "dapo", "bnpo")
"""Loss types whose normaliser the replay term can share."""

UNCUT = {"top_k": 0, "min_p": None, "repetition_penalty": 1.0, "generation_kwargs": None}
"""Options of TRL's own generation other than temperature and top_p, with their neutral values."""


@dataclass
class MRPOConfig(GRPOConfig):  # type: ignore[misc]
    """Options of MRPO (`ALGORITHM.md` 6.5) beside those of `trl.GRPOConfig`.

    Defaults that differ from TRL's are those of Dr.GRPO and DAPO: no division by the standard
    deviation, a constant normaliser, the wider upper clip. With `replay_weight = anchor_weight =
    0`, and without broken hard criteria, a run equals one of TRL's trainer.

    Raises:
        ConfigError: On options that contradict each other.
    """

    loss_type: str = "dr_grpo"
    """Normaliser of the loss, as in TRL."""
    scale_rewards: Any = "none"
    """Divide advantages by a standard deviation: `group` or `none`."""
    epsilon: float = losses.EPSILON_LOW
    """Lower clip ε_l, for fresh rows and bare replays."""
    epsilon_high: float | None = losses.EPSILON_HIGH
    """Upper clip ε_h, for the same rows."""
    adam_beta2: float = 0.95
    """Second momentum of AdamW."""
    replay_weight: float = 1.0
    """λ of the replay term; 0 keeps no memory."""
    replay_baseline: Baseline = "joint"
    """Mean to subtract from rewards: joint, split or fresh (`rl.advantages`)."""
    replays_per_prompt: int = 2
    """Maximum number of remembered texts beside a group, M."""
    replay_negative: bool = False
    """Whether to replay texts below the mean as well."""
    replay_gamma: float = losses.GAMMA
    """γ of the shaping f(w) = w / (w + γ)."""
    replay_token_share: float = 0.5
    """Maximum share of replayed tokens in a step."""
    replay_start: int = 20
    """Optimizer steps before the first replay."""
    replay_start_reward: float = 0.35
    """Mean reward of a batch below which nothing is replayed."""
    least_ess: float = 0.2
    """Effective sample size, as a share of a micro-batch's replayed tokens, below which they are
    left out."""
    memory_per_prompt: int = replay.PER_PROMPT
    """Maximum entries in memory for a prompt."""
    memory_size: int = replay.CAPACITY
    """Maximum entries in memory."""
    anchor_weight: float = 0.05
    """μ of the SFT anchor at the start."""
    hard_gate: bool = True
    """Whether to lower the reward of texts that break a hard criterion."""
    lessons_removed: float = 0.67
    """Share q of the texts written with lessons that are trained under the bare prompt."""
    reflect_every: int = 4
    """Steps between reflection rounds on flat groups."""

    def __post_init__(self) -> None:
        """Check our options, then let TRL check the rest."""
        self._check_ranges()
        self._check_replay()
        super().__post_init__()

    @property
    def remembers(self) -> bool:
        """Whether training uses a memory, so that one is kept."""
        return self.replay_weight > 0 or self.anchor_weight > 0

    @property
    def regroups(self) -> bool:
        """Whether advantages may differ from those that TRL computes."""
        return self.remembers or self.hard_gate

    def _check_ranges(self) -> None:
        for name in ("replay_token_share", "least_ess"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"expected 0 <= {name} < 1, got {getattr(self, name)}")
        if not 0 <= self.lessons_removed <= 1:
            raise ConfigError(f"expected 0 <= lessons_removed <= 1, got {self.lessons_removed}")
        for name in ("replay_weight", "anchor_weight", "replay_start"):
            if getattr(self, name) < 0:
                raise ConfigError(f"expected {name} >= 0, got {getattr(self, name)}")
        for name in ("replays_per_prompt", "memory_per_prompt", "memory_size", "reflect_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"expected {name} >= 1, got {getattr(self, name)}")
        if self.replay_gamma <= 0:
            raise ConfigError(f"expected replay_gamma > 0, got {self.replay_gamma}")
        if self.replay_baseline not in ("joint", "split", "fresh"):
            raise ConfigError(
                f"expected replay_baseline joint, split or fresh, got {self.replay_baseline!r}"
            )

    def _check_replay(self) -> None:
        if self.scale_rewards is True or self.scale_rewards is False:
            self.scale_rewards = "group" if self.scale_rewards else "none"
        if self.regroups and self.scale_rewards == "batch":
            raise ConfigError(_clash("scale_rewards='batch'", "group or none"))
        if self.regroups and self.multi_objective_aggregation != "sum_then_normalize":
            raise ConfigError(_clash("normalize_then_sum", "sum_then_normalize"))
        if not self.remembers:
            return
        if self.loss_type not in REPLAYABLE:
            raise ConfigError(
                f"loss_type={self.loss_type!r} has no replay term; use one of "
                f"{', '.join(REPLAYABLE)}, or replay_weight=0 and anchor_weight=0"
            )
        if self.importance_sampling_level != "token":
            raise ConfigError(
                "replay weighs tokens: importance_sampling_level='sequence' needs "
                "replay_weight=0 and anchor_weight=0"
            )
        if self.replay_baseline == "split" and self.replays_per_prompt < 2:
            raise ConfigError(
                "replay_baseline='split' with one replay per prompt always has advantage 0; "
                "set replays_per_prompt >= 2 or use joint"
            )
        plain = {"top_p": 1.0, **UNCUT}
        if cuts := changed(self, plain):
            raise ConfigError(
                f"{cuts} cut the distribution that texts are sampled from, so its "
                "log-probabilities are not the policy's and no ratio is right; leave them at "
                f"{plain}, or set replay_weight=0 and anchor_weight=0"
            )


def changed(options: Any, neutral: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `neutral` whose value is neither neutral nor empty."""
    values = {name: getattr(options, name) for name in neutral}
    return {
        name: value for name, value in values.items() if value not in (neutral[name], None, {}, 0)
    }


def _clash(setting: str, instead: str) -> str:
    return (
        f"{setting} mixes groups, which gate and replay compute one by one; use {instead}, "
        "or set hard_gate=False, replay_weight=0 and anchor_weight=0"
    )


def check_trainer(trainer: MemoryTrainer) -> None:
    """Refuse a trainer that lacks what its options need.

    Raises:
        ConfigError: Naming what is missing.
    """
    options = trainer.args
    if not isinstance(options, MRPOConfig):
        raise ConfigError(f"expected args of MRPOConfig, got {type(options).__name__}")
    names = trainer.reward_func_names
    if len(set(names)) < len(names):
        raise ConfigError(f"expected reward functions with different names, got {names}")
    columns = trainer.train_dataset.column_names or []
    if options.remembers and CRITERIA_SHA not in columns:
        raise ConfigError(
            f"expected a column {CRITERIA_SHA!r} in the training set, got {columns}: a "
            "remembered reward is valid only under the criteria it was made with; add their hash, "
            "or set replay_weight=0 and anchor_weight=0"
        )
    if unknown := sorted(trainer.recount.keys() - set(names)):
        raise ConfigError(
            f"recount: no reward function {unknown[0]!r}; {nearest(unknown[0], names)}"
        )
    if trainer.reflect and not options.remembers:
        raise ConfigError(
            "reflect= writes revisions to memory, and nothing is remembered with "
            "replay_weight=0 and anchor_weight=0; leave it out or raise one of them"
        )
    if trainer.credit and options.scale_rewards != "none":
        raise ConfigError(
            f"credit= divides advantages by criterion, and scale_rewards={options.scale_rewards!r} "
            "divides them by a deviation first; set scale_rewards='none', or leave credit out"
        )
    if trainer._is_vlm and options.remembers:
        raise ConfigError("images are not remembered: use a text model, or replay_weight=0")
