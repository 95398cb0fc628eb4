"""Rewards and advantages of the texts for one prompt, relative to each other.

A missing reward is None. It stays None and is left out of every mean: as a zero it would teach that
the text is bad.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

from quillgraph.agents.domain import Criterion
from quillgraph.agents.judgements import judged
from quillgraph.agents.text import ngrams, tokens

Rewards = Sequence[float | None]
"""One reward or advantage for each text of a group, None where it is absent."""

KAPPA = 0.05
"""Minimum distance of a violator below the mean (`ALGORITHM.md` 6.3.8)."""

DROPOUT = 0.3
"""Share of criteria that are hidden for a step, after arXiv:2608.11669 (`ALGORITHM.md` 6.3.3)."""

GOOD = 0.6
"""Soft score S above which the diversity of a text counts (`ALGORITHM.md` 6.3.10)."""

LEAST_SPREAD = 1e-4
"""Added to a standard deviation, to avoid division by zero (`ALGORITHM.md` 6.5)."""

GRAMS = (2, 3, 4)
"""Sizes of the n-grams that measure diversity, as in DPWriter (`ALGORITHM.md` 6.3.10)."""

Baseline = Literal["joint", "split", "fresh"]


def hard_gate(rewards: Rewards, violated: Sequence[bool]) -> tuple[float | None, ...]:
    """Lower the rewards of texts that break a hard criterion, all by the same amount δ.

    With n of G texts in violation, 0 < n < G, δ = max(0, (max R of them - mean R + κ) / (1 - n/G)):
    the best of them then lies at least κ below the new mean. The property comes from RLMR
    (arXiv:2508.18642), the formula is ours (`ALGORITHM.md` 6.3.8). If none or all are in violation,
    nothing changes.

    Args:
        rewards: G rewards.
        violated: Whether each text breaks a hard criterion.

    Raises:
        ValueError: If the numbers of flags and rewards differ.
    """
    pairs = list(zip(rewards, violated, strict=True))
    bad = [reward for reward, is_broken in pairs if is_broken and reward is not None]
    good = [reward for reward, is_broken in pairs if not is_broken and reward is not None]
    if not bad or not good:
        return tuple(rewards)
    everyone = len(bad) + len(good)
    delta = max(0.0, (max(bad) - fmean(bad + good) + KAPPA) / (len(good) / everyone))
    return tuple(
        reward - delta if is_broken and reward is not None else reward
        for reward, is_broken in pairs
    )


def advantages(
    fresh: Rewards,
    remembered: Rewards = (),
    *,
    baseline: Baseline = "joint",
    standardise: bool = False,
) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Compute how much better each text is than its group: A = R - mean R (`ALGORITHM.md` 6.5).

    Args:
        fresh: Rewards of the texts that the policy wrote in this step.
        remembered: Rewards of texts from memory, under the same criteria and the same active
            subset.
        baseline: Mean to subtract: of all texts (`joint`, as in RLEP, arXiv:2507.07451), of each
            part by itself (`split`, as in RePO, arXiv:2506.09340), or of the fresh texts (`fresh`,
            as in LUFFY, arXiv:2504.14945).
        standardise: Divide by the sample's standard deviation + 1e-4, as GRPO does; without it, as
            in Dr.GRPO (arXiv:2503.20783). The sample is all rewards, or each part with `split`.

    Returns:
        Advantages of the fresh and of the remembered texts; None where the reward is None, or
        where no reward is known to take the mean of.
    """
    if baseline == "split":
        return _apart(fresh, standardise), _apart(remembered, standardise)
    everyone = (*fresh, *remembered)
    mean = _mean({"joint": everyone, "fresh": fresh}[baseline])
    scale = spread(everyone) if standardise else 1.0
    return _relative(fresh, mean, scale), _relative(remembered, mean, scale)


