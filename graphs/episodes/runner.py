"""Run any LangGraph graph as a source of episodes, and record every model call.

The graph may be ours or anyone's, compiled or not. It runs unchanged: LangChain's callbacks report
its calls, also those in subgraphs, fan-outs, loops, jumps and tools.
A fault before the run is an error; a fault during it is in the episode, as a `Failure`.
"""

import asyncio
import copy
import uuid
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt, StateSnapshot
from pydantic_core import to_jsonable_python

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.requests import writing_task
from quillgraph.agents.text import amount
from quillgraph.backends.calls import Recorder, recorder_of, running
from quillgraph.backends.errors import ConfigError, InputError, StorageError
from quillgraph.graphs.episodes.episode import Episode, Failure, Question
from quillgraph.graphs.episodes.observer import Hearing, Writes
from quillgraph.graphs.episodes.outcome import (
    LostKeys,
    Paused,
    failure_of,
    sealed,
    unused_roles,
)
from quillgraph.graphs.episodes.source import (
    Answer,
    Declined,
    EpisodeSource,
    Graph,
    Start,
    entry_of,
    episode_source,
)


async def run_graph(
    graph: Graph | EpisodeSource,
    task: WritingTask | str,
    *,
    start: Start | None = None,
    episode_id: str | None = None,
    record: Path | Recorder | None = None,
    **cast: Any,
) -> Episode:
    """Run a graph on a task and record it.

    Args:
        graph: A LangGraph graph, or an `EpisodeSource` made from one.
        task: The writing task. The graph gets it as `task`, its text as `request` or as a human
            message in `messages`: whichever of these its input has.
        start: The rest of the graph's input, or a function that makes it from the task. If the
            function raises, the error becomes the episode's failure.
        episode_id: Name of the episode, and thread of the graph's checkpointer; None makes one.
        record: File that each call is added to as it ends, or the recorder of a batch that counts
            and writes them; None keeps the calls in the episode only.
        cast: `roles`, `trainable` and the other arguments of `episode_source`.

    Returns:
        The episode. An error within the run becomes its `failure`, with the calls so far.
        The episode of a resumed durable graph holds all calls of its thread, each once.

    Raises:
        ConfigError: As `episode_source` does; if the graph's input takes no task; and if a role is
            trainable and a durable graph's thread began outside of this function.
        InputError: If the task is blank or no text.
        StorageError: If `record`, or the graph's own files, cannot be written.
    """
    source = graph if isinstance(graph, EpisodeSource) else episode_source(graph, **cast)
    if cast and isinstance(graph, EpisodeSource):
        raise ConfigError(f"{sorted(cast)[0]!r} is decided when the EpisodeSource is made")
    task = writing_task(task) if isinstance(task, str) else task
    if not isinstance(task, WritingTask):
        raise InputError(
            f"expected a request as text or a WritingTask, got {type(task).__name__}: the rest of "
            "a graph's input goes into start="
        )
    name = episode_id or uuid.uuid4().hex
    try:
        rest = dict((start(task) if callable(start) else start) or {})
    except Exception as error:  # noqa: BLE001 it may be anyone's function
        reason = f"start= raised for {task.request[:80]!r}: {type(error).__name__}: {error}"
        return _episode(source, task, name, Failure(kind="input", reason=reason))
    entry = entry_of(source.graph, task, rest)
    with recorder_of(record, name) as file, Hearing(source, name, file) as hearing:
        run = _Run(hearing.writes)
        try:
            with running(hearing.scope):
                await run.through(source, entry, _config(source, name, hearing))
        except StorageError:  # the record is lost; continuing would lose more
            raise
        except Exception as error:  # noqa: BLE001 a foreign node may raise anything
            run.failure = failure_of(error, run.failed, source.most_steps)
    if run.failure is None and hearing.scope.unheard:
        run.failure = Failure(kind="unheard", reason=_unheard(hearing.scope.unheard))
    if run.failure is None or run.writes.met_graphs:
        source.learn(nests=run.writes.met_graphs)
    calls = {"calls": hearing.calls, "given_up": hearing.given_up}
    episode = _episode(source, task, name, run.failure, **calls)
    return unused_roles(sealed(episode, entry, run.output), source.roles, source.known)


