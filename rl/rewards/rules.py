"""From judgements of texts to the rewards that a trainer uses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from quillgraph.agents.domain import CriteriaSet, Value, WritingTask
from quillgraph.agents.judgements import Judgement, Reward, checked, judged
from quillgraph.agents.judges import reward
from quillgraph.agents.replies import NOTHING_ASIDE, Aside, ReplyText
from quillgraph.backends.errors import RewardError
from quillgraph.rl.rewards.group import DROPOUT, active_criteria, hard_gate, with_diversity
from quillgraph.rl.rewards.scorer import JudgeQueue

MOST_MISSING = 0.3
"""Share of the weight whose verdicts may be missing before a text is left out (`ALGORITHM.md`
6.3.2)."""

NEVER = -1
"""Step number for draws that are made once for a whole run."""

CriteriaFor = Callable[[WritingTask], CriteriaSet] | Mapping[str, CriteriaSet]
"""Finds the frozen criteria of a task: a function, or a mapping from `request_hash`."""


class RewardRules(Value):
    """How judgements become the rewards of a group."""

    dropout: float = Field(default=DROPOUT, ge=0, lt=1)
    """Share of the soft criteria that are hidden in a step, the same ones for a whole group."""
    held_out: float = Field(default=0.0, ge=0, lt=1)
    """Share of the soft criteria that are never trained on, to test whether the policy generalises
    to other criteria."""
    hard_share: float = Field(default=0.0, ge=0, le=1)
    """Share of S that measures how nearly the hard criteria are met (`agents.judges.reward`)."""
    diversity: float = Field(default=0.0, ge=0, le=1)
    """Share of the reward of a good text that depends on its diversity (`rl.rewards.group`)."""
    gate: bool = True
    """Whether a text that breaks a hard criterion loses reward in its group (`rl.hard_gate`)."""
    most_missing: float = Field(default=MOST_MISSING, ge=0, le=1)
    seed: int = 0

    def trained(self, criteria_set: CriteriaSet) -> frozenset[str]:
        """Ids of the soft criteria that the run trains on."""
        return active_criteria(
            criteria_set.criteria,
            prompt=criteria_set.request_hash,
            step=NEVER,
            seed=self.seed,
            dropout=self.held_out,
        )

    def active(self, criteria_set: CriteriaSet, step: int) -> frozenset[str]:
        """Ids of the soft criteria that count in a step, for fresh texts and replayed ones."""
        trained = self.trained(criteria_set)
        return active_criteria(
            [each for each in criteria_set.criteria if each.id in trained],
            prompt=criteria_set.request_hash,
            step=step,
            seed=self.seed,
            dropout=self.dropout,
        )


@dataclass(frozen=True, slots=True)
class RewardedText:
    """A text of a training step, with its judgement and rewards."""

    step: int
    task: WritingTask
    text: str
    judgement: Judgement
    reward: Reward
    """Reward of the text by itself."""
    value: float | None
    """Reward that the trainer gets: after the gate and diversity of the group."""
    aside: Aside = NOTHING_ASIDE
    """What the reply held beside the text."""
    no_text: str | None = None
    """Why there is no text; nobody has judged it then."""


Observer = Callable[[Sequence[RewardedText]], object]
"""Called with the texts of each step: the ledger, the text monitor, the rollout log."""


def group_rewards(
    criteria_set: CriteriaSet,
    texts: Sequence[str],
    judgements: Sequence[Judgement],
    rules: RewardRules,
    *,
    step: int,
) -> tuple[tuple[Reward, ...], tuple[float | None, ...]]:
    """Compute the rewards of the texts for one prompt, under one set of active criteria.

    Returns:
        The reward of each text by itself, and its reward within the group: after the diversity
        term and the gate of the hard criteria.
    """
    active = rules.active(criteria_set, step)
    rewards = tuple(
        _reward(judgement, criteria_set, text, rules, active)
        for text, judgement in zip(texts, judgements, strict=True)
    )
    values = with_diversity(
        [each.value for each in rewards],
        [each.hard if each.soft is None else each.soft for each in rewards],
        texts,
        share=rules.diversity,
    )
    if rules.gate:
        values = hard_gate(values, [bool(each.violations) for each in rewards])
    return rewards, values


def recount_of(
    sets: Mapping[str, CriteriaSet], rules: RewardRules
) -> Callable[[Judgement, str, int], float | None]:
    """Make the function that recounts a judgement in a step, for MRPO's fresh and remembered texts.

    Args:
        sets: Criteria by their own hash.
        rules: Which criteria count in which step; gate and diversity apply later, to a group.
    """

    def recount(judgement: Judgement, text: str, step: int) -> float | None:
        criteria_set = sets[judgement.criteria_sha]
        return _reward(judgement, criteria_set, text, rules, rules.active(criteria_set, step)).value

    return recount


def whole_reward(
    judgement: Judgement, criteria_set: CriteriaSet, text: str, rules: RewardRules
) -> Reward:
    """The reward of a text by itself under all its criteria, without dropout."""
    return _reward(judgement, criteria_set, text, rules, None)


def _reward(
    judgement: Judgement,
    criteria_set: CriteriaSet,
    text: str,
    rules: RewardRules,
    active: frozenset[str] | None,
) -> Reward:
    return reward(
        judgement,
        criteria_set,
        text,
        active=active,
        most_missing=rules.most_missing,
        hard_share=rules.hard_share,
    )


def reward_summary(scored: Sequence[RewardedText]) -> dict[str, float]:
    """Mean rewards of a step, for the log."""
    known = [each for each in scored if each.value is not None]
    hard = [each.reward.hard for each in known if each.reward.hard is not None]
    soft = [each.reward.soft for each in known if each.reward.soft is not None]
    means = {
        "criteria/missing": float(len(scored) - len(known)),
        "criteria/no_text": float(sum(each.no_text is not None for each in scored)),
        "criteria/kept_all": _mean([not each.reward.violations for each in known]),
        "criteria/gated": _mean([each.judgement.gate is not None for each in scored]),
        "criteria/hard": _mean(hard),
        "criteria/soft": _mean(soft),
        "criteria/reward": _mean(
            [each.reward.value for each in known if each.reward.value is not None]
        ),
    }
    return {name: value for name, value in means.items() if value is not None}


async def rewarded_group(
    queue: JudgeQueue,
    task: WritingTask,
    criteria_set: CriteriaSet,
    replies: Sequence[ReplyText],
    rules: RewardRules,
    *,
    step: int,
) -> list[RewardedText]:
    """Judge and reward the texts for one prompt.

    Raises:
        BackendError: If the judge could not be reached.
    """
    judgements = await queue.judgements(task, criteria_set, replies)
    texts = [each.words for each in replies]
    rewards, values = group_rewards(criteria_set, texts, judgements, rules, step=step)
    rows = zip(replies, judgements, rewards, values, strict=True)
    return [
        RewardedText(step, task, reply.words, judgement, reward, value, reply.aside, reply.missing)
        for reply, judgement, reward, value in rows
    ]


def criteria_of(criteria_for: CriteriaFor, task: WritingTask, *, has_judge: bool) -> CriteriaSet:
    """Look up the criteria of a task.

    Raises:
        RewardError: If there are none, if they belong to another request, or if none of them can
            be scored.
    """
    where = f"the request {task.request[:60]!r}"
    try:
        criteria_set = (
            criteria_for[task.request_hash]
            if isinstance(criteria_for, Mapping)
            else criteria_for(task)
        )
    except KeyError as error:
        raise RewardError(
            f"expected criteria for {where}, got none; find them before training"
        ) from error
    if criteria_set.request_hash != task.request_hash:
        raise RewardError(
            f"expected criteria for {where}, got those of the request with hash "
            f"{criteria_set.request_hash[:12]}…; criteria are valid only for the request "
            "that they were found for"
        )
    criteria = criteria_set.criteria
    scored = [*checked(criteria), *(judged(criteria) if has_judge else ())]
    if not scored:
        raise RewardError(
            f"nothing to reward: {where} makes no demand that code can check, and there is no "
            "judge; pass a judge, or leave the request out"
        )
    if not any(each.weight for each in scored):
        raise RewardError(
            f"nothing to reward: all criteria of {where} that can be scored have weight 0; give "
            "one a weight, or leave the request out"
        )
    return criteria_set


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
