"""Plan of a training step: fresh groups, together with the remembered texts of their prompts.

Pure except for the memory, which it reads and changes; it uses no tensor and no model
(`ALGORITHM.md` appendix B, steps 3 to 5 and 8).
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from quillgraph.agents.judgements import Judgement
from quillgraph.rl.mrpo.replay import Entry, Replay
from quillgraph.rl.rewards.group import Baseline, Rewards, advantages, hard_gate

NO_SPREAD = 0.01
"""Standard deviation below which a group teaches nothing by itself (`ALGORITHM.md` 6.5)."""

STORED_PER_PROMPT = 2
"""Fresh texts of a prompt that a step stores in memory, the best ones with A > 0."""

MIDDLE, WIDTH = 0.5, 0.2
"""Prompts of middling difficulty are replayed first: exp(-(mean R - .5)² / (2·.2²)), the
continuous form of ExGRPO's buckets (arXiv:2510.02245)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules that combine groups with memory."""

    baseline: Baseline = "joint"
    standardise: bool = False
    has_gate: bool = True
    replays: int = 2
    """Maximum number of remembered texts beside a group, M; 0 replays nothing."""
    anchors: int = 0
    """Maximum number of accepted revisions of a prompt that are targets of the SFT anchor."""
    keeps_negative: bool = False
    token_share: float = 0.5
    skips_flat: bool = True
    """Whether to leave out a group without spread, unless memory gives it a baseline."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Fresh:
    """One text that the policy wrote in this step, as its group needs it."""

    prompt: str
    criteria_sha: str
    text: str
    tokens: int
    reward: float | None
    """Weighted sum of all reward functions as returned; None where it is missing."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Value of each reward function that returned one."""
    judgement: Judgement | None = None


CountFn = Callable[[Fresh | Entry], float | None]
"""Reward of a fresh or remembered text in the present step; None if unknown."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A remembered text that takes part in a step."""

    entry: Entry
    advantage: float
    weight: float
    """1 / (prompts of the step · entries of this prompt): its share of the step."""


@dataclass(frozen=True, slots=True)
class Group:
    """The plan of one prompt's group in a step."""

    prompt: str
    rewards: Rewards
    """Rewards that count in this step, after the gate."""
    advantages: Rewards
    """One for each fresh text; None where the reward is None."""
    is_changed: bool
    """Whether they differ from advantages of the group alone with its rewards as returned."""
    is_skipped: bool = False
    is_flat: bool = False
    replayed: tuple[Replayed, ...] = ()
    anchors: tuple[Entry, ...] = ()

    @property
    def mean(self) -> float | None:
        """Mean reward of the fresh texts; None where none has one."""
        known = [value for value in self.rewards if value is not None]
        return fmean(known) if known else None

    @property
    def spread(self) -> float:
        """Sample standard deviation of the fresh rewards; 0 for fewer than two."""
        return _spread(self.rewards)


def plan_step(
    groups: Sequence[Sequence[Fresh]],
    memory: Replay,
    rules: Rules,
    *,
    step: int,
    count: CountFn,
) -> tuple[Group, ...]:
    """Combine each group of a step with memory, within the share of tokens that replay may take.

    Args:
        groups: The fresh texts by prompt.
        memory: The memory; it counts each use of a chosen entry.
        rules: Rules for the combination.
        step: Optimizer steps done.
        count: Reward of a text in this step, by the same rule for fresh and remembered texts:
            rubric dropout hides the same criteria from both.

    Returns:
        One plan for each group, in order.
    """
    candidates = [_candidates(each, memory, rules, step, count) for each in groups]
    fitting = _within_share(candidates, rules, step)
    plans = [_set_against(each, rules) for each in fitting]
    memory.use(each.entry.id for group in plans for each in group.replayed)
    prompts = len(plans)
    return tuple(
        replace(
            group,
            replayed=tuple(
                replace(each, weight=1 / (prompts * len(group.replayed))) for each in group.replayed
            ),
        )
        for group in plans
    )


def to_remember(fresh: Sequence[Fresh], group: Group) -> tuple[int, ...]:
    """Choose the fresh texts of a group to store: the best two of those with A > 0."""
    good = [
        number
        for number, value in enumerate(group.advantages)
        if value is not None and value > 0 and fresh[number].tokens
    ]
    return tuple(sorted(good, key=lambda number: -(group.advantages[number] or 0.0)))[
        :STORED_PER_PROMPT
    ]


@dataclass(frozen=True, slots=True)
class _Candidates:
    """A group and its candidates from memory, with the rewards that count in this step."""

    fresh: Sequence[Fresh]
    raw: Rewards
    entries: tuple[Entry, ...]
    worth: Mapping[int, float]
    picks: tuple[Entry, ...] = ()

    @property
    def mean(self) -> float:
        return fmean(value for value in self.raw if value is not None)