def _episode(
    source: EpisodeSource, task: WritingTask, name: str, failure: Failure | None, **calls: Any
) -> Episode:
    """The record of a run, without the graph's output."""
    return Episode(
        task=task,
        id=name,
        graph=source.graph.get_name(),
        trainable=source.trainable,
        failure=failure,
        stopped=failure.reason if failure else "the graph came to its end",
        is_complete=failure is None,
        **calls,
    )


async def run_graphs(
    graph: Graph | EpisodeSource,
    tasks: Iterable[WritingTask],
    *,
    at_once: int = 16,
    start: Start | None = None,
    record: Path | Recorder | None = None,
    **cast: Any,
) -> AsyncGenerator[Episode, None]:
    """Run a graph on many tasks and yield each episode as it ends, in no fixed order.

    Tasks are read as slots become free and episodes are not kept, so memory does not grow with
    their number. A failed episode is yielded like any other, whether the graph or `start` failed.

    Args:
        graph: As for `run_graph`.
        tasks: The tasks; to run one several times, repeat it.
        at_once: Most episodes in flight.
        start: As for `run_graph`.
        record: File that the calls of all episodes are added to.
        cast: As for `run_graph`.

    Raises:
        As `run_graph`, after yielding the episodes that had ended by then.
    """
    if at_once < 1:
        raise ConfigError(f"expected at_once of 1 or more, got {at_once}")
    source = graph if isinstance(graph, EpisodeSource) else episode_source(graph, **cast)
    waiting, running = iter(tasks), set[asyncio.Task[Episode]]()
    # one recorder writes the file: of several, one could cut off what another is writing
    with recorder_of(record, "batch") as file:
        try:
            while True:
                while len(running) < at_once and (task := next(waiting, None)) is not None:
                    run = run_graph(source, task, start=start, record=file)
                    running.add(asyncio.ensure_future(run))
                if not running:
                    return
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for each in sorted(ended, key=_is_broken):
                    yield each.result()  # those that raise come last
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _is_broken(run: asyncio.Task[Episode]) -> bool:
    return run.cancelled() or run.exception() is not None


