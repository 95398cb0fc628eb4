"""Many starts of one graph: read from JSON lines, run side by side, each kept as it is done."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quillgraph.agents.text.file import numbered_lines
from quillgraph.backends.calls import Budget, JsonLines, Recorder
from quillgraph.backends.errors import (
    BackendError,
    BudgetReached,
    InputError,
    QuillError,
)
from quillgraph.graphs.episodes.durability import EPISODES, Resuming, durable
from quillgraph.graphs.episodes.episode import Episode
from quillgraph.graphs.episodes.runner import run_graph
from quillgraph.graphs.episodes.source import Answer, Graph, episode_source
from quillgraph.graphs.episodes.start import TaskStart, complete_start, schema_of

AT_ONCE = 16
"""Entries that are run side by side; how many calls an engine takes at a time is its own matter."""

ContextFn = Callable[[Any], Any]
"""Makes a context of a schema, a new one each time: some graphs ask its budget for their costs."""

ERRORS: Mapping[str, type[QuillError]] = {"budget": BudgetReached, "backend": BackendError}
"""By the kind of failure: as what error it ends a batch that has come to nothing."""


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One start of the graph."""

    number: int
    """Line of the file; 1 where there is only one."""
    start: TaskStart


@dataclass(frozen=True, slots=True)
class Excluded:
    """An entry that gave no episode, and why."""

    number: int
    kind: str
    reason: str


def read_entry(graph: Graph, text: str, extra: Mapping[str, Any]) -> TaskStart:
    """Read a start from JSON: an object, or a request in quotes.

    Args:
        graph: Says what it takes.
        text: The JSON.
        extra: Parts of the input that the object need not bring.

    Raises:
        InputError: If the graph cannot be run on it.
    """
    excerpt = " ".join(text.split())[:60]
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected JSON, got {excerpt!r}: {error}") from error
    if isinstance(data, str):
        data = {"request": data}
    if not isinstance(data, dict):
        raise InputError(f"expected a JSON object or a request in quotes, got {excerpt!r}")
    return complete_start(graph, {**extra, **data})


def read_entries(
    graph: Graph, text: str, extra: Mapping[str, Any], where: str
) -> tuple[tuple[BatchEntry, ...], tuple[Excluded, ...]]:
    """Read a start from each line of JSON, and say of which lines none can be read.

    Args:
        graph: Says what it takes.
        text: The lines.
        extra: Parts of the input that a line need not bring.
        where: What the lines come from, for messages.

    Raises:
        InputError: If there is not one line to run the graph on.
    """
    entries, unreadable = [], []
    for number, line in numbered_lines(text):
        try:
            entries.append(BatchEntry(number, read_entry(graph, line, extra)))
        except InputError as error:
            unreadable.append(Excluded(number, "input", str(error)))
    if not entries:
        why = f"; line {unreadable[0].number}: {unreadable[0].reason}" if unreadable else ""
        raise InputError(f"expected a request a line in {where}, got none that can be run{why}")
    return tuple(entries), tuple(unreadable)


@dataclass(slots=True)
class Batch:
    """A graph on many starts; what has an episode in the folder is not run again."""

    graph: Graph
    entries: Sequence[BatchEntry]
    folder: Path
    budget: Budget
    episodes: dict[int, Episode]
    """By the number of the entry; those of earlier processes among them."""
    answer: Answer | None = None
    """Answers what the graph asks by an interrupt."""
    by_line: bool = True
    """Whether messages name the line of an entry."""
    excluded: list[Excluded] = field(default_factory=list)

    @property
    def waiting(self) -> list[BatchEntry]:
        """What has no episode yet."""
        return [entry for entry in self.entries if entry.number not in self.episodes]

    async def run(
        self, context: ContextFn, recorder: Recorder, notice: Callable[[], object]
    ) -> None:
        """Run what has no episode yet, so many at once; one that fails does not stop the others.

        Args:
            context: Makes the run-time context of an entry, of the schema that the graph declares.
            recorder: Writes down the calls.
            notice: Is called after each entry.

        Raises:
            BudgetReached: After what was in flight has come to its end.
            QuillError: If nothing has come of any entry.
            StorageError: If an episode cannot be written.
        """
        waiting = iter(self.waiting)
        JsonLines(self.folder / EPISODES).mend()
        with durable(self.graph, self.folder, self.budget) as graph:
            workers = [
                asyncio.ensure_future(self._work(waiting, graph, context, recorder, notice))
                for _ in range(AT_ONCE)
            ]
            try:
                await asyncio.gather(*workers)
            finally:  # one that raised must not close the files under the others
                for each in workers:
                    each.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        self._judge_the_end()

    async def _work(
        self,
        waiting: Iterator[BatchEntry],
        graph: Resuming,
        context: ContextFn,
        recorder: Recorder,
        notice: Callable[[], object],
    ) -> None:
        for entry in waiting:
            episode = await self._one(entry, graph, context, recorder)
            if (failure := episode.failure) is None:
                self._add(entry.number, episode)
                graph.forget(str(entry.number))
            else:
                where = f"in node {failure.node}: " if failure.node else ""
                reason = f"{where}{failure.reason}"
                self.excluded.append(Excluded(entry.number, failure.kind, reason))
            notice()
            if failure is not None and failure.kind == "budget":
                return

    async def _one(
        self, entry: BatchEntry, graph: Resuming, context: ContextFn, recorder: Recorder
    ) -> Episode:
        name, schema = str(entry.number), schema_of(graph, "context_schema")
        source = episode_source(graph, context=context(schema), answer=self.answer)
        task, rest = entry.start.task, entry.start.rest
        return await run_graph(source, task, start=rest, episode_id=name, record=recorder)

    def _add(self, number: int, episode: Episode) -> None:
        """Keep an episode; its calls are in calls.jsonl, under its id."""
        self.episodes[number] = episode.model_copy(update={"calls": ()})
        JsonLines(self.folder / EPISODES).append(self.episodes[number].model_dump_json())

    def _judge_the_end(self) -> None:
        for each in self.excluded:
            if each.kind == "budget" or not self.episodes:
                place = f"line {each.number}: " if self.by_line else ""
                raise ERRORS.get(each.kind, QuillError)(f"{place}{each.reason}")
