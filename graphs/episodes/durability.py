"""Durable graphs: progress is saved on disk, and a stopped run can be resumed."""

import copy
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from quillgraph.backends.calls import Budget, CallRecord, Journal, JsonLines, read_records
from quillgraph.backends.errors import ConfigError, StorageError
from quillgraph.graphs.episodes.episode import Episode
from quillgraph.graphs.episodes.kept_calls import KeptCall, KeptCalls
from quillgraph.graphs.episodes.saver import GraphSaver
from quillgraph.graphs.episodes.source import Graph, compiled_form

CHECKPOINTS, JOURNAL, KEPT = "checkpoints.sqlite", "journal.sqlite", "kept_calls.sqlite"
EPISODES, CALLS = "episodes.jsonl", "calls.jsonl"


class Resuming(CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled graph whose threads begin with their input, or resume if they have begun.

    Interrupted tasks run again; the journal answers the calls that had finished. Make it with
    `durable`.
    """

    journal: Journal
    calls: KeptCalls

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **options: Any
    ) -> AsyncIterator[Any]:
        """Stream a thread; each step is on disk before the next one begins."""
        entry = self._input(input, config)
        parts = super().astream(entry, config, **{**options, "durability": "sync"})
        async with aclosing(parts):  # type: ignore[type-var]  # it is an async generator
            async for part in parts:
                yield part

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **options: Any
    ) -> Iterator[Any]:
        """As `astream`."""
        entry = self._input(input, config)
        yield from super().stream(entry, config, **{**options, "durability": "sync"})

    def _input(self, input: Any, config: RunnableConfig | None) -> Any:
        """The input of a thread: None if it has begun, unless the input is an answer."""
        assert isinstance(self.checkpointer, GraphSaver)
        place = ensure_config(merge_configs(self.config, config)).get("configurable", {})
        thread = str(place["thread_id"])
        self.journal.rewind(thread)
        goes_on = self.checkpointer.has(thread) and not isinstance(input, Command)
        return None if goes_on else input

    def earlier(self, thread: str, *, is_trained: bool) -> list[KeptCall]:
        """Return the calls that a thread has made, and keep its calls from now on.

        Args:
            thread: The thread, which is about to run.
            is_trained: Whether its calls will become rows for training.

        Raises:
            ConfigError: If they will, and the thread began where its calls were not kept.
        """
        assert isinstance(self.checkpointer, GraphSaver)
        if not self.checkpointer.has(thread):
            self.calls.begin(thread)
        elif is_trained and not self.calls.knows(thread):
            raise ConfigError(
                f"thread {thread!r} began outside of run_graph, so its earlier calls would be "
                "missing among the rows; begin another thread, or name no trainable role"
            )
        return self.calls.of(thread)

    def forget(self, thread: str) -> None:
        """Delete the records of a thread whose result is saved elsewhere."""
        assert isinstance(self.checkpointer, GraphSaver)
        self.checkpointer.delete_thread(thread)
        self.journal.forget(thread)
        self.calls.forget(thread)


@contextmanager
def durable(graph: Graph, folder: Path, budget: Budget | None = None) -> Iterator[Resuming]:
    """Make a graph durable, with checkpoints of its nodes and a journal of its calls in a folder.

    Invoke it with a `thread_id`: the thread begins the first time, and resumes after a stop.

    Args:
        graph: The graph.
        folder: Folder of checkpoints and journal; created if missing.
        budget: Limit on the cost of its calls; replayed calls cost nothing.

    Raises:
        ConfigError: If the graph cannot be compiled.
        StorageError: If the folder cannot be made, or the files cannot be used.
    """
    resuming = copy.copy(compiled_form(graph))
    resuming.__class__ = Resuming
    assert isinstance(resuming, Resuming)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"expected a folder for checkpoints at {folder}, or a place to make one, got: "
            f"{error.strerror}; name another folder"
        ) from error
    with (
        GraphSaver.open(folder / CHECKPOINTS) as saver,
        Journal(folder / JOURNAL, budget) as journal,
        KeptCalls.open(folder / KEPT) as calls,
    ):
        resuming.checkpointer, resuming.journal, resuming.calls = saver, journal, calls
        resuming.config = merge_configs(resuming.config, RunnableConfig(callbacks=[journal]))
        yield resuming


def read_episodes(folder: Path) -> dict[int, Episode]:
    """Read the episodes of a batch with their calls, by the number of their request.

    Each call appears once: a replayed call appears where it was first made.

    Raises:
        InputError: Names a line that holds no episode, or no call.
    """
    calls = defaultdict(list)
    for call in read_calls(folder):
        calls[call.run].append(call)
    file = folder / EPISODES
    episodes = JsonLines(file).read(Episode) if file.exists() else []
    return {
        int(str(each.id)): each.model_copy(update={"calls": _once(calls[str(each.id)])})
        for each in sorted(episodes, key=lambda each: int(str(each.id)))
    }


def read_calls(folder: Path) -> list[CallRecord]:
    """Read the recorded calls of a run, replayed ones included; empty if it made none."""
    return read_records(folder / CALLS) if (folder / CALLS).exists() else []


def _once(calls: list[CallRecord]) -> tuple[CallRecord, ...]:
    first: dict[Any, CallRecord] = {}
    for call in calls:
        first.setdefault((call.namespace, call.journal) if call.journal else call.call, call)
    return tuple(sorted(first.values(), key=lambda call: call.call))
