"""The record of a step: its line in the ledger, and its metrics (`ALGORITHM.md` 6.5, metrics)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Self

from quillgraph.agents.judges import repetition_term
from quillgraph.rl.mrpo.plan import Fresh, Group
from quillgraph.rl.mrpo.replay import Replay


@dataclass(frozen=True, slots=True)
class StepRecord:
    """Content of one generation: a line of the ledger of trained prompts."""

    step: int
    prompts: tuple[str, ...]
    """Key of each group's prompt."""
    replayed: tuple[int, ...]
    """Ids of the replayed entries."""
    stored: tuple[int, ...]
    """Ids of the entries that the step stored."""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Read a record from JSON values."""
        parts = {name: tuple(raw[name]) for name in ("prompts", "replayed", "stored")}
        return cls(step=raw["step"], **parts)


def step_metrics(
    texts: Sequence[Fresh], plans: Sequence[Group], memory: Replay, *, step: int, stale: int
) -> dict[str, float]:
    """Compute the metrics of a step; those that could not be measured are absent.

    Args:
        texts: The fresh texts of all groups.
        plans: The plan of each group.
        memory: The memory after the step has written to it.
        step: Optimizer steps done.
        stale: Number of entries dropped because the criteria of their prompt changed.
    """
    replayed = [each for plan in plans for each in plan.replayed]
    fresh_tokens = sum(each.tokens for each in texts)
    old_tokens = sum(each.entry.tokens for each in replayed)
    metrics = {
        "rewards/missing": float(sum(each.reward is None for each in texts)),
        "groups/flat": fmean(plan.is_flat for plan in plans),
        "groups/skipped": fmean(plan.is_skipped for plan in plans),
        "groups/spread": fmean(plan.spread for plan in plans),
        "memory/size": float(len(memory)),
        "memory/stale": float(stale),
        "memory/hit_rate": fmean(bool(plan.replayed) for plan in plans),
        "replay/tokens": float(old_tokens),
        "replay/token_share": old_tokens / max(1, old_tokens + fresh_tokens),
        "anchor/targets": float(sum(len(plan.anchors) for plan in plans)),
        "completions/repetition": 1 - fmean(repetition_term(each.text) for each in texts),
    }
    if replayed:
        metrics["replay/age"] = fmean(step - each.entry.step for each in replayed)
        metrics["replay/advantage"] = fmean(each.advantage for each in replayed)
    if rewards := [each for plan in plans for each in plan.rewards if each is not None]:
        metrics["rewards/counted"] = fmean(rewards)
    return metrics | _scores(texts)


def _scores(texts: Sequence[Fresh]) -> dict[str, float]:
    """Mean score of each criterion from 1 to 10, and the share of texts with hard violations."""
    judgements = [each.judgement for each in texts if each.judgement is not None]
    if not judgements:
        return {}
    metrics = {"judged/violations": fmean(bool(each.violated) for each in judgements)}
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for each in judgements:
        for criterion, score in each.scores.items():
            scores[criterion].append(score)
    # an id names the same criterion only within one set
    if len({each.criteria_sha for each in judgements}) == 1:
        metrics |= {f"judged/{name}": fmean(values) for name, values in scores.items()}
    elif every := [score for values in scores.values() for score in values]:
        metrics["judged/mean"] = fmean(every)
    return metrics
