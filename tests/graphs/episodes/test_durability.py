"""A durable graph goes on from where it was, within its nodes too."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from quillgraph.agents.domain import CriteriaSet
from quillgraph.backends.calls import Budget, CallRecord, Recorder
from quillgraph.backends.calls.budget import Allowance
from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.errors import BudgetReached, InputError, ServerFailed, StorageError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.episodes.durability import durable
from quillgraph.graphs.episodes.runner import run_graph
from quillgraph.graphs.episodes.saver import GraphSaver
from quillgraph.graphs.prebuilt import nodes as pieces
from quillgraph.graphs.prebuilt.workshop import Reflecting, Workshop
from quillgraph.graphs.study.state import merged

EXAMPLES = Path(__file__).parents[3] / "examples"


class Book(TypedDict, total=False):
    titles: tuple[str, ...]
    chapters: Annotated[dict[str, str], merged]
    ending: str
    object: object


class OneChapter(TypedDict):
    title: str


class Flaky(ScriptedChat):
    """Answers in the order in which it is asked, and breaks on what it is told to break on."""

    requests: list[str] = []  # noqa: RUF012 pydantic copies it
    answered: list[str] = []  # noqa: RUF012
    breaks_on: set[str] = set()  # noqa: RUF012

    def __init__(self, **fields: Any) -> None:
        super().__init__(reply=self._answer, **fields)

    def _answer(self, request: ChatRequest) -> str:
        question = request.messages[-1].content
        self.requests.append(question)
        if question in self.breaks_on:
            raise ServerFailed("the engine broke")
        self.answered.append(question)
        return f"{question}, answer {len(self.answered)}"


def book(model: Flaky) -> StateGraph[Book, None, Book, Book]:
    """Chapters side by side, each of an outline, a text, and the same text once more; an ending."""

    async def write(state: OneChapter) -> Book:
        title = state["title"]
        outline = await model.ainvoke(f"outline {title}")
        first = await model.ainvoke(f"write {title}")
        again = await model.ainvoke(f"write {title}")
        return {"chapters": {title: " / ".join((outline.text, first.text, again.text))}}

    async def end(state: Book) -> Book:
        return {"ending": (await model.ainvoke("end")).text}

    def deal(state: Book) -> list[Send]:
        return [Send("write", OneChapter(title=title)) for title in state["titles"]]

    graph = StateGraph(Book)
    graph.add_node("write", write, input_schema=OneChapter)
    graph.add_node("end", end)
    graph.add_conditional_edges(START, deal, ["write"])
    graph.add_edge("write", "end")
    graph.add_edge("end", END)
    return graph


THREAD: Any = {"configurable": {"thread_id": "1"}}


async def test_a_finished_call_in_an_unfinished_node_is_not_made_again(tmp_path: Path) -> None:
    model = Flaky(breaks_on={"outline b"})
    with durable(book(model), tmp_path) as graph, pytest.raises(ServerFailed):
        await graph.ainvoke({"titles": ("a", "b")}, THREAD)
    model.breaks_on = {"write b"}
    with durable(book(model), tmp_path) as graph, pytest.raises(ServerFailed):
        await graph.ainvoke({"titles": ("a", "b")}, THREAD)
    model.breaks_on = set()
    with durable(book(model), tmp_path) as graph:
        done = await graph.ainvoke({"titles": ("a", "b")}, THREAD)
    # a broke off when b did, each time at another place; the two texts of a chapter are two calls
    assert Counter(model.answered) == {
        "outline a": 1, "write a": 2, "outline b": 1, "write b": 2, "end": 1,
    }  # fmt: skip
    for chapter in done["chapters"].values():
        outline, first, again = (int(each.rpartition(" ")[2]) for each in chapter.split(" / "))
        assert outline < first < again


async def test_a_thread_that_is_over_is_given_again_without_a_call(tmp_path: Path) -> None:
    model = Flaky()
    for _ in range(2):
        with durable(book(model), tmp_path) as graph:
            done = await graph.ainvoke({"titles": ("a",)}, THREAD)
            assert done["ending"] == "end, answer 4"
    assert len(model.requests) == 4


def test_a_thread_goes_on_without_an_event_loop_too(tmp_path: Path) -> None:
    model = Flaky(breaks_on={"two"})

    def ask(question: str) -> Any:
        return lambda state: {"ending": model.invoke(question).text}

    graph = StateGraph(Book)
    graph.add_node("one", ask("one"))
    graph.add_node("two", ask("two"))
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    with durable(graph, tmp_path) as kept, pytest.raises(ServerFailed):
        kept.invoke({"titles": ()}, THREAD)
    model.breaks_on = set()
    for _ in range(2):
        with durable(graph, tmp_path) as kept:
            assert kept.invoke({"titles": ()}, THREAD)["ending"] == "two, answer 2"
    assert model.answered == ["one", "two"]


async def test_the_time_of_a_node_stops_its_call(tmp_path: Path) -> None:
    class Endless(ScriptedChat):
        async def _complete(self, request: ChatRequest) -> Any:
            await asyncio.sleep(60)

    model = Endless(reply=lambda _: "never")

    async def wait(state: Book) -> Book:
        return {"ending": (await model.ainvoke("wait")).text}

    graph = StateGraph(Book)
    graph.add_node("wait", wait)
    graph.add_edge(START, "wait")
    budget = Budget(nodes={"wait": Allowance(seconds=0.01)})
    with (
        durable(graph, tmp_path, budget) as kept,
        pytest.raises(BudgetReached, match=r"the 0\.01 s of node 'wait' are over"),
    ):
        await kept.ainvoke({"titles": ()}, THREAD)


async def test_threads_know_nothing_of_each_other_and_can_be_forgotten(tmp_path: Path) -> None:
    model = Flaky()
    other: Any = {"configurable": {"thread_id": "2"}}
    with durable(book(model), tmp_path) as graph:
        await graph.ainvoke({"titles": ("a",)}, THREAD)
        await graph.ainvoke({"titles": ("a",)}, other)
        assert len(model.requests) == 8
        graph.forget("1")
        await graph.ainvoke({"titles": ("a",)}, THREAD)
        await graph.ainvoke({"titles": ("a",)}, other)
    assert len(model.requests) == 12


async def test_calls_before_an_interrupt_are_not_made_again_after_the_answer(
    tmp_path: Path,
) -> None:
    model = Flaky()

    async def ask(state: Book) -> Book:
        reply = await model.ainvoke("propose")
        return {"ending": f"{reply.text}: {interrupt('well?')}"}

    asking = StateGraph(Book)
    asking.add_node("ask", ask)
    asking.add_edge(START, "ask")
    calls: list[CallRecord] = []
    with durable(asking, tmp_path) as graph:
        await graph.ainvoke({"titles": ()}, THREAD)
        with Recorder(None, "1", calls.append) as recorder:
            heard: Any = {**THREAD, "callbacks": [recorder]}
            done = await graph.ainvoke(Command(resume="yes"), heard)
    assert done["ending"] == "propose, answer 1: yes"
    assert [call.replayed for call in calls] == [True]


async def test_what_no_checkpoint_can_keep_is_named(tmp_path: Path) -> None:
    graph = StateGraph(Book)
    graph.add_node("name", lambda state: {"object": iter(())})
    graph.add_edge(START, "name")
    with (
        durable(graph, tmp_path) as kept,
        pytest.raises(InputError, match="state 'object' holds a value of type tuple_iterator"),
    ):
        await kept.ainvoke({"titles": ()}, THREAD)


@pytest.mark.parametrize("pages", [12, 20])
async def test_a_disk_that_is_full_stops_the_run_and_is_no_failure_of_a_node(
    pages: int, tmp_path: Path
) -> None:
    graph = StateGraph(Book)
    graph.add_node("fill", lambda state: {"ending": "z" * 200_000})
    graph.add_edge(START, "fill")
    with durable(graph, tmp_path) as kept:
        assert isinstance(kept.checkpointer, GraphSaver)
        kept.checkpointer.conn.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageError, match=r"checkpoints\.sqlite: database or disk is full"):
            await run_graph(kept, "Fog.", start=lambda task: {"titles": ()})


async def test_records_of_two_processes_make_one_count_of_calls_and_visits(tmp_path: Path) -> None:
    model = Flaky(breaks_on={"write b"})
    calls: list[CallRecord] = []
    start: Any = {"titles": ("b",)}
    with (
        durable(book(model), tmp_path) as graph,
        Recorder(None, "1", calls.append) as recorder,
        pytest.raises(ServerFailed),
    ):
        await graph.ainvoke(start, THREAD | {"callbacks": [recorder]})
    model.breaks_on = set()
    earlier = tuple(calls)
    with (
        durable(book(model), tmp_path) as graph,
        Recorder(None, "1", calls.append, earlier=earlier) as recorder,
    ):
        await graph.ainvoke(start, THREAD | {"callbacks": [recorder]})
    assert [(c.call, c.node, c.visit, c.replayed, c.error is None) for c in calls] == [
        (0, "write", 0, False, True),
        (1, "write", 0, False, False),
        (0, "write", 0, True, True),
        (3, "write", 0, False, True),
        (4, "write", 0, False, True),
        (5, "end", 0, False, True),
    ]
    assert calls[0].journal == calls[2].journal
    assert (recorder.calls, recorder.failed) == (6, 0)


class Endless(ScriptedChat):
    """Answers at once where it is told to hurry, else never."""

    async def _complete(self, request: ChatRequest) -> Completion:
        if "hurry" not in request.messages[-1].content:
            await asyncio.Event().wait()
        return await super()._complete(request)


@pytest.mark.parametrize("way", ["ainvoke", "invoke"])
@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (lambda: Budget(max_seconds=0.2), "the 0.2 s of the run are over; raise --timeout"),
        (
            lambda: Budget(nodes={"slow": Allowance(seconds=0.2)}),
            "the 0.2 s of node 'slow' are over; raise --node-budget",
        ),
    ],
)
async def test_time_that_is_over_stops_the_call_in_flight(
    budget: Callable[[], Budget], message: str, way: str, tmp_path: Path
) -> None:
    model = Endless(reply=lambda _: "so")

    async def write(_: Book) -> Book:
        await model.ainvoke("hurry")
        return {"ending": (await model.ainvoke("end")).text}

    def write_alone(_: Book) -> Book:
        model.invoke("hurry")
        return {"ending": model.invoke("end").text}

    node: Any = write if way == "ainvoke" else write_alone
    graph = StateGraph(Book).add_node("slow", node).add_edge(START, "slow")
    with durable(graph, tmp_path, budget()) as kept:
        episode = await run_graph(kept, "A request.", start={"titles": ()})
    assert episode.failure is not None
    assert (episode.failure.kind, episode.failure.reason) == ("budget", message)
    # the call that was stopped had been made, so it is on record
    assert [call.error for call in episode.calls] == [None, f"BudgetReached: {message}"]


async def test_the_time_of_another_node_is_not_spent(tmp_path: Path) -> None:
    model = Flaky()
    budget = Budget(nodes={"end": Allowance(seconds=30)})
    with durable(book(model), tmp_path, budget) as graph:
        await graph.ainvoke({"titles": ("a",)}, THREAD)
    (_, account) = budget.accounts(["end"])
    assert 0 < account.seconds < 30


class Slow(ScriptedChat):
    """Takes a while, so that several calls are under way when a budget runs out."""

    requests: list[str] = []  # noqa: RUF012 pydantic copies it

    async def _complete(self, request: ChatRequest) -> Completion:
        self.requests.append(request.sha256)
        await asyncio.sleep(0.05)
        return await super()._complete(request)


async def test_calls_that_are_under_way_when_the_budget_runs_out_are_kept(tmp_path: Path) -> None:
    graph = StateGraph(Reflecting, context_schema=Workshop)
    graph.add_node("draft", pieces.draft(max_tokens=60))
    graph.add_node("judge", pieces.judge())
    graph.add_edge(START, "draft").add_edge("draft", "judge").add_edge("judge", END)
    model = Slow(path=EXAMPLES / "scripts" / "ferries.yaml")
    criteria = EXAMPLES / "scripts" / "ferry.criteria.json"
    start = {"criteria_set": CriteriaSet.model_validate_json(criteria.read_text("utf-8"))}
    request = (EXAMPLES / "scripts" / "ferry.txt").read_text("utf-8")
    counts = []
    for most in (3, None):  # a draft and two of three votes, then the rest
        budget = Budget(max_calls=most)
        with durable(graph, tmp_path, budget) as kept:
            episode = await run_graph(
                kept, request, start=start, context=cast(Workshop, model, samples=3), episode_id="1"
            )
        counts.append((budget.calls, len(episode.calls), bool(episode.failure)))
    assert counts == [(3, 3, True), (1, 4, False)]
    assert len(model.requests) == 4


async def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "first"
    with durable(book(Flaky()), folder) as graph:
        assert graph.checkpointer is not None
    assert (folder / "checkpoints.sqlite").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    with (
        pytest.raises(StorageError, match=r"expected a folder for checkpoints at .*first.*another"),
        durable(book(Flaky()), tmp_path / "runs" / "first"),
    ):
        pass
