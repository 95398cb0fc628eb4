"""The input of a run, as its folder keeps it: a request, a start, or a file of many."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quillgraph.agents.text import read_text
from quillgraph.backends.errors import InputError
from quillgraph.graphs.episodes.batch import BatchEntry, Excluded, read_entries, read_entry
from quillgraph.graphs.episodes.source import Graph
from quillgraph.graphs.episodes.start import complete_start

KEPT = {".jsonl": "input.jsonl", ".json": "input.json", ".txt": "request.txt"}
"""Kind of input to the name of its copy in the run folder."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """All entries that a graph runs on."""

    kind: str
    """One of `KEPT`."""
    text: str
    """The original text."""
    entries: tuple[BatchEntry, ...]
    unreadable: tuple[Excluded, ...] = ()

    @property
    def is_batch(self) -> bool:
        """Whether they came as a file of many."""
        return self.kind == ".jsonl"


def kept_inputs(graph: Graph, folder: Path, extra: Mapping[str, Any]) -> Inputs:
    """Read a run's input from its folder.

    Raises:
        InputError: If it is missing.
    """
    for kind, name in KEPT.items():
        if (file := folder / name).exists():
            return inputs_of(graph, kind, read_text(file), extra, str(file))
    raise InputError(f"expected {' or '.join(KEPT.values())} in {folder}, got none of them")


def inputs_of(graph: Graph, kind: str, text: str, extra: Mapping[str, Any], where: str) -> Inputs:
    """Read the text of one file.

    Args:
        graph: Its input schema says what it takes.
        kind: One of `KEPT`.
        text: Contents of the file.
        extra: Parts of the state that every entry gets unless it brings its own.
        where: Names the file in errors.

    Raises:
        InputError: If there is nothing to run on.
    """
    if kind == ".jsonl":
        return Inputs(kind, text, *read_entries(graph, text, extra, where))
    start = (
        read_entry(graph, text, extra)
        if kind == ".json"
        else complete_start(graph, {**extra, "request": text})
    )
    return Inputs(kind, text, (BatchEntry(1, start),))
