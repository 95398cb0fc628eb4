"""Numbers of any evaluation as tables: estimates, records, plain values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ESTIMATE = frozenset({"value", "low", "high"})
"""Fields that identify an `evals.measures.Estimate`."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured number with its 95 % interval; None if the data leave it undefined."""

    name: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a header."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    intervals: tuple[Interval, ...] = ()
    """The estimates among the rows, for plots."""
    points: tuple[tuple[float, float], ...] = ()
    """Points of a calibration curve: judge's and people's mean score; empty for other tables."""


def tables(value: Any, title: str = "Evaluation") -> Iterator[Table]:
    """Make a table of each mapping and each list of records in a JSON value."""
    if isinstance(value, Mapping):
        yield from _of_mapping(value, title)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from _of_list(value, title)


def _of_mapping(mapping: Mapping[str, Any], title: str) -> Iterator[Table]:
    estimates = {name: each for name, each in mapping.items() if _is_estimate(each)}
    rest = {name: each for name, each in mapping.items() if name not in estimates}
    plain = {name: each for name, each in rest.items() if _is_plain(each)}
    if plain:
        yield Table(title, ("", "value"), tuple((name, _formatted(v)) for name, v in plain.items()))
    if estimates:
        yield _of_estimates(estimates, title)
    for name, each in rest.items():
        if name not in plain:
            yield from tables(each, f"{title}: {name}" if plain or estimates else name)


def _of_estimates(estimates: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    intervals = tuple(_interval(name, each) for name, each in estimates.items())
    rows = tuple(
        (i.name, _formatted(i.value), _range(i), _formatted(estimates[i.name].get("clusters")))
        for i in intervals
    )
    return Table(title, ("measure", "value", "95 % interval", "clusters"), rows, intervals)


def _of_list(items: Sequence[Any], title: str) -> Iterator[Table]:
    if not items:
        return
    if not all(isinstance(each, Mapping) for each in items):
        yield Table(title, ("",), tuple((_formatted(each),) for each in items))
        return
    head = tuple(dict.fromkeys(name for each in items for name in each))
    rows = tuple(tuple(_cell(each.get(name)) for name in head) for each in items)
    intervals = tuple(
        _interval(str(each.get("probe", each.get("name", number))), value)
        for number, each in enumerate(items, 1)
        for value in each.values()
        if _is_estimate(value)
    )
    yield Table(title, head, rows, intervals, _points(items))


def _points(records: Sequence[Mapping[str, Any]]) -> tuple[tuple[float, float], ...]:
    pairs = [(each.get("judged"), each.get("human")) for each in records]
    return tuple((a, b) for a, b in pairs if isinstance(a, float) and isinstance(b, float))


def _cell(value: Any) -> str:
    if not _is_estimate(value):
        return _formatted(value)
    interval = _interval("", value)
    return f"{_formatted(interval.value)} ({_range(interval)})"


def _interval(name: str, estimate: Mapping[str, Any]) -> Interval:
    return Interval(name, estimate["value"], estimate["low"], estimate["high"])


def _range(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "–"
    return f"{_formatted(interval.low)} to {_formatted(interval.high)}"


def _is_estimate(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) >= ESTIMATE
        and all(value[name] is None or isinstance(value[name], int | float) for name in ESTIMATE)
    )


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _formatted(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
