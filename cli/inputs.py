"""What `quillgraph run` is given: one request, one state, or a file of many."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quillgraph.backends.errors import InputError
from quillgraph.cli.reading import read_request, read_text
from quillgraph.graphs.starting import Graph, start_of


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to run the graph on."""

    number: int
    """Line of the file; 1 where there is only one."""
    start: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that the graph cannot be run on, and why."""

    number: int
    reason: str


def read_inputs(
    graph: Graph, request: str | None, file: Path | None, extra: Mapping[str, Any]
) -> tuple[list[Entry], list[Unreadable]]:
    """Read what the graph shall run on.

    Args:
        graph: Says what it takes.
        request: A request in words.
        file: `.jsonl` holds one JSON object or one request in quotes a line, `.json` one object,
            anything else is the text of a request.
        extra: Parts of the state that every entry gets unless it brings its own.

    Returns:
        What can be run, and the lines that cannot.

    Raises:
        InputError: If there is nothing to run on.
    """
    if file is not None and request is None and file.suffix == ".jsonl":
        return _lines(graph, read_text(file), file, extra)
    if file is not None and request is None and file.suffix == ".json":
        return [Entry(1, _start(graph, read_text(file), extra))], []
    words = None if request is None and file is None else read_request(request, file)
    return [Entry(1, start_of(graph, {**extra, **({"request": words} if words else {})}))], []


def _lines(
    graph: Graph, text: str, file: Path, extra: Mapping[str, Any]
) -> tuple[list[Entry], list[Unreadable]]:
    entries, unreadable = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entries.append(Entry(number, _start(graph, line, extra)))
        except InputError as error:
            unreadable.append(Unreadable(number, str(error)))
    if not entries:
        why = f"; line {unreadable[0].number}: {unreadable[0].reason}" if unreadable else ""
        raise InputError(f"expected a JSON object a line in {file}, got none that can be run{why}")
    return entries, unreadable


def _start(graph: Graph, text: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected JSON, got {text.strip()[:60]!r}: {error}") from error
    if isinstance(data, str):
        data = {"request": data}
    if not isinstance(data, dict):
        raise InputError(f"expected a JSON object or a request in quotes, got {text.strip()[:60]!r}")
    return start_of(graph, {**extra, **data})
