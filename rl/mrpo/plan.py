"""What a training step learns from: fresh groups, set against what is remembered of their prompts.

Pure but for the memory, which it reads and changes; no tensor and no model is known here
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
"""Fresh texts of a prompt that are remembered in a step, the best ones with A > 0."""

MIDDLE, WIDTH = 0.5, 0.2
"""Prompts of middling difficulty are replayed first: exp(-(mean R - .5)² / (2·.2²)), the
continuous form of ExGRPO's buckets (arXiv:2510.02245)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How groups and memory are set against each other."""

    baseline: Baseline = "joint"
    standardise: bool = False
    has_gate: bool = True
    replays: int = 2
    """Most remembered texts beside a group, M; 0 where nothing is replayed now."""
    anchors: int = 0
    """Most accepted revisions of a prompt that the SFT anchor learns from."""
    keeps_negative: bool = False
    token_share: float = 0.5
    skips_flat: bool = True
    """Leave a group without spread out, unless memory gives it a baseline."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Fresh:
    """One text that the policy has just written, as far as its group is concerned."""

    prompt: str
    criteria_sha: str
    text: str
    tokens: int
    reward: float | None
    """As given, all reward functions together; None where it is missing."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What each reward function gave, where it gave anything."""
    judgement: Judgement | None = None


CountFn = Callable[[Fresh | Entry], float | None]
"""What a fresh or a remembered text is worth in the present step; None if that is not known."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A remembered text that takes part in a step."""

    entry: Entry
    advantage: float
    weight: float
    """1 / (prompts of the step · entries of this prompt): the share of the step it stands for."""


@dataclass(frozen=True, slots=True)
class Group:
    """What one prompt's group teaches in a step."""

    prompt: str
    rewards: Rewards
    """As they count in this step, after the gate."""
    advantages: Rewards
    """One for each fresh text; absent where the reward is."""
    is_changed: bool
    """Whether they differ from what the group alone and its rewards as given would have."""
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
    """Set each group of a step against memory, within the share of tokens that replay may take.

    Args:
        groups: The fresh texts by prompt.
        memory: What is remembered; the use of what is chosen is counted in it.
        rules: How.
        step: Optimizer steps done.
        count: What a text is worth in this step, by the same rule for fresh and remembered ones:
            rubric dropout hides the same criteria from both.

    Returns:
        One plan for each group, in order.
    """
    counted = [_counted(each, memory, rules, step, count) for each in groups]
    fitting = _within_share(counted, rules, step)
    planned = [_set_against(each, rules) for each in fitting]
    memory.use(each.entry.id for group in planned for each in group.replayed)
    prompts = len(planned)
    return tuple(
        replace(
            group,
            replayed=tuple(
                replace(each, weight=1 / (prompts * len(group.replayed))) for each in group.replayed
            ),
        )
        for group in planned
    )


def to_remember(fresh: Sequence[Fresh], group: Group) -> tuple[int, ...]:
    """Choose which fresh texts of a group are kept: the best two of those with A > 0."""
    good = [
        number
        for number, value in enumerate(group.advantages)
        if value is not None and value > 0 and fresh[number].tokens
    ]
    return tuple(sorted(good, key=lambda number: -(group.advantages[number] or 0.0)))[
        :STORED_PER_PROMPT
    ]


@dataclass(frozen=True, slots=True)
class _Counted:
    """A group and its candidates from memory, with the rewards that count in this step."""

    fresh: Sequence[Fresh]
    raw: Rewards
    entries: tuple[Entry, ...]
    worth: Mapping[int, float]
    picks: tuple[Entry, ...] = ()

    @property
    def mean(self) -> float:
        return fmean(value for value in self.raw if value is not None)


def _counted(
    fresh: Sequence[Fresh],
    memory: Replay,
    rules: Rules,
    step: int,
    count: CountFn,
) -> _Counted:
    prompt, sha = fresh[0].prompt, fresh[0].criteria_sha
    raw = tuple(map(count, fresh))
    if all(value is None for value in raw):
        return _Counted(fresh, raw, (), {})
    entries = tuple(each for each in memory.of(prompt) if each.criteria_sha == sha)
    worth = {each.id: value for each in entries if (value := count(each)) is not None}
    counted = _Counted(fresh, raw, entries, worth)
    picks = memory.choose(
        prompt,
        criteria_sha=sha,
        rewards=worth,
        above=counted.mean,
        step=step,
        most=rules.replays,
    )
    return replace(counted, picks=picks)


