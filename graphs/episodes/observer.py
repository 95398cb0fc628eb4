"""Observes a run: its calls, each once, and what its nodes return.

LangGraph silently drops keys that the state does not have, so the keys that nodes return are
compared with those that reach the state.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.callbacks import GraphCallbackHandler, GraphInterruptEvent
from langgraph.errors import GraphBubbleUp, GraphRecursionError, ParentCommand
from langgraph.graph import START
from langgraph.types import Command
from pydantic import BaseModel

from quillgraph.backends.calls import CallRecord, Listener, Recorder, RunScope, current_scope
from quillgraph.graphs.episodes.durability import Resuming
from quillgraph.graphs.episodes.source import EpisodeSource

Keys = dict[str, Any]


class Writes(Listener, GraphCallbackHandler):
    """Records what every node of a run returns, in subgraphs too, until the state is written.

    `lost` then compares it with the keys that arrived. A node that is a subgraph, or passes on the
    output of one, may return keys that the outer state does not have: that is how LangGraph shares
    a part of a state. The same holds for a node that returns its input unchanged, and for one that
    passes keys of its input to the graph around it (`Command.PARENT`).

    It also counts the steps of each graph. LangGraph's own limit lets one more step run before it
    looks, and begins anew with each answer to an interrupt.

    Args:
        recorder: Numbers the calls of the run.
        most_steps: Supersteps that each graph may have; nodes of a further step are refused.
        give_up: For a run that a later process may resume: receives the node whose calls so far are
            given up, and whether those of the graphs within it are too. They are where the node
            runs again in this process; a later process resumes these graphs where they stopped.
    """

    def __init__(
        self,
        recorder: Recorder,
        most_steps: int,
        give_up: Callable[[str, bool], None] | None = None,
    ) -> None:
        super().__init__()
        self._most_steps = most_steps
        self._steps: defaultdict[str, set[int]] = defaultdict(set)
        """Steps that each graph has begun, by its place."""
        self.interrupted: GraphInterruptEvent | None = None
        """How the graph has paused, if it has."""
        self._runs: dict[UUID, tuple[str, bool, Any]] = {}
        """Place of an open run in the graph, whether it is a node, and its input."""
        self._graphs: set[UUID] = set()
        self._inner: dict[str, set[str]] = {}
        self._returned: dict[str, Keys] = {}
        self._excused: set[str] = set()
        self._given_up: list[tuple[str, bool, int]] = []
        """Place of each node that ended early, or began and may have begun in an earlier process,
        whether the graphs within it count as well, and the number of calls up to then."""
        self._failed: set[str] = set()
        self._recorder, self._tell = recorder, give_up
        self.met_graphs = False
        """Whether graphs ran within nodes."""

    @property
    def ignore_llm(self) -> bool:
        """Calls of models are the recorder's business."""
        return True

    @property
    def ignore_chat_model(self) -> bool:
        """Calls of models are the recorder's business."""
        return True

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: dict[str, Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record where a run begins; a run that has nodes is a graph.

        Raises:
            GraphRecursionError: If it is a node of a step that the graph may not have.
        """
        is_node = any(tag.startswith("graph:step:") for tag in tags or ())
        place = str((metadata or {}).get("langgraph_checkpoint_ns", ""))
        if is_node:
            self._count_step(place, metadata)
        self._runs[run_id] = (place, is_node, inputs)
        self.met_graphs |= is_node and "|" in place
        if is_node and parent_run_id:
            self._graphs.add(parent_run_id)
        if is_node and self._tell:  # calls of an earlier process in it are made again, or lost
            self._given_up.append((place, False, self._recorder.calls))
            self._tell(place, place in self._failed)

    def on_chain_end(self, outputs: dict[str, Any], *, run_id: UUID, **kwargs: Any) -> None:
        """Record what a node returned, or what a subgraph returned to the node around it."""
        place, is_node, entry = self._runs.pop(run_id, ("", False, None))
        if is_node:
            before = entry if isinstance(entry, Mapping) else {}
            inner = self._inner.pop(place, set())
            self._returned[_task_of(place)] = {
                key: value
                for key, value in _updates(outputs)
                if key not in inner and not (key in before and before[key] is value)
            }
        elif run_id in self._graphs:
            self._graphs.discard(run_id)
            self._inner.setdefault(place, set()).update(key for key, _ in _updates(outputs))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Mark the calls of a node so far as given up, even if the node runs again.

        A command to the graph around it arrives as an error too, and counts as the return value of
        that graph's node.
        """
        place, is_node, entry = self._runs.pop(run_id, ("", False, None))
        self._graphs.discard(run_id)
        if isinstance(error, ParentCommand):
            if is_node and error.args[0].graph == Command.PARENT:  # else it is on its way already
                own = _keys_of(entry)
                updates = _pairs(error.args[0].update)
                passed_on = {key: value for key, value in updates if key not in own}
                self._returned[_task_around(place)] = passed_on
        elif is_node:
            is_interrupt = isinstance(error, GraphBubbleUp)
            self._given_up.append((place, not is_interrupt, self._recorder.calls))
            if not is_interrupt:
                self._failed.add(place)
            if self._tell:
                self._tell(place, False)

    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        """Note that the run has paused."""
        self.interrupted = event

    def _count_step(self, place: str, metadata: dict[str, Any] | None) -> None:
        about = metadata or {}
        if about.get("langgraph_node") == START:  # what leads into a graph is no step of it
            return
        steps = self._steps[place.rpartition("|")[0]]
        steps.add(int(about.get("langgraph_step", 0)))
        if len(steps) > self._most_steps:
            raise GraphRecursionError(f"step {len(steps)} of {self._most_steps}")

    def was_given_up(self, call: CallRecord) -> bool:
        """Say whether a call belongs to a failed attempt at its node.

        After an interrupt a subgraph resumes where it stopped, so its earlier nodes still count.
        """
        place, last = call.namespace or "", self._recorder.last_asked(call.call)
        return any(
            last < upto and (place == node or (with_inner and place.startswith(f"{node}|")))
            for node, with_inner, upto in self._given_up
        )

    def excuse(self, task: str) -> None:
        """Ignore what a task returns, because it is no update of a state."""
        self._excused.add(task)

    def lost(self, task: str, written: Mapping[str, Any]) -> tuple[str, ...]:
        """Say which keys a node returned that the state did not take.

        Args:
            task: Id of the node's task.
            written: What reached the state.
        """
        returned = self._returned.pop(task, {})
        return () if task in self._excused else tuple(sorted(set(returned) - set(written)))


def _task_of(place: str) -> str:
    return place.rpartition("|")[2].rpartition(":")[2]


def _task_around(place: str) -> str:
    """Id of the task in which the graph of a node runs."""
    # a number counts the graphs that one node calls
    parts = [part for part in place.split("|")[:-1] if not part.isdigit()]
    return _task_of(parts[-1]) if parts else ""


def _keys_of(entry: Any) -> set[str]:
    """Keys of the state that are in a node's input."""
    inner = entry.get("state") if isinstance(entry, Mapping) else None  # a `ToolNode` of LangGraph
    return {key for each in (entry, inner) for key, _ in _updates(each)}


def _pairs(update: Any) -> Iterator[tuple[str, Any]]:
    """The updates of a command, which may be a list of pairs."""
    if isinstance(update, list | tuple) and all(isinstance(each, tuple) for each in update):
        yield from ((each[0], each[1]) for each in update)
    else:
        yield from _updates(update)


def _updates(returned: Any) -> Iterator[tuple[str, Any]]:
    """The updates of this graph's state in what a node returned."""
    if isinstance(returned, Command):
        if returned.graph is None:
            yield from _pairs(returned.update)
    elif isinstance(returned, Mapping):
        yield from ((key, value) for key, value in returned.items() if isinstance(key, str))
    elif isinstance(returned, BaseModel):
        yield from ((key, getattr(returned, key)) for key in returned.model_fields_set)
    elif dataclasses.is_dataclass(returned) and not isinstance(returned, type):
        yield from (
            (each.name, getattr(returned, each.name)) for each in dataclasses.fields(returned)
        )
    elif isinstance(returned, list | tuple) and any(isinstance(each, Command) for each in returned):
        for each in returned:
            yield from _updates(each)


class Hearing:
    """Collects the calls of one run; for a resumed durable graph, those of earlier processes too.

    A replayed call is the same call: it appears once, under its first number.

    Args:
        source: The graph and its cast.
        name: Name of the run, and its thread.
        file: Receives each record as its call ends.

    Raises:
        ConfigError: If the run is for training, and its earlier calls were not kept.
    """

    def __init__(self, source: EpisodeSource, name: str, file: Recorder) -> None:
        graph, is_trained = source.graph, bool(source.trainable)
        self._kept = graph.calls if isinstance(graph, Resuming) else None
        earlier = graph.earlier(name, is_trained=is_trained) if isinstance(graph, Resuming) else []
        self._calls = {each.record.call: each.record for each in earlier}
        self._given_up = {each.record.call for each in earlier if each.given_up}
        self._file = file
        self._recorder = Recorder(
            None,
            name,
            self._hear,
            source.budget,
            earlier=tuple(self._calls.values()),
            around=_recorder_around(),
        )
        give_up = partial(self._kept.give_up, name) if self._kept else None
        self.writes = Writes(self._recorder, source.most_steps, give_up)
        journal = (graph.journal,) if isinstance(graph, Resuming) else ()
        self.scope = RunScope((self.writes, *journal, self._recorder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._recorder.__exit__(kind, error, trace)

    @property
    def callbacks(self) -> list[BaseCallbackHandler]:
        """The callback handlers; the recorder comes last, as it may have a budget."""
        return [self.writes, self._recorder]

    @property
    def calls(self) -> tuple[CallRecord, ...]:
        """The calls, in the order in which they first began."""
        return tuple(self._calls[number] for number in sorted(self._calls))

    @property
    def given_up(self) -> tuple[int, ...]:
        """Numbers of the calls that contribute nothing to the output."""
        return tuple(call.call for call in self.calls if self._was_given_up(call))

    def _was_given_up(self, call: CallRecord) -> bool:
        was_asked = self._recorder.last_asked(call.call) >= 0
        return self.writes.was_given_up(call) or (not was_asked and call.call in self._given_up)

    def _hear(self, record: CallRecord) -> None:
        # Kept first: a later process numbers its calls from the kept ones, so it would use the
        # number of a call that is only in the file a second time.
        if self._kept:
            self._kept.keep(record, given_up=self.writes.was_given_up(record))
        self._file.add(record)
        self._calls.setdefault(record.call, record)


def _recorder_around() -> Recorder | None:
    """Who records the run in one of whose nodes this one is made; None if there is none."""
    if (scope := current_scope()) is None:
        return None
    return next((each for each in scope.callbacks if isinstance(each, Recorder)), None)