def active_criteria(
    criteria: Sequence[Criterion], *, prompt: str, step: int, seed: int, dropout: float = DROPOUT
) -> frozenset[str]:
    """Draw the criteria that count in a step, so that the policy cannot fit a single one.

    The group of a prompt and its replays share the subset, since it depends only on the
    arguments: a hash of seed, step, prompt and id gives each criterion a number, and the criterion
    stays if the number reaches `dropout`. The order of criteria does not matter. If all essential
    criteria would be dropped, or all criteria where none is essential, the one with the highest
    number stays. Rubric dropout comes from arXiv:2608.11669 (`ALGORITHM.md` 6.3.3).

    Args:
        criteria: The criteria of a set; hard ones always count and are not drawn.
        prompt: The prompt's text or id.
        step: Number of the training step.
        seed: The run's seed.
        dropout: Chance from 0 to 1 that a criterion is hidden.

    Returns:
        Ids of the active soft and pitfall criteria.
    """
    draws = {
        criterion.id: _fraction(seed, step, prompt, criterion.id)
        for criterion in judged(tuple(criteria))
    }
    active = {name for name, fraction in draws.items() if fraction >= dropout}
    essential = {each.id for each in criteria if each.tier == "essential"} & set(draws)
    must = essential or set(draws)
    if must and not active & must:
        active.add(max(must, key=lambda name: draws[name]))
    return frozenset(active)


def diversity(texts: Sequence[str]) -> tuple[float, ...]:
    """Measure how much of each text is unique within its group (`ALGORITHM.md` 6.3.10).

    It is the share of a text's distinct 2- to 4-grams that occur in no other text, scaled so that
    the least is 0 and the greatest 1, after DPWriter (arXiv:2601.09609). A text of one word has no
    n-gram and so a share of 0. Where all shares are equal, all results are 1: no text is more of a
    copy than another, so none loses reward.
    """
    grams = [frozenset(_grams(text)) for text in texts]
    owners = Counter(gram for each in grams for gram in each)
    own = [sum(owners[gram] == 1 for gram in each) / max(1, len(each)) for each in grams]
    if len(set(own)) < 2:
        return (1.0,) * len(own)
    least, most = min(own), max(own)
    return tuple((share - least) / (most - least) for share in own)


def with_diversity(
    rewards: Rewards, softs: Rewards, texts: Sequence[str], *, share: float
) -> tuple[float | None, ...]:
    """Make a part of the reward of good texts depend on their diversity.

    Where S > .6, R becomes (1 - λ)·R + λ·R·d, with d from `diversity` and λ as `share`; a weak text
    gains nothing by being odd. The form is that of DPWriter, whose λ is .6 (`ALGORITHM.md`
    6.3.10). It expects rewards from 0 to 1, so apply it before a bonus and before the gate.

    Args:
        rewards: The reward R of each text.
        softs: The weighted score S of each text.
        texts: The texts; one without a reward still counts as a text to differ from.
        share: Part of the reward that depends on diversity.

    Raises:
        ValueError: If the three differ in length.
    """
    return tuple(
        reward * (1 - share + share * own)
        if reward is not None and soft is not None and soft > GOOD
        else reward
        for reward, soft, own in zip(rewards, softs, diversity(texts), strict=True)
    )


def _grams(text: str) -> list[tuple[str, ...]]:
    words = tokens(text)
    return [gram for size in GRAMS for gram in ngrams(words, size)]


def _fraction(*about: object) -> float:
    """A pseudo-random number in [0, 1) that depends only on the arguments."""
    digest = hashlib.sha256(json.dumps(about).encode()).digest()
    # 53 bits, as many as a float holds: more could round up to 1
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def _known(values: Rewards) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Rewards) -> float | None:
    known = _known(values)
    return fmean(known) if known else None


def spread(values: Rewards) -> float:
    """Standard deviation of a sample plus `LEAST_SPREAD`, so that no division is by zero."""
    known = _known(values)
    return (stdev(known) if len(known) > 1 else 0.0) + LEAST_SPREAD


def _apart(part: Rewards, standardise: bool) -> tuple[float | None, ...]:
    return _relative(part, _mean(part), spread(part) if standardise else 1.0)


def _relative(values: Rewards, mean: float | None, scale: float) -> tuple[float | None, ...]:
    return tuple(
        None if value is None or mean is None else (value - mean) / scale for value in values
    )
