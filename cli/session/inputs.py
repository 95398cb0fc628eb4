"""What `quillgraph run` is given: one request, one state, or a file of many."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quillgraph.backends.errors import InputError
from quillgraph.cli.session.reading import read_request, read_text
from quillgraph.graphs.episodes.source import Graph
from quillgraph.graphs.episodes.start import Start, start_of

KEPT = {".jsonl": "input.jsonl", ".json": "input.json", ".txt": "request.txt"}
"""Under which name a run keeps what it was given, by what kind it is of."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to run the graph on."""

    number: int
    """Line of the file; 1 where there is only one."""
    start: Start


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that the graph cannot be run on, and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a graph shall be run on."""

    kind: str
    """One of `KEPT`."""
    text: str
    """As it was given."""
    entries: tuple[Entry, ...]
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def is_batch(self) -> bool:
        """Whether they came as a file of many."""
        return self.kind == ".jsonl"


def read_inputs(
    graph: Graph, request: str | None, file: Path | None, extra: Mapping[str, Any]
) -> Inputs:
    """Read what the graph shall run on.

    Args:
        graph: Says what it takes.
        request: A request in words.
        file: `.jsonl` holds one JSON object or one request in quotes a line, `.json` one object,
            anything else is the text of a request.
        extra: Parts of the state that every entry gets unless it brings its own.

    Raises:
        InputError: If there is nothing to run on.
    """
    if (request is None) == (file is None):
        got = "neither" if file is None else "both"
        raise InputError(f"expected a REQUEST or --input FILE, got {got}")
    if file is not None and file.suffix in KEPT:
        return _read(graph, file.suffix, read_text(file), extra, str(file))
    return _read(graph, ".txt", read_request(request, file), extra, "the request")


def kept_inputs(graph: Graph, folder: Path, extra: Mapping[str, Any]) -> Inputs:
    """Read again what a run was given, from its folder.

    Raises:
        InputError: If it is not there any more.
    """
    for kind, name in KEPT.items():
        if (file := folder / name).exists():
            return _read(graph, kind, read_text(file), extra, str(file))
    raise InputError(f"expected {' or '.join(KEPT.values())} in {folder}, got none of them")


def _read(graph: Graph, kind: str, text: str, extra: Mapping[str, Any], where: str) -> Inputs:
    if kind == ".jsonl":
        return _lines(graph, text, extra, where)
    if kind == ".json":
        return Inputs(kind, text, (Entry(1, _start(graph, text, extra)),))
    return Inputs(kind, text, (Entry(1, start_of(graph, {**extra, "request": text})),))


def _lines(graph: Graph, text: str, extra: Mapping[str, Any], where: str) -> Inputs:
    entries, unreadable = [], []
    # not splitlines(): JSON may hold line separators other than \n
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entries.append(Entry(number, _start(graph, line, extra)))
        except InputError as error:
            unreadable.append(Unreadable(number, str(error)))
    if not entries:
        why = f"; line {unreadable[0].number}: {unreadable[0].reason}" if unreadable else ""
        raise InputError(f"expected a request a line in {where}, got none that can be run{why}")
    return Inputs(".jsonl", text, tuple(entries), tuple(unreadable))


def _start(graph: Graph, text: str, extra: Mapping[str, Any]) -> Start:
    shown = " ".join(text.split())[:60]
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected JSON, got {shown!r}: {error}") from error
    if isinstance(data, str):
        data = {"request": data}
    if not isinstance(data, dict):
        raise InputError(f"expected a JSON object or a request in quotes, got {shown!r}")
    return start_of(graph, {**extra, **data})
