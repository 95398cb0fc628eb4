"""Rewards of the texts that were written for one prompt, set against each other.

A reward that could not be had is None. It stays None and is left out of every mean: as a zero it
would teach that the text is bad.
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
"""How far below the mean a violator lies at least (`ALGORITHM.md` 6.3.8)."""

DROPOUT = 0.3
"""Share of criteria that are hidden for a step, after arXiv:2608.11669 (`ALGORITHM.md` 6.3.3)."""

GOOD = 0.6
"""S above which a text's difference from its group counts (`ALGORITHM.md` 6.3.10)."""

LEAST_SPREAD = 1e-4
"""Keeps a group without spread from dividing by zero (`ALGORITHM.md` 6.5)."""

GRAMS = (2, 3, 4)
"""Sizes of the n-grams that tell texts apart, as in DPWriter (`ALGORITHM.md` 6.3.10)."""

Baseline = Literal["joint", "split", "fresh"]


def hard_gate(rewards: Rewards, violated: Sequence[bool]) -> tuple[float | None, ...]:
    """Lower the rewards of texts that break a hard criterion, all by the same amount δ.

    With n of G texts in violation, 0 < n < G, δ = max(0, (max R of them - mean R + κ) / (1 - n/G)):
    then the best of them lies κ below the new mean or lower. The property is that of RLMR
    (arXiv:2508.18642), the formula ours (`ALGORITHM.md` 6.3.8). If none or all are in violation
    nothing changes.

    Args:
        rewards: G rewards.
        violated: Whether each text breaks a hard criterion.

    Raises:
        ValueError: If there are not as many flags as rewards.
    """
    pairs = list(zip(rewards, violated, strict=True))
    bad = [reward for reward, broken in pairs if broken and reward is not None]
    good = [reward for reward, broken in pairs if not broken and reward is not None]
    if not bad or not good:
        return tuple(rewards)
    everyone = len(bad) + len(good)
    delta = max(0.0, (max(bad) - fmean(bad + good) + KAPPA) / (len(good) / everyone))
    return tuple(
        reward - delta if broken and reward is not None else reward for reward, broken in pairs
    )


def advantages(
    fresh: Rewards,
    remembered: Rewards = (),
    *,
    baseline: Baseline = "joint",
    standardise: bool = False,
) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Say how much better than its group each text is: A = R - mean R (`ALGORITHM.md` 6.5).

    Args:
        fresh: Rewards of the texts that the policy has just written.
        remembered: Rewards of texts from memory, under the same criteria and the same active
            subset.
        baseline: Whose mean is taken off: everyone's (`joint`, as in RLEP, arXiv:2507.07451), each
            part's own (`split`, as in RePO, arXiv:2506.09340), or that of the fresh ones (`fresh`,
            as in LUFFY, arXiv:2504.14945).
        standardise: Divide by the sample's standard deviation + 1e-4, as GRPO does; without, as in
            Dr.GRPO (arXiv:2503.20783). It is that of all rewards, with `split` of each part.

    Returns:
        Advantages of the fresh and of the remembered; absent where the reward is, and where
        nothing is there to take a mean of.
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
    """Draw the criteria that count in a step, so that none of them can be fitted alone.

    The whole group of a prompt and its replays share the subset, since it depends on the
    arguments alone: each criterion draws a number from a hash of seed, step, prompt and its id, and
    stays if that reaches `dropout`. The order of criteria is no part of it. If every essential
    one fell, or all that there are, the one with the highest number stays.
    Rubric dropout is arXiv:2608.11669's (`ALGORITHM.md` 6.3.3).

    Args:
        criteria: The criteria of a set; hard ones are never dropped and not drawn.
        prompt: The prompt's text or id.
        step: Number of the training step.
        seed: The run's seed.
        dropout: Chance from 0 to 1 that a criterion is hidden.

    Returns:
        Ids of the soft and pitfall criteria that count.
    """
    drawn = {
        criterion.id: _fraction(seed, step, prompt, criterion.id)
        for criterion in judged(tuple(criteria))
    }
    kept = {name for name, fraction in drawn.items() if fraction >= dropout}
    essential = {each.id for each in criteria if each.tier == "essential"} & set(drawn)
    must = essential or set(drawn)
    if must and not kept & must:
        kept.add(max(must, key=lambda name: drawn[name]))
    return frozenset(kept)


def diversity(texts: Sequence[str]) -> tuple[float, ...]:
    """Say how much of each text no other text of its group has (`ALGORITHM.md` 6.3.10).

    It is the share of a text's distinct 2- to 4-grams that occur in no other text, scaled so that
    the least is 0 and the greatest 1, after DPWriter (arXiv:2601.09609). A text of one word has
    nothing of its own. Where all shares are equal all are 1: no text is more of a copy than
    another, so none has to pay.
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
    """Let good texts keep a part of their reward only as far as they differ from the others.

    R becomes (1 - λ)·R + λ·R·d where S > .6, d being `diversity` and λ `share`; a weak text gains
    nothing by being odd. The form is that of DPWriter, whose λ is .6 (`ALGORITHM.md`
    6.3.10). It is for rewards from 0 to 1, so before a bonus and before the gate.

    Args:
        rewards: The reward R of each text.
        softs: The weighted score S of each text.
        texts: The texts; one without a reward was written all the same, and counts as another.
        share: Part of the reward that depends on it.

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
    """A number from 0 to below 1 that depends on what it is about and on nothing else."""
    digest = hashlib.sha256(json.dumps(about).encode()).digest()
    # 53 bits: as many as a float holds, so that it cannot be rounded up to 1
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def _known(values: Rewards) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Rewards) -> float | None:
    known = _known(values)
    return fmean(known) if known else None


def spread(values: Rewards) -> float:
    """Standard deviation of a sample, and a little, so that none is divided by zero."""
    known = _known(values)
    return (stdev(known) if len(known) > 1 else 0.0) + LEAST_SPREAD


def _apart(part: Rewards, standardise: bool) -> tuple[float | None, ...]:
    return _relative(part, _mean(part), spread(part) if standardise else 1.0)


def _relative(values: Rewards, mean: float | None, scale: float) -> tuple[float | None, ...]:
    return tuple(
        None if value is None or mean is None else (value - mean) / scale for value in values
    )
