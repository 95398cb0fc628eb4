"""An evaluation's numbers as tables, whatever the evaluation: estimates, records, plain values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ESTIMATE = frozenset({"value", "low", "high"})
"""Fields by which an `evals.intervals.Estimate` is known."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured number with its 95 % interval; None where the data leave it undefined."""

    name: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a head."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    intervals: tuple[Interval, ...] = ()
    """The estimates among the rows, to be drawn."""
    points: tuple[tuple[float, float], ...] = ()
    """Of a calibration curve: the judge's mean score and people's; empty for other tables."""


def tables(found: Any, title: str = "Evaluation") -> Iterator[Table]:
    """Walk through JSON and give a table for each mapping and each list of records in it."""
    if isinstance(found, Mapping):
        yield from _of_mapping(found, title)
    elif isinstance(found, Sequence) and not isinstance(found, str):
        yield from _of_list(found, title)


def _of_mapping(found: Mapping[str, Any], title: str) -> Iterator[Table]:
    estimates = {name: each for name, each in found.items() if _is_estimate(each)}
    rest = {name: each for name, each in found.items() if name not in estimates}
    plain = {name: each for name, each in rest.items() if _is_plain(each)}
    if plain:
        yield Table(title, ("", "value"), tuple((name, _shown(v)) for name, v in plain.items()))
    if estimates:
        yield _of_estimates(estimates, title)
    for name, each in rest.items():
        if name not in plain:
            yield from tables(each, f"{title}: {name}" if plain or estimates else name)


def _of_estimates(found: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    intervals = tuple(_interval(name, each) for name, each in found.items())
    rows = tuple(
        (i.name, _shown(i.value), _range(i), _shown(found[i.name].get("clusters")))
        for i in intervals
    )
    return Table(title, ("measure", "value", "95 % interval", "clusters"), rows, intervals)


def _of_list(found: Sequence[Any], title: str) -> Iterator[Table]:
    if not found:
        return
    if not all(isinstance(each, Mapping) for each in found):
        yield Table(title, ("",), tuple((_shown(each),) for each in found))
        return
    head = tuple(dict.fromkeys(name for each in found for name in each))
    rows = tuple(tuple(_cell(each.get(name)) for name in head) for each in found)
    intervals = tuple(
        _interval(str(each.get("probe", each.get("name", number))), value)
        for number, each in enumerate(found, 1)
        for value in each.values()
        if _is_estimate(value)
    )
    yield Table(title, head, rows, intervals, _points(found))


def _points(found: Sequence[Mapping[str, Any]]) -> tuple[tuple[float, float], ...]:
    pairs = [(each.get("judged"), each.get("human")) for each in found]
    return tuple((a, b) for a, b in pairs if isinstance(a, float) and isinstance(b, float))


def _cell(value: Any) -> str:
    if not _is_estimate(value):
        return _shown(value)
    found = _interval("", value)
    return f"{_shown(found.value)} ({_range(found)})"


def _interval(name: str, found: Mapping[str, Any]) -> Interval:
    return Interval(name, found["value"], found["low"], found["high"])


def _range(found: Interval) -> str:
    if found.low is None or found.high is None:
        return "–"
    return f"{_shown(found.low)} to {_shown(found.high)}"


def _is_estimate(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) >= ESTIMATE
        and all(value[name] is None or isinstance(value[name], int | float) for name in ESTIMATE)
    )


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