def _set_against(counted: _Counted, rules: Rules) -> Group:
    rewards, gains, replayed = _centred(counted, rules)
    original = tuple(each.reward for each in counted.fresh)
    is_flat = rules.skips_flat and _spread(rewards) < NO_SPREAD
    is_skipped = is_flat and not replayed
    if is_skipped:
        gains = tuple(None if value is None else 0.0 for value in gains)
    return Group(
        prompt=counted.fresh[0].prompt,
        rewards=rewards,
        advantages=gains,
        is_changed=rewards != original or bool(replayed) or is_skipped or None in original,
        is_skipped=is_skipped,
        is_flat=is_flat,
        replayed=replayed,
        anchors=_anchors(counted, rewards, rules),
    )


def _centred(counted: _Counted, rules: Rules) -> tuple[Rewards, Rewards, tuple[Replayed, ...]]:
    """Gate and centre a group with its picks; picks that gain nothing leave, and are not in m."""
    picks = counted.picks
    while True:
        everyone: Rewards = (*counted.raw, *(counted.worth[each.id] for each in picks))
        if rules.has_gate:
            broken = [_is_broken(each.judgement) for each in counted.fresh]
            broken += [_is_broken(each.judgement) for each in picks]
            everyone = hard_gate(everyone, broken)
        ours, theirs = everyone[: len(counted.raw)], everyone[len(counted.raw) :]
        gains, of_picks = advantages(
            ours, theirs, baseline=rules.baseline, standardise=rules.standardise
        )
        kept = tuple(
            Replayed(each, value, 1.0)
            for each, value in zip(picks, of_picks, strict=True)
            if value is not None and (value > 0 or rules.keeps_negative)
        )
        # with split baselines the picks are a group of their own: all of them make its mean
        if len(kept) == len(picks) or rules.baseline == "split":
            return ours, gains, kept
        picks = tuple(each.entry for each in kept)


def _is_broken(judgement: Judgement | None) -> bool:
    return judgement is not None and bool(judgement.violated)


def _anchors(counted: _Counted, rewards: Rewards, rules: Rules) -> tuple[Entry, ...]:
    """The accepted revisions that are better than the group's mean, best first."""
    if not counted.entries:
        return ()
    mean = fmean(value for value in rewards if value is not None)
    better = [
        each
        for each in counted.entries
        if each.is_revision and counted.worth.get(each.id, -math.inf) > mean
    ]
    return tuple(sorted(better, key=lambda each: (-counted.worth[each.id], each.id)))[
        : rules.anchors
    ]


def _within_share(counted: Sequence[_Counted], rules: Rules, step: int) -> list[_Counted]:
    """Let prompts replay in the order of a weighted draw until the share of tokens is reached."""
    share, fitting = rules.token_share, list(counted)
    fresh_tokens = sum(each.tokens for group in counted for each in group.fresh)
    left = math.inf if share >= 1 else fresh_tokens * share / (1 - share)
    for number in _drawn(counted, rules.seed, step):
        taken: list[Entry] = []
        for each in counted[number].picks:
            if each.tokens <= left:
                left -= each.tokens
                taken.append(each)
        fitting[number] = replace(counted[number], picks=tuple(taken))
    return fitting


def _drawn(counted: Sequence[_Counted], seed: int, step: int) -> list[int]:
    """Order the groups that replay: a draw by weight without replacement (Efraimidis, Spirakis)."""
    chance = random.Random(f"{seed}-{step}")
    keys = {
        number: math.log(1 - chance.random()) / difficulty_weight(group.mean)
        for number, group in enumerate(counted)
        if group.picks
    }
    return sorted(keys, key=lambda number: (-keys[number], number))


def difficulty_weight(mean: float) -> float:
    """Weight of a prompt whose texts have this mean reward: 1 in the middle, never quite 0."""
    return max(math.exp(-((mean - MIDDLE) ** 2) / (2 * WIDTH**2)), 1e-9)


def _spread(values: Rewards) -> float:
    known = [value for value in values if value is not None]
    return stdev(known) if len(known) > 1 else 0.0
