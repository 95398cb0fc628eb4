"""A graph made durable: what it has done is on disk, and a run of it can be taken up again."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.journal import Journal
from quillgraph.graphs.checkpoints import Checkpoints
from quillgraph.graphs.starting import Graph

Compiled = CompiledStateGraph[Any, Any, Any, Any]

CHECKPOINTS, JOURNAL = "checkpoints.sqlite", "journal.sqlite"


@dataclass(frozen=True, slots=True)
class Durable:
    """A compiled graph, with the checkpoints of its nodes and the journal of its calls."""

    graph: Compiled
    checkpoints: Checkpoints
    journal: Journal

    async def begin(self, thread: str, start: Any) -> Any:
        """Say with what to invoke the graph on a thread: `start` at first, None to go on.

        Its tasks that were cut short run again, and are answered from the journal as far as
        their calls had finished.
        """
        self.journal.rewind(thread)
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        begun = await self.checkpoints.aget_tuple(config)
        return start if begun is None else None

    def forget(self, thread: str) -> None:
        """Drop what is kept of a thread whose result is kept elsewhere."""
        self.checkpoints.delete_thread(thread)
        self.journal.forget(thread)


@contextmanager
def durable(graph: Graph, folder: Path) -> Iterator[Durable]:
    """Keep checkpoints and journal of a graph in a folder.

    Invoke it with `durability="sync"`, so that each step is on disk before the next one begins.

    Raises:
        ConfigError: If the graph cannot be compiled.
        StorageError: If the files cannot be used.
    """
    plain = compiled(graph)
    with Checkpoints.open(folder / CHECKPOINTS) as saver, Journal(folder / JOURNAL) as journal:
        kept = copy.copy(plain)
        kept.checkpointer = saver
        yield Durable(kept, saver, journal)


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
