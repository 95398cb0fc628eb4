"""A batch of starts of one graph: read from JSON lines, run concurrently, saved as each ends."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quillgraph.agents.text.file import numbered_lines, parse_json
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
"""Entries that run concurrently; each engine limits its own concurrent calls."""

ContextFn = Callable[[Any], Any]
"""Makes a new context from a schema; each entry needs its own, as graphs read costs from it."""

ERRORS: Mapping[str, type[QuillError]] = {"budget": BudgetReached, "backend": BackendError}
"""Kind of failure to the error that ends a batch without a result."""


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
    questions: tuple[Mapping[str, Any], ...] = ()
    """What it waits for, as JSON: id, node and value of each question."""


def read_entry(graph: Graph, text: str, extra: Mapping[str, Any]) -> TaskStart:
    """Read a start from JSON: an object, or a request in quotes.

    Args:
        graph: Its input schema says what it takes.
        text: The JSON.
        extra: Default values for parts of the input.

    Raises:
        InputError: If the graph cannot be run on it.
    """
    excerpt = " ".join(text.split())[:60]
    try:
        data = parse_json(text)
    except ValueError as error:
        raise InputError(f"expected JSON, got {excerpt!r}: {error}") from error
    if isinstance(data, str):
        data = {"request": data}
    if not isinstance(data, dict):
        raise InputError(f"expected a JSON object or a request in quotes, got {excerpt!r}")
    return complete_start(graph, {**extra, **data})


def read_entries(
    graph: Graph, text: str, extra: Mapping[str, Any], where: str
) -> tuple[tuple[BatchEntry, ...], tuple[Excluded, ...]]:
    """Read a start from each line of JSON, and report the lines that cannot be read.

    Args:
        graph: Its input schema says what it takes.
        text: The lines.
        extra: Default values for parts of the input.
        where: Source of the lines, for messages.

    Raises:
        InputError: If no line gives a start.
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
    """A graph on many starts; an entry with an episode in the folder does not run again."""

    graph: Graph
    entries: Sequence[BatchEntry]
    folder: Path
    budget: Budget
    episodes: dict[int, Episode]
    """Number of the entry to its episode; includes those of earlier processes."""
    answer: Answer | None = None
    """Answers the graph's interrupts."""
    by_line: bool = True
    """Whether messages name the line of an entry."""
    excluded: list[Excluded] = field(default_factory=list)

    @property
    def waiting(self) -> list[BatchEntry]:
        """Entries without an episode."""
        return [entry for entry in self.entries if entry.number not in self.episodes]

    async def run(
        self, context: ContextFn, recorder: Recorder, notice: Callable[[], object]
    ) -> None:
        """Run the waiting entries, `AT_ONCE` at a time; a failed one does not stop the others.

        Args:
            context: Makes the run-time context of an entry, from the schema that the graph
                declares.
            recorder: Records the calls.
            notice: Called after each entry.

        Raises:
            BudgetReached: After the entries in flight have ended.
            QuillError: If no entry gave an episode.
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
                is_of_node = failure.node and failure.kind != "interrupt"
                where = f"in node {failure.node}: " if is_of_node else ""
                reason = f"{where}{failure.reason}"
                asked = tuple(each.model_dump(mode="json") for each in failure.questions)
                self.excluded.append(Excluded(entry.number, failure.kind, reason, asked))
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
        """Save an episode without its calls, which are in calls.jsonl under its id."""
        self.episodes[number] = episode.model_copy(update={"calls": ()})
        JsonLines(self.folder / EPISODES).append(self.episodes[number].model_dump_json())

    def _judge_the_end(self) -> None:
        for each in self.excluded:
            if each.kind == "budget" or not self.episodes:
                place = f"line {each.number}: " if self.by_line else ""
                raise ERRORS.get(each.kind, QuillError)(f"{place}{each.reason}")
