"""How an episode's advantage is divided among its calls in a step (`rl.trajectories.credit`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.judges import LENGTH_SHARE, SOFT_SHARE, length_range
from quillgraph.rl.mrpo.plan import Fresh
from quillgraph.rl.rewards.group import Rewards
from quillgraph.rl.rewards.rules import RewardRules
from quillgraph.rl.trajectories.credit import (
    Owners,
    Parts,
    by_service,
    by_words,
    criterion_parts,
    group_credit,
)
from quillgraph.rl.trajectories.rows import Trajectory

CreditKind = Literal["uniform", "evidence", "service"]

RowAdvantages = Sequence[Sequence[float] | None]
"""Per member of a group, the advantage of each of its rows; None where it has none."""

Credit = Callable[[Sequence[Trajectory], Sequence[Fresh], Rewards, int], RowAdvantages]
"""From a group's trajectories, texts and advantages, and the step, to advantages of its rows."""

NOBODY = Trajectory(
    episode="", request_hash="", criteria_sha=None, rows=(), reward=None, excluded="no episode"
)
"""Place-holder in a group for a failed rollout."""


@dataclass(frozen=True, slots=True)
class RowCredit:
    """Divides advantages by criterion: owners get the part of their criterion, all share the rest.

    The parts come from the fresh group alone; a shift by a baseline that includes remembered texts
    is in the rest.
    """

    kind: CreditKind
    """`uniform`: all rows alike; `evidence`: to the node that wrote what a verdict cites;
    `service`: to the nodes that serve a criterion, according to the graph's output `serves`."""
    sets: Mapping[str, CriteriaSet]
    """Criteria by their own hash."""
    rules: RewardRules
    per_role: bool = False
    """Whether to normalise the rows of each role to the same mean and spread."""
    weight: float = 1.0
    """Weight of the criteria among the reward functions."""

    def __call__(
        self, group: Sequence[Trajectory], texts: Sequence[Fresh], advantages: Rewards, step: int
    ) -> RowAdvantages:
        """Compute the advantage of every row of a group."""
        if self.kind == "uniform":
            return group_credit(group, advantages, per_role=self.per_role)
        pairs = zip(group, texts, strict=True)
        owners = [self._owners(trajectory, text) for trajectory, text in pairs]
        parts = self._parts(texts, step)
        return group_credit(group, advantages, parts, owners, per_role=self.per_role)

    def _owners(self, trajectory: Trajectory, text: Fresh) -> Owners:
        if self.kind == "service":
            return by_service(trajectory.serves)
        if text.judgement is None:
            return {}
        return by_words(text.judgement, [(row.graph, row.reply) for row in trajectory.rows])

    def _parts(self, texts: Sequence[Fresh], step: int) -> Sequence[Parts]:
        criteria_set = self.sets[texts[0].criteria_sha]
        active = self.rules.active(criteria_set, step)
        return criterion_parts(
            [each.judgement.scores if each.judgement else {} for each in texts],
            [each for each in criteria_set.criteria if each.id in active],
            self.weight * self._share(criteria_set),
        )

    def _share(self, criteria_set: CriteriaSet) -> float:
        """Weight of the verdicts in a reward, as `agents.judges.reward` weighs them."""
        whole = SOFT_SHARE + (0.0 if length_range(criteria_set.criteria) else LENGTH_SHARE)
        return whole * (1 - self.rules.hard_share)
