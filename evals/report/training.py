"""A training run: its curves, its guards, and the policy's texts over the steps."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean
from typing import Any, TypeGuard

FIRST, LAST = 5, 3
"""Values at the start and at the end over which the means of a sign are taken: as many as the
guards of training compare."""

MOST_REQUESTS, MOST_STEPS = 8, 12
"""Requests with texts in the report, and steps of each, evenly spread."""

WIN_RATE = "guard/win_rate"

UNGROUPED = "trainer"

TOGETHER = {"eval": "criteria"}
"""Groups that are shown in the panel of another: held-out requests beside those trained on."""

WATCH = "checkpoints/*/step-*/watch.json"
"""Files of the checkpoints with the state of the guards."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric over the steps of a stage."""

    name: str
    points: tuple[tuple[float, float], ...]
    """Step and value; empty if the value was never a number."""
    undefined: int = 0
    """Steps at which the value was no number, such as a loss that diverged."""

    @property
    def quantity(self) -> str:
        """The name without its group."""
        return self.name.partition("/")[2] or self.name

    @property
    def values(self) -> tuple[float, ...]:
        """The values without the steps."""
        return tuple(value for _, value in self.points)


@dataclass(frozen=True, slots=True)
class PlotPanel:
    """Metrics that share a panel."""

    stage: str
    group: str
    """The part of their names before the slash."""
    curves: tuple[Curve, ...]

    @property
    def pictures(self) -> tuple[tuple[Curve, ...], ...]:
        """Curves of the same quantity with at least two steps."""
        by_quantity: dict[str, list[Curve]] = {}
        for curve in self.curves:
            if curve.points:
                by_quantity.setdefault(curve.quantity, []).append(curve)
        return tuple(
            tuple(same)
            for same in by_quantity.values()
            if any(len(each.points) > 1 for each in same)
        )


@dataclass(frozen=True, slots=True)
class Sign:
    """The change of a sign of the texts' form."""

    name: str
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class BaseComparison:
    """A comparison with the policy before training."""

    step: int
    rate: float
    is_low: bool


@dataclass(frozen=True, slots=True)
class PolicySample:
    """A text of the policy at a step."""

    stage: str
    step: int
    text: str
    value: float | None
    gate: str | None
    missing: int
    """Criteria on which no judge could be understood."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Texts of the policy for one request."""

    request: str
    texts: tuple[PolicySample, ...]


def panels(rows: Sequence[Mapping[str, Any]]) -> tuple[PlotPanel, ...]:
    """Group the numbers of `metrics.jsonl` by stage and by the first part of their names."""
    points: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    undefined = Counter[tuple[str, str, str]]()
    for row in rows:
        stage, step = str(row.get("stage", "")), row.get("step")
        if not _is_step(step):
            continue
        for name, value in row.items():
            if name not in ("stage", "step") and _is_number(value):
                line = points.setdefault((stage, _group(name), name), [])
                if isfinite(value):
                    line.append((float(step), float(value)))
                else:
                    undefined[stage, _group(name), name] += 1
    groups: dict[tuple[str, str], list[Curve]] = {}
    for (stage, group, name), line in points.items():
        curve = Curve(name, tuple(sorted(line)), undefined[stage, group, name])
        groups.setdefault((stage, group), []).append(curve)
    return tuple(PlotPanel(*key, tuple(curves)) for key, curves in groups.items())


def _group(name: str) -> str:
    first, slash, _ = name.partition("/")
    return TOGETHER.get(first, first) if slash else UNGROUPED


def signs(parts: Iterable[PlotPanel]) -> tuple[Sign, ...]:
    """The form of the texts in the first and the last steps, which the guards watch."""
    return tuple(
        Sign(curve.name, fmean(curve.values[:FIRST]), fmean(curve.values[-LAST:]))
        for panel in parts
        if panel.group == "watch"
        for curve in panel.curves
        if curve.points
    )


def checks(rows: Iterable[Mapping[str, Any]], least: float | None) -> tuple[BaseComparison, ...]:
    """Win rates against the first policy, by a judge that knows no criteria.

    Args:
        rows: The rows of `metrics.jsonl`.
        least: Rate below which the run's settings raise an alarm; None if they set none.
    """
    rates = list[BaseComparison]()
    for row in rows:
        step, rate = row.get("step"), row.get(WIN_RATE)
        if _is_step(step) and _is_number(rate):
            rates.append(BaseComparison(int(step), float(rate), least is not None and rate < least))
    return tuple(rates)


def warned(watch: Any) -> tuple[str, ...]:
    """Names of the signs whose drift the guards have reported, from a checkpoint's `watch.json`."""
    names = watch.get("told") if isinstance(watch, Mapping) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def samples(rows: Iterable[Mapping[str, Any]]) -> tuple[tuple[Samples, ...], int]:
    """The first text of each step for some requests.

    Returns:
        The requests with their texts, and the total number of requests.
    """
    by_request: dict[str, dict[tuple[str, int], PolicySample]] = {}
    for row in rows:
        request, text, step = row.get("request"), row.get("text"), row.get("step")
        if isinstance(request, str) and isinstance(text, str) and _is_step(step):
            sample = _sample(row, text, int(step))
            by_request.setdefault(request, {}).setdefault((sample.stage, sample.step), sample)
    shortlist = [
        Samples(request, _spread(list(texts.values())))
        for request, texts in list(by_request.items())[:MOST_REQUESTS]
    ]
    return tuple(shortlist), len(by_request)


def _sample(row: Mapping[str, Any], text: str, step: int) -> PolicySample:
    value, missing = row.get("value"), row.get("missing")
    return PolicySample(
        stage=str(row.get("stage", "")),
        step=step,
        text=text,
        value=float(value) if _is_number(value) else None,
        gate=None if row.get("gate") is None else str(row["gate"]),
        missing=len(missing) if isinstance(missing, list) else 0,
    )


def _spread(texts: Sequence[PolicySample]) -> tuple[PolicySample, ...]:
    """At most `MOST_STEPS` samples, including the first and the last."""
    if len(texts) <= MOST_STEPS:
        return tuple(texts)
    gap = (len(texts) - 1) / (MOST_STEPS - 1)
    return tuple(texts[round(number * gap)] for number in range(MOST_STEPS))


def _is_number(value: Any) -> TypeGuard[float]:
    # to Python a bool is an int, and an int may be larger than any float
    return isinstance(value, float) or _is_step(value)


def _is_step(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
