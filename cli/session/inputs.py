"""What a command is to work on: a request, or a file of many starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quillgraph.agents.text import read_text
from quillgraph.backends.errors import InputError
from quillgraph.graphs.episodes import (
    BatchEntry,
    Excluded,
    Graph,
    complete_start,
    read_entries,
    read_entry,
)


def read_request(request: str | None, file: Path | None) -> str:
    """Take the request from the command line or from a file.

    Raises:
        InputError: If there is none, there are two, or it is not UTF-8 text.
    """
    if request is not None and file is not None:
        raise InputError("expected a REQUEST or --file FILE, got both; leave one of them out")
    if file is not None:
        return read_text(file)
    if request is None:
        raise InputError(
            "expected a REQUEST or --file FILE, got neither; say what is to be written"
        )
    try:
        request.encode()  # the shell may have handed over bytes that are no text
    except UnicodeError as error:
        raise InputError("expected UTF-8 text in the REQUEST; give it as UTF-8") from error
    return request


KEPT = {".jsonl": "input.jsonl", ".json": "input.json", ".txt": "request.txt"}
"""Under which name a run keeps what it was given, by what kind it is of."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a graph shall be run on."""

    kind: str
    """One of `KEPT`."""
    text: str
    """As it was given."""
    entries: tuple[BatchEntry, ...]
    unreadable: tuple[Excluded, ...] = ()

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
        return Inputs(kind, text, *read_entries(graph, text, extra, where))
    start = (
        read_entry(graph, text, extra)
        if kind == ".json"
        else complete_start(graph, {**extra, "request": text})
    )
    return Inputs(kind, text, (BatchEntry(1, start),))