def _candidates(
    fresh: Sequence[Fresh],
    memory: Replay,
    rules: Rules,
    step: int,
    count: CountFn,
) -> _Candidates:
    prompt, sha = fresh[0].prompt, fresh[0].criteria_sha
    raw = tuple(map(count, fresh))
    if all(value is None for value in raw):
        return _Candidates(fresh, raw, (), {})
    entries = tuple(each for each in memory.of(prompt) if each.criteria_sha == sha)
    worth = {each.id: value for each in entries if (value := count(each)) is not None}
    candidates = _Candidates(fresh, raw, entries, worth)
    picks = memory.choose(
        prompt,
        criteria_sha=sha,
        rewards=worth,
        above=candidates.mean,
        step=step,
        most=rules.replays,
    )
    return replace(candidates, picks=picks)


def _set_against(candidates: _Candidates, rules: Rules) -> Group:
    rewards, gains, replayed = _centred(candidates, rules)
    original = tuple(each.reward for each in candidates.fresh)
    is_flat = rules.skips_flat and _spread(rewards) < NO_SPREAD
    is_skipped = is_flat and not replayed
    if is_skipped:
        gains = tuple(None if value is None else 0.0 for value in gains)
    return Group(
        prompt=candidates.fresh[0].prompt,
        rewards=rewards,
        advantages=gains,
        is_changed=rewards != original or bool(replayed) or is_skipped or None in original,
        is_skipped=is_skipped,
        is_flat=is_flat,
        replayed=replayed,
        anchors=_anchors(candidates, rewards, rules),
    )


def _centred(
    candidates: _Candidates, rules: Rules
) -> tuple[Rewards, Rewards, tuple[Replayed, ...]]:
    """Gate and centre a group with its picks; drop picks that gain nothing, also from the mean."""
    picks = candidates.picks
    while True:
        everyone: Rewards = (*candidates.raw, *(candidates.worth[each.id] for each in picks))
        if rules.has_gate:
            is_broken = [_is_broken(each.judgement) for each in candidates.fresh]
            is_broken += [_is_broken(each.judgement) for each in picks]
            everyone = hard_gate(everyone, is_broken)
        ours, theirs = everyone[: len(candidates.raw)], everyone[len(candidates.raw) :]
        gains, of_picks = advantages(
            ours, theirs, baseline=rules.baseline, standardise=rules.standardise
        )
        replays = tuple(
            Replayed(each, value, 1.0)
            for each, value in zip(picks, of_picks, strict=True)
            if value is not None and (value > 0 or rules.keeps_negative)
        )
        # with a split baseline the picks are a group of their own, whose mean needs all of them
        if len(replays) == len(picks) or rules.baseline == "split":
            return ours, gains, replays
        picks = tuple(each.entry for each in replays)


def _is_broken(judgement: Judgement | None) -> bool:
    return judgement is not None and bool(judgement.violated)


def _anchors(candidates: _Candidates, rewards: Rewards, rules: Rules) -> tuple[Entry, ...]:
    """The accepted revisions that are better than the group's mean, best first."""
    if not candidates.entries:
        return ()
    mean = fmean(value for value in rewards if value is not None)
    better = [
        each
        for each in candidates.entries
        if each.is_revision and candidates.worth.get(each.id, -math.inf) > mean
    ]
    return tuple(sorted(better, key=lambda each: (-candidates.worth[each.id], each.id)))[
        : rules.anchors
    ]


def _within_share(groups: Sequence[_Candidates], rules: Rules, step: int) -> list[_Candidates]:
    """Keep the picks of prompts, in the order of a weighted draw, up to the share of tokens."""
    share, fitting = rules.token_share, list(groups)
    fresh_tokens = sum(each.tokens for group in groups for each in group.fresh)
    left = math.inf if share >= 1 else fresh_tokens * share / (1 - share)
    for number in _draw_order(groups, rules.seed, step):
        picks: list[Entry] = []
        for each in groups[number].picks:
            if each.tokens <= left:
                left -= each.tokens
                picks.append(each)
        fitting[number] = replace(groups[number], picks=tuple(picks))
    return fitting


def _draw_order(groups: Sequence[_Candidates], seed: int, step: int) -> list[int]:
    """Order the groups that replay: a draw by weight without replacement (Efraimidis, Spirakis)."""
    chance = random.Random(f"{seed}-{step}")
    keys = {
        number: math.log(1 - chance.random()) / difficulty_weight(group.mean)
        for number, group in enumerate(groups)
        if group.picks
    }
    return sorted(keys, key=lambda number: (-keys[number], number))


def difficulty_weight(mean: float) -> float:
    """Weight of a prompt whose texts have this mean reward: 1 in the middle, never quite 0."""
    return max(math.exp(-((mean - MIDDLE) ** 2) / (2 * WIDTH**2)), 1e-9)


def _spread(values: Rewards) -> float:
    known = [value for value in values if value is not None]
    return stdev(known) if len(known) > 1 else 0.0
