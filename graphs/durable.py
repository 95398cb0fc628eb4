"""A graph made durable: what it has done is on disk, and a run of it can be taken up again."""

import copy
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.journal import Journal
from quillgraph.backends.records import CallRecord, read_records
from quillgraph.graphs.checkpoints import Checkpoints
from quillgraph.graphs.episode import Episode
from quillgraph.graphs.starting import Graph

Compiled = CompiledStateGraph[Any, Any, Any, Any]

CHECKPOINTS, JOURNAL = "checkpoints.sqlite", "journal.sqlite"
EPISODES, CALLS = "episodes.jsonl", "calls.jsonl"


class Resuming(CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled graph on a thread that begins with its input, or goes on if it has begun.

    Tasks that were cut short run again, and are answered from the journal as far as their calls
    had finished. Make it with `Durable.thread`.
    """

    _journal: Journal
    _thread: str

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **options: Any
    ) -> AsyncIterator[Any]:
        """Stream the run; each step is on disk before the next one begins."""
        saver = self.checkpointer
        assert isinstance(saver, Checkpoints)
        begun = saver.get_tuple({"configurable": {"thread_id": self._thread}})
        self._journal.rewind(self._thread)
        given = input if begun is None or isinstance(input, Command) else None
        async for part in super().astream(given, config, **{**options, "durability": "sync"}):
            yield part


@dataclass(frozen=True, slots=True)
class Durable:
    """A compiled graph, with the checkpoints of its nodes and the journal of its calls."""

    graph: Compiled
    checkpoints: Checkpoints
    journal: Journal

    def thread(self, name: str, callbacks: Sequence[Any] = ()) -> Resuming:
        """The graph as one run of it: begun with its input at first, gone on with later."""
        run = copy.copy(self.graph)
        run.__class__ = Resuming
        assert isinstance(run, Resuming)
        run.checkpointer, run._journal, run._thread = self.checkpoints, self.journal, name
        place = RunnableConfig(configurable={"thread_id": name}, callbacks=list(callbacks))
        run.config = merge_configs(self.graph.config, place)
        return run

    def forget(self, name: str) -> None:
        """Drop what is kept of a thread whose result is kept elsewhere."""
        self.checkpoints.delete_thread(name)
        self.journal.forget(name)


@contextmanager
def durable(graph: Graph, folder: Path) -> Iterator[Durable]:
    """Keep checkpoints and journal of a graph in a folder.

    Raises:
        ConfigError: If the graph cannot be compiled.
        StorageError: If the files cannot be used.
    """
    plain = compiled(graph)
    with Checkpoints.open(folder / CHECKPOINTS) as saver, Journal(folder / JOURNAL) as journal:
        yield Durable(plain, saver, journal)


def compiled(graph: Graph) -> Compiled:
    """Compile a graph, unless it is.

    Raises:
        ConfigError: If it has no entry, or an edge to a node that is not there.
    """
    if isinstance(graph, CompiledStateGraph):
        return graph
    try:
        return graph.compile()
    except ValueError as error:
        raise ConfigError(f"the graph cannot be compiled: {error}") from error


def read_episodes(folder: Path) -> dict[int, Episode]:
    """Read the episodes of a batch with their calls, by the number of their request.

    Each call stands once: what a resumed run replayed stands where it was first made.
    """
    calls = defaultdict(list)
    for call in read_calls(folder):
        calls[call.run].append(call)
    file = folder / EPISODES
    # not splitlines(): a text may hold line separators other than \n
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []
    found = (Episode.model_validate_json(line) for line in lines)
    return {
        int(str(each.id)): each.model_copy(update={"calls": _once(calls[str(each.id)])})
        for each in sorted(found, key=lambda each: int(str(each.id)))
    }


def read_calls(folder: Path) -> list[CallRecord]:
    """Read the calls that a run has recorded, replayed ones among them; none if it made none."""
    return read_records(folder / CALLS) if (folder / CALLS).exists() else []


def _once(calls: list[CallRecord]) -> tuple[CallRecord, ...]:
    first: dict[Any, CallRecord] = {}
    for call in calls:
        first.setdefault((call.namespace, call.journal) if call.journal else call.call, call)
    return tuple(sorted(first.values(), key=lambda call: call.call))
