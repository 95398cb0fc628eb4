"""The episode of a durable graph that goes on is that of a run which was never stopped."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

from quillgraph.backends.calls import CallRecord, Recorder, read_records, used_calls
from quillgraph.backends.calls.lineage import trainable
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import ConfigError, ServerFailed, StorageError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.durability import CALLS, EPISODES, durable, read_episodes
from quillgraph.graphs.episodes.episode import Episode
from quillgraph.graphs.episodes.runner import run_graph


class Line(TypedDict, total=False):
    request: str
    text: str


Node = Callable[[Line], Any]


class Breaking(ScriptedChat):
    """Breaks on what it is told to break on."""

    breaks_on: set[str] = set()  # noqa: RUF012 pydantic copies it

    def __init__(self, *breaks_on: str) -> None:
        super().__init__(reply=self._answer, breaks_on=set(breaks_on))

    def _answer(self, request: ChatRequest) -> str:
        question = request.messages[-1].content
        if question in self.breaks_on:
            raise ServerFailed("the engine broke")
        return f"on {question}"


def chain(retry: RetryPolicy | None = None, **nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    """Nodes one after the other."""
    graph, last = StateGraph(Line), START
    for name, node in nodes.items():
        graph.add_node(name, node, retry_policy=retry)
        graph.add_edge(last, name)
        last = name
    return graph


def asks(model: ScriptedChat, *questions: str) -> Node:
    async def node(state: Line) -> Line:
        replies = [await model.ainvoke(question) for question in questions]
        return {"text": replies[-1].text}

    return node


async def run(graph: StateGraph[Any, Any, Any, Any], folder: Path, **options: Any) -> Episode:
    """One process: the graph is opened, and closed again at the end."""
    with durable(graph, folder) as kept:
        return await run_graph(kept, "Fog.", episode_id="1", **options)


def calls_of(calls: tuple[CallRecord, ...] | list[CallRecord]) -> list[tuple[int, str, bool]]:
    """Number, question, and whether it was answered."""
    return [(each.call, each.messages[-1]["content"], each.error is None) for each in calls]


def count_retries(tries: int) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=tries, initial_interval=0.001, jitter=False, retry_on=ValueError
    )


async def test_an_episode_has_the_calls_that_were_made_before_the_stop(tmp_path: Path) -> None:
    model, record = Breaking("c"), tmp_path / "calls.jsonl"
    graph = chain(one=asks(model, "a"), two=asks(model, "b", "c"))
    roles: Any = {"trainable": {"one", "two"}, "record": record}
    stopped = await run(graph, tmp_path, **roles)
    assert stopped.failure is not None
    assert calls_of(stopped.calls) == [(0, "a", True), (1, "b", True), (2, "c", False)]
    model.breaks_on = set()
    whole = await run(graph, tmp_path, **roles)
    # b is replayed and keeps its number; 3 was the number under which it was asked for again
    expected = [(0, "a", True), (1, "b", True), (2, "c", False), (4, "c", True)]
    assert (whole.failure, calls_of(whole.calls)) == (None, expected)
    assert [each.call for each in trainable(whole.calls)] == [0, 1, 4]
    assert set(whole.given_up) == {2}
    assert calls_of(read_records(record)) == [*expected[:3], (1, "b", True), (4, "c", True)]


async def test_a_thread_that_is_over_gives_its_episode_again(tmp_path: Path) -> None:
    graph = chain(one=asks(Breaking(), "a"))
    first = await run(graph, tmp_path, trainable={"one"})
    assert await run(graph, tmp_path, trainable={"one"}) == first
    assert len(first.calls) == 1


async def test_a_thread_that_others_have_begun_is_not_trained_on(tmp_path: Path) -> None:
    graph = chain(one=asks(Breaking(), "a"))
    with durable(graph, tmp_path) as kept:
        await kept.ainvoke({"request": "Fog."}, {"configurable": {"thread_id": "1"}})
    with pytest.raises(ConfigError, match="thread '1' began outside of run_graph"):
        await run(graph, tmp_path, trainable={"one"})
    assert (await run(graph, tmp_path)).calls == ()


async def test_numbers_of_two_processes_are_one_count(tmp_path: Path) -> None:
    model = Breaking("again")
    retried: list[int] = []

    async def asks_again(state: Line) -> Line:
        first = await model.ainvoke("ask")
        # the first reply could not be read
        second = await model.ainvoke("again", {"metadata": {"supersedes": first.id}})
        return {"text": second.text}

    async def fails_once(state: Line) -> Line:
        reply = await model.ainvoke("go on")
        if not retried:
            retried.append(1)
            raise ValueError
        return {"text": reply.text}

    graph = chain(count_retries(2), one=asks_again, two=fails_once)
    for _ in range(2):
        with Recorder(tmp_path / CALLS, "batch") as recorder:
            episode = await run(graph, tmp_path, record=recorder)
        model.breaks_on = set()
    line = episode.model_copy(update={"calls": ()}).model_dump_json()
    (tmp_path / EPISODES).write_text(f"{line}\n", encoding="utf-8")
    read = read_episodes(tmp_path)[1]
    # 0 ask, 1 again (broke); 2 was the replay of ask, 3 again, 4 a try that failed, 5 the next
    for each in (episode, read):
        assert [number for number, *_ in calls_of(each.calls)] == [0, 1, 3, 4, 5]
        assert [call.supersedes for call in each.calls] == [None, 0, 0, None, None]
        assert each.given_up == (1, 4)
        assert [call.call for call in used_calls(each.calls)] == [3, 4, 5]


async def test_a_try_that_came_to_nothing_before_the_stop_is_known_after_it(
    tmp_path: Path,
) -> None:
    model, tries = Breaking("b"), list[int]()

    async def at_second(state: Line) -> Line:
        tries.append(1)
        reply = await model.ainvoke(f"try {len(tries)}")
        if len(tries) < 2:
            raise ValueError
        return {"text": reply.text}

    graph = chain(count_retries(2), one=at_second, two=asks(model, "b"))
    assert (await run(graph, tmp_path)).failure is not None
    model.breaks_on = set()
    episode = await run(graph, tmp_path)
    assert calls_of(episode.calls) == [
        (0, "try 1", True), (1, "try 2", True), (2, "b", False), (3, "b", True),
    ]  # fmt: skip
    assert episode.given_up == (0, 2)


async def test_a_call_that_the_second_process_does_not_ask_for_again_is_given_up(
    tmp_path: Path,
) -> None:
    model, questions = Breaking("b"), iter(["heads", "tails"])

    async def tosses(state: Line) -> Line:
        await model.ainvoke(next(questions))
        return {"text": (await model.ainvoke("b")).text}

    graph = chain(one=tosses)
    await run(graph, tmp_path)
    model.breaks_on = set()
    episode = await run(graph, tmp_path)
    assert [number for number, *_ in calls_of(episode.calls)] == [0, 1, 2, 3]
    assert episode.given_up == (0, 1)


async def test_what_a_subgraph_has_finished_counts_when_it_goes_on(tmp_path: Path) -> None:
    model = Breaking("b")
    inner = chain(one=asks(model, "a"), two=asks(model, "b")).compile()
    graph = chain(outer=inner)
    await run(graph, tmp_path)
    model.breaks_on = set()
    episode = await run(graph, tmp_path)
    assert calls_of(episode.calls) == [(0, "a", True), (1, "b", False), (2, "b", True)]
    assert episode.given_up == (1,)


async def test_a_node_that_is_tried_again_begins_its_subgraph_anew(tmp_path: Path) -> None:
    model, tries = Breaking("c"), list[int]()

    async def fails_once(state: Line) -> Line:
        reply = await model.ainvoke("b")
        tries.append(1)
        if len(tries) == 1:
            raise ValueError
        return {"text": reply.text}

    inner = chain(one=asks(model, "a"), two=fails_once).compile()
    graph = chain(count_retries(2), outer=inner, last=asks(model, "c"))
    stopped = await run(graph, tmp_path)
    assert [number for number, *_ in calls_of(stopped.calls)] == [0, 1, 2, 3, 4]
    model.breaks_on = set()
    episode = await run(graph, tmp_path)
    # a and b of the first try come to nothing, and c broke
    assert episode.given_up == (0, 1, 4)
    assert [call.call for call in used_calls(episode.calls) if call.call not in (0, 1)] == [2, 3, 5]


async def test_calls_that_cannot_be_kept_stop_the_run(tmp_path: Path) -> None:
    with durable(chain(one=asks(Breaking(), "a")), tmp_path) as kept:
        kept.calls._file.execute("PRAGMA max_page_count = 1")
        kept.calls._file.execute("PRAGMA query_only = 1")
        with pytest.raises(StorageError, match=r"cannot use the kept calls .*kept_calls\.sqlite"):
            await run_graph(kept, "Fog.")
    with pytest.raises(sqlite3.ProgrammingError):
        kept.calls._file.execute("SELECT 1")