@dataclass(slots=True)
class _Run:
    """A run in progress."""

    writes: Writes
    output: Any = None
    failed: str | None = None
    """Path of the innermost node that raised."""
    failure: Failure | None = None
    _asking: dict[str, str] = field(default_factory=dict)
    """Id of a question to the path of the node that asks it."""
    _begun: dict[str, str] = field(default_factory=dict)
    """Id of a task that has not ended to its path."""

    async def through(self, source: EpisodeSource, entry: Any, config: RunnableConfig) -> None:
        """Run the graph, and resume it after each interrupt that gets an answer.

        Raises:
            Paused: If nodes wait at the end, for an answer or at a breakpoint.
        """
        graph = source.graph
        if (source.answer is not None or source.stops) and not graph.checkpointer:
            # a graph resumes from a checkpoint only, so each run gets a checkpointer of its own;
            # not `graph.copy`, which would lose the types that its checkpoints may hold
            graph = copy.copy(graph)
            graph.checkpointer = InMemorySaver()
        declined: set[str] = set()
        while True:
            await self._stream(graph, source, entry, config)
            questions, stops = await self._waiting(graph, config)
            if not questions and not stops:
                return
            # to go on would be to pass the breakpoint, too
            asked = () if stops else [each for each in questions if each.id not in declined]
            answers = await _answers(asked, source.answer, declined, questions)
            if not answers:
                raise Paused(tuple(_as_json(each) for each in questions), stops)
            entry = Command(resume=answers)

    async def _stream(
        self,
        graph: Pregel[Any, Any, Any, Any],
        source: EpisodeSource,
        entry: Any,
        config: RunnableConfig,
    ) -> None:
        """Go through the graph until it ends or pauses."""
        self.writes.interrupted = None
        self._begun.clear()
        parts = graph.astream(
            entry,
            config,
            context=source.context,
            output_keys=graph.output_channels,
            stream_mode=["values", "tasks"],
            subgraphs=source.nests is not False,
            version="v2",
        )
        async with aclosing(parts):  # type: ignore[type-var]  # it is an async generator
            async for part in parts:
                if part["type"] == "tasks":
                    self._watch(part["ns"], part["data"])
                elif part["type"] == "values" and not part["ns"]:
                    self.output = part["data"]

    async def _waiting(
        self, graph: Pregel[Any, Any, Any, Any], config: RunnableConfig
    ) -> tuple[tuple[Question, ...], tuple[str, ...]]:
        """The questions that are open, and the paths of the nodes that wait for no answer.

        Its state says so, where the graph has one that is kept; what it sent on its way says so
        else.
        """
        event = self.writes.interrupted
        if graph.checkpointer:
            state = await graph.aget_state({"configurable": config["configurable"]}, subgraphs=True)
            waiting = list(_unfinished(state))
        elif event is None:
            return (), ()
        else:
            waiting = [("", event.interrupts)] if event.interrupts else []
            waiting += [] if waiting else [(path, ()) for path in self._begun.values() or ("",)]
        questions = tuple(
            Question(id=each.id, node=self._asking.get(each.id, path), value=each.value)
            for path, interrupts in waiting
            for each in interrupts
        )
        return questions, tuple(path for path, interrupts in waiting if not interrupts)

    def _watch(self, around: tuple[str, ...], task: Mapping[str, Any]) -> None:
        path = "/".join((*(part.partition(":")[0] for part in around), task["name"]))
        for each in task.get("interrupts", ()):
            self._asking.setdefault(each["id"], path)  # the innermost node is the first to say so
        if "result" not in task:
            self._begun[task["id"]] = path
        elif not task["interrupts"]:
            self._begun.pop(task["id"], None)
        if task.get("error"):
            self.failed = self.failed or path
        elif START in task.get("triggers", ()):
            # this trigger means an entrypoint of the functional API, which returns no state update
            self.writes.excuse(task["id"])
        elif "result" in task and (keys := self.writes.lost(task["id"], task["result"])):
            self.failed = path
            raise LostKeys(path, keys)


def _unfinished(
    state: StateSnapshot, around: str = ""
) -> Iterator[tuple[str, tuple[Interrupt, ...]]]:
    """The innermost nodes that have not come to their end, and what they ask."""
    for task in state.tasks:
        if task.name not in state.next or task.result is not None:
            continue
        path = f"{around}{task.name}"
        inner = task.state if isinstance(task.state, StateSnapshot) and task.state.next else None
        if inner:
            yield from _unfinished(inner, f"{path}/")
        else:
            yield path, task.interrupts


async def _answers(
    asked: Iterable[Question],
    answer: Answer | None,
    declined: set[str],
    questions: tuple[Question, ...],
) -> dict[str, Any]:
    """The answers that there are; the questions without one are added to those declined.

    Raises:
        Paused: If the caller's own function raises.
    """
    answers = {}
    for each in asked:
        try:
            if answer is None:
                raise Declined
            if isinstance(answer, Mapping):
                if each.id not in answer:
                    raise Declined
                answers[each.id] = answer[each.id]
            else:
                answers[each.id] = await answer(each.value)
        except Declined:
            declined.add(each.id)
        except Exception as error:
            why = f"answer= raised {type(error).__name__}: {error}"
            raise Paused(tuple(_as_json(each) for each in questions), (), why) from error
    return answers


def _as_json(question: Question) -> Question:
    """The question as it can be kept."""
    value = to_jsonable_python(question.value, fallback=repr)
    return question.model_copy(update={"value": value})


def _unheard(threads: list[str]) -> str:
    calls = f"{amount(len(threads), 'call')} in thread {threads[0]!r}"
    return (
        f"{calls}, which was started before the runs that were under way, may be this run's and "
        "could not be assigned to one: start the thread in the node, or submit "
        "contextvars.copy_context().run to it"
    )


def _config(source: EpisodeSource, name: str, hearing: Hearing) -> RunnableConfig:
    return {
        "callbacks": hearing.callbacks,
        "recursion_limit": source.most_steps + 1,  # `Writes` counts exactly
        "configurable": {"thread_id": name},
    }
