"""A foreign graph, written with LangGraph's public API alone, run as it is and recorded."""

import asyncio
import itertools
import json
import operator
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.func import task as langgraph_task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt

from quillgraph.agents.requests import writing_task
from quillgraph.backends.calls import Budget, read_records
from quillgraph.backends.errors import ConfigError, InputError, StorageError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.episode import Episode, Failure
from quillgraph.graphs.episodes.runner import run_graph, run_graphs
from quillgraph.graphs.episodes.source import episode_source

Ledger = list[tuple[str, str, int, str]]
"""What the graph's author noted at each call: path, node, visit, words of the prompt."""


class ForeignChat(BaseChatModel):
    """A chat model as others write it: no traces, no capabilities, synchronous."""

    @property
    def _llm_type(self) -> str:
        return "foreign"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = AIMessage(f"on {messages[-1].content}")
        return ChatResult(generations=[ChatGeneration(message=reply)])


class Essay(TypedDict):
    request: str
    parts: list[str]
    texts: Annotated[list[str], operator.add]
    rounds: int


class Part(TypedDict):
    part: str
    round: int


class Check(TypedDict, total=False):
    request: str
    rounds: int
    facts: int


def foreign_graph(ledger: Ledger) -> StateGraph[Any, Any, Any, Any]:
    """Plan, write three parts side by side, check in a subgraph with a loop of its own, and go
    round again by a jump; the last word is had by a tool."""
    model = ForeignChat()

    def say(path: str, visit: int, words: str) -> str:
        ledger.append((path, path.rpartition("/")[2], visit, words))
        return str(model.invoke(words).content)

    def plan(state: Essay) -> dict[str, Any]:
        say("plan", state["rounds"], f"plan {state['rounds']}")
        return {"parts": ["a", "b", "c"]}

    def deal(state: Essay) -> list[Send]:
        return [Send("write", {"part": p, "round": state["rounds"]}) for p in state["parts"]]

    async def write(state: Part) -> dict[str, Any]:
        words = f"write {state['part']} {state['round']}"
        ledger.append(("write", "write", state["round"], words))
        return {"texts": [str((await model.ainvoke(words)).content)]}

    def facts(state: Check) -> dict[str, Any]:
        # two visits in each visit of the graph around it
        done = state.get("facts", 0)
        say("check/facts", 2 * state["rounds"] + done, f"facts {state['rounds']}.{done}")
        return {"facts": done + 1}

    inner = StateGraph(Check)
    inner.add_node("facts", facts)
    inner.add_edge(START, "facts")
    inner.add_conditional_edges("facts", lambda s: "facts" if s["facts"] < 2 else END)

    def turn(state: Essay) -> Command[Any]:
        say("turn", state["rounds"], f"turn {state['rounds']}")
        goto = "plan" if state["rounds"] < 1 else "polish"
        return Command(update={"rounds": state["rounds"] + 1}, goto=goto)

    @tool
    def polished(text: str) -> str:
        """Polish a text."""
        return say("polish", 0, f"polish {text}")

    def polish(state: Essay) -> dict[str, Any]:
        return {"texts": [polished.invoke({"text": "all"})]}

    graph = StateGraph(Essay)
    graph.add_node("plan", plan)
    graph.add_node("write", write, input_schema=Part)
    graph.add_node("check", inner.compile())
    graph.add_node("turn", turn)
    graph.add_node("polish", polish)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", deal, ["write"])
    graph.add_edge("write", "check")
    graph.add_edge("check", "turn")
    graph.add_edge("polish", END)
    return graph


def began() -> dict[str, Any]:
    return {"parts": [], "texts": [], "rounds": 0}


def noted(episode: Episode) -> Ledger:
    return [(c.graph, c.node, c.visit, str(c.messages[-1]["content"])) for c in episode.calls]


@pytest.mark.parametrize("is_compiled", [False, True])
async def test_the_calls_of_a_foreign_graph_are_those_of_its_authors_ledger(
    is_compiled: bool,
) -> None:
    ledger: Ledger = []
    graph = foreign_graph(ledger)
    episode = await run_graph(
        graph.compile() if is_compiled else graph, "Write of fog.", start=began()
    )
    assert episode.failure is None
    assert Counter(noted(episode)) == Counter(ledger)
    # 2 rounds of 1 plan, 3 parts, 2 facts and 1 turn, then 1 polish
    assert len(ledger) == 2 * (1 + 3 + 2 + 1) + 1
    assert [call.call for call in episode.calls] == list(range(15))
    assert {call.run for call in episode.calls} == {episode.id}
    # plan 1, write 2, check 3, turn 4, then plan 5 ...; facts is at steps 1 and 2 of its own graph
    steps = [(c.node, c.step) for c in episode.calls]
    assert [s for s in steps if s[0] != "write"] == [
        ("plan", 1), ("facts", 1), ("facts", 2), ("turn", 4),
        ("plan", 5), ("facts", 1), ("facts", 2), ("turn", 8), ("polish", 9),
    ]  # fmt: skip
    assert episode.output is not None
    assert len(episode.output["texts"]) == 2 * 3 + 1


async def test_an_episode_goes_through_json() -> None:
    episode = await run_graph(foreign_graph([]), "Write of fog.", start=began())
    assert Episode.model_validate_json(episode.model_dump_json()) == episode


class Line(TypedDict, total=False):
    request: str
    text: str
    lines: Annotated[list[str], operator.add]
    number: int
    thing: object


def one_node(node: Any, **options: Any) -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(Line, **options)
    graph.add_node("only", node)
    graph.add_edge(START, "only")
    graph.add_edge("only", END)
    return graph


def scripted() -> ScriptedChat:
    return ScriptedChat(reply=lambda request: f"on {request.messages[-1].content}")


@pytest.mark.parametrize(
    ("returned", "lost"),
    [
        ({"txet": "a", "number": 1}, "'txet'"),
        (Command(update={"numbr": 2}), "'numbr'"),
        ([Command(update={"number": 1}), Command(update={"b": 2, "a": 1})], "'a', 'b'"),
        (Command(update=[("number", 1), ("numbr", 2)]), "'numbr'"),
    ],
)
async def test_keys_that_the_state_does_not_have_are_not_lost_in_silence(
    returned: Any, lost: str
) -> None:
    episode = await run_graph(one_node(lambda _: returned), "Write of fog.")
    assert episode.failure is not None
    assert (episode.failure.kind, episode.failure.node) == ("lost keys", "only")
    assert f"node 'only' returned {lost}," in episode.failure.reason
    assert (episode.output, episode.is_complete) == (None, False)


async def test_lost_keys_are_found_inside_a_subgraph_and_in_one_that_a_node_calls() -> None:
    inner = one_node(lambda _: {"tyop": 1}).compile()

    async def call(state: Line) -> Any:
        return await inner.ainvoke(state)

    for outer in (inner, call):
        episode = await run_graph(one_node(outer), "Write of fog.")
        assert episode.failure is not None
        assert episode.failure.node == "only/only"


def handing_on(update: Any) -> Any:
    """A graph of which a node asks a model and hands on an update to the graph around it."""
    model = scripted()

    class Inner(Line):
        secret: int

    def hand(state: Inner) -> Command[Any]:
        model.invoke("whose turn?")
        handed = {**state, **update} if isinstance(update, dict) else update
        return Command(graph=Command.PARENT, update=handed, goto="end")

    inner: Any = StateGraph(Inner).add_node("hand", hand).add_edge(START, "hand").compile()
    return inner


def around(inner: Any, *, is_called: bool = False) -> Any:
    """A graph with this one in a node, or one whose node calls it, so that it hands on to it."""

    async def call(state: Line) -> Any:
        return await inner.ainvoke({**state, "secret": 1})

    graph: Any = StateGraph(Line)
    graph.add_node("sub", call if is_called else inner)
    graph.add_node("end", lambda _: {})
    graph.add_edge(START, "sub")
    return graph


@pytest.mark.parametrize("is_called", [False, True])
@pytest.mark.parametrize("update", [{"number": 1, "numbr": 2}, [("number", 1), ("numbr", 2)]])
async def test_keys_that_the_graph_around_does_not_have_are_not_lost_either(
    update: Any, is_called: bool
) -> None:
    episode = await run_graph(around(handing_on(update), is_called=is_called), "Write of fog.")
    assert episode.failure is not None
    assert (episode.failure.kind, episode.failure.node) == ("lost keys", "sub")
    assert "returned 'numbr', which" in episode.failure.reason


@pytest.mark.parametrize("is_called", [False, True])
async def test_a_node_may_hand_on_what_it_was_given_and_its_calls_count(is_called: bool) -> None:
    # where it is called, its state has a `secret` that the graph around does not have
    graph = around(handing_on({"number": 1}), is_called=is_called)
    episode = await run_graph(graph, "Write of fog.", trainable={"hand"})
    assert episode.failure is None
    assert episode.output == {"request": "Write of fog.", "lines": [], "number": 1}
    assert (len(episode.calls), episode.given_up) == (1, ())


async def test_a_node_that_raises_is_told_with_its_line() -> None:
    def only(state: Line) -> Any:
        return json.loads("{")  # the line that is told is this one, not json's own

    episode = await run_graph(one_node(only), "Write of fog.")
    assert episode.failure is not None
    line = only.__code__.co_firstlineno + 1
    assert episode.failure.reason.startswith("JSONDecodeError: ")
    assert episode.failure.reason.endswith(f" (test_runner.py, line {line})")


@pytest.mark.parametrize("task", [None, {"request": "Write of fog."}])
async def test_a_task_is_a_text_or_a_writing_task(task: Any) -> None:
    with pytest.raises(InputError, match="expected a request as text or a WritingTask, got"):
        await run_graph(one_node(lambda _: {}), task)


async def test_a_role_is_played_by_a_model_and_not_by_its_spec() -> None:
    class Players(TypedDict):
        writer: Any

    graph = StateGraph(Line, context_schema=Players)
    graph.add_node("only", lambda _: {"number": 1})
    graph.add_edge(START, "only")
    spec: Any = "scripted:s.yaml"
    with pytest.raises(ConfigError, match=r"role 'writer', got str; connect\('scripted:s.yaml'\)"):
        await run_graph(graph, "Write of fog.", roles={"writer": spec})


async def test_graphs_that_nodes_make_are_followed_from_the_first_run_that_meets_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def call(state: Line) -> Any:
        if state["request"] == "flat":
            return {"number": 1}
        inner = one_node(lambda _: {"tyop": 1}).compile()  # LangGraph cannot see it ahead
        return await inner.ainvoke(state)

    async def failures(*requests: str) -> list[str | None]:
        source = episode_source(one_node(call))
        episodes = [await run_graph(source, request) for request in requests]
        return [each.failure.node if each.failure else None for each in episodes]

    assert await failures("deep", "flat", "deep") == ["only/only", None, "only/only"]
    assert not caplog.messages
    # after a run without one they are not followed, so one that comes late is told of, once
    assert await failures("flat", "deep", "deep") == [None, None, "only/only"]
    [message] = caplog.messages
    assert "ran a graph within a node that no run before it met" in message


async def test_a_subgraph_may_keep_a_part_of_its_state_to_itself() -> None:
    class Inner(Line):
        secret: int

    inner = StateGraph(Inner)
    inner.add_node("count", lambda _: {"secret": 1, "number": 2})
    inner.add_edge(START, "count")
    compiled: Any = inner.compile()

    async def call(state: Line) -> Any:
        return await compiled.ainvoke(state)

    for outer in (compiled, call):
        episode = await run_graph(one_node(outer), "Write of fog.")
        assert episode.failure is None
        assert episode.output == {"request": "Write of fog.", "lines": [], "number": 2}


async def test_a_node_may_return_unchanged_what_it_was_sent() -> None:
    graph = StateGraph(Line)
    graph.add_node("only", lambda sent: {**sent, "number": 1})
    graph.add_conditional_edges(START, lambda _: [Send("only", {"part": "a"})], ["only"])
    episode = await run_graph(graph, "Write of fog.")
    assert episode.failure is None


async def test_a_node_that_raises_ends_its_episode_and_keeps_the_calls() -> None:
    model = scripted()

    def breaks(state: Line) -> None:
        model.invoke("hello")
        raise RuntimeError("bang")

    episode = await run_graph(one_node(one_node(breaks).compile()), "Write of fog.")
    place = f"(test_runner.py, line {breaks.__code__.co_firstlineno + 2})"
    message = f"RuntimeError: bang {place}"
    assert episode.failure == Failure(kind="node", reason=message, node="only/only")
    assert [call.reply for call in episode.calls] == ["on hello"]
    assert episode.given_up == (0,)


async def test_a_try_that_came_to_nothing_is_told_from_the_one_that_counts() -> None:
    model, tries = scripted(), itertools.count(1)

    def at_third(state: Line) -> Line:
        number = next(tries)
        model.invoke(f"try {number}")
        if number < 3:
            raise ConnectionError
        return {"number": number}

    graph = StateGraph(Line)
    retry = RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ConnectionError)
    graph.add_node("only", at_third, retry_policy=retry)
    graph.add_edge(START, "only")
    episode = await run_graph(graph, "Write of fog.", trainable={"only"})
    assert episode.failure is None
    assert [call.reply for call in episode.calls] == ["on try 1", "on try 2", "on try 3"]
    assert episode.given_up == (0, 1)


async def test_an_endless_loop_ends_at_the_limit_of_steps() -> None:
    graph = StateGraph(Line)
    graph.add_node("only", lambda _: {"number": 1})
    graph.add_edge(START, "only")
    graph.add_edge("only", "only")
    episode = await run_graph(graph, "Write of fog.", most_steps=7)
    assert episode.failure is not None
    assert episode.failure.kind == "recursion"
    assert "not ended after 7 supersteps" in episode.failure.reason


async def test_a_budget_ends_a_graph_that_knows_of_none() -> None:
    model = scripted()

    async def asks(state: Line) -> Line:
        return {"text": str((await model.ainvoke("hello")).content)}

    graph = StateGraph(Line)
    graph.add_node("only", asks)
    graph.add_edge(START, "only")
    graph.add_edge("only", "only")
    episode = await run_graph(graph, "Write of fog.", budget=Budget(max_calls=3))
    assert episode.failure is not None
    assert (episode.failure.kind, len(episode.calls)) == ("budget", 3)


@pytest.mark.parametrize("checkpointer", [None, InMemorySaver()])
async def test_a_state_that_cannot_be_written_is_said_to_be_so(checkpointer: Any) -> None:
    graph = one_node(lambda _: {"thing": threading.Lock()}).compile(checkpointer=checkpointer)
    episode = await run_graph(graph, "Write of fog.")
    assert episode.failure is not None
    assert episode.failure.kind == "state"
    assert "lock" in episode.failure.reason
    assert Episode.model_validate_json(episode.model_dump_json()) == episode


def asks_first(model: BaseChatModel) -> Any:
    def node(state: Line) -> Line:
        model.invoke("before")
        answer = interrupt("May I?")
        model.invoke(f"after {answer}")
        return {"text": answer}

    return node


@pytest.mark.parametrize("checkpointer", [None, InMemorySaver()])
async def test_an_interrupt_is_answered_and_the_run_goes_on(checkpointer: Any) -> None:
    async def answer(question: Any) -> str:
        assert question == "May I?"
        return "yes"

    graph = one_node(asks_first(scripted())).compile(checkpointer=checkpointer)
    episode = await run_graph(graph, "Write of fog.", answer=answer)
    assert episode.failure is None
    assert episode.output is not None
    assert episode.output["text"] == "yes"
    # LangGraph runs an interrupted node again from its beginning: same visit, another call
    assert [(c.reply, c.visit) for c in episode.calls] == [
        ("on before", 0), ("on before", 0), ("on after yes", 0),
    ]  # fmt: skip
    assert episode.given_up == (0,)


async def test_what_a_subgraph_did_before_its_interrupt_counts() -> None:
    model = scripted()

    async def answer(question: Any) -> str:
        return "yes"

    async def opens(state: Line) -> Line:
        await model.ainvoke("open")
        return {"number": 1}

    inner = StateGraph(Line)
    inner.add_node("opens", opens)
    inner.add_node("asks", asks_first(model))
    inner.add_edge(START, "opens")
    inner.add_edge("opens", "asks")
    episode = await run_graph(one_node(inner.compile()), "Write of fog.", answer=answer)
    assert episode.failure is None
    # the subgraph goes on at its second node, of which the first try is given up
    assert [call.reply for call in episode.calls] == [
        "on open", "on before", "on before", "on after yes",
    ]  # fmt: skip
    assert episode.given_up == (1,)


async def test_a_record_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        await run_graph(one_node(lambda _: {}), "Fog.", record=tmp_path / "no" / "calls.jsonl")
    model, full = scripted(), Path("/dev/full")
    node = one_node(lambda state: {"text": model.invoke("a").content})
    with pytest.raises(StorageError, match="/dev/full"):
        await run_graph(node, "Fog.", record=full)


async def test_an_interrupt_without_an_answer_ends_the_run() -> None:
    episode = await run_graph(one_node(asks_first(scripted())), "Write of fog.")
    assert episode.failure is not None
    assert episode.failure.kind == "interrupt"
    assert "'May I?'" in episode.failure.reason


async def test_what_is_no_graph_or_has_no_entry_is_refused() -> None:
    graph = StateGraph(Line)
    graph.add_node("only", lambda _: {"number": 1})
    with pytest.raises(ConfigError, match="entrypoint"):
        await run_graph(graph, "Write of fog.")
    with pytest.raises(ConfigError, match="got function: pass what your factory returns"):
        await run_graph(one_node, "Write of fog.")  # type: ignore[arg-type]


async def test_an_input_that_the_task_cannot_reach_is_refused() -> None:
    class Apart(TypedDict):
        words: str

    graph = StateGraph(Apart)
    graph.add_node("only", lambda state: {"words": state["words"] * 2})
    graph.add_edge(START, "only")
    with pytest.raises(ConfigError, match="none of task, request, messages"):
        await run_graph(graph, "Write of fog.")
    with pytest.raises(ConfigError, match="start has 'wrods'"):
        await run_graph(graph, "Write of fog.", start={"wrods": "a"})
    episode = await run_graph(graph, "Fog.", start=lambda task: {"words": task.request})
    assert episode.output == {"words": "Fog.Fog."}


async def test_a_batch_goes_on_past_an_episode_that_fails(tmp_path: Path) -> None:
    model = scripted()
    in_flight, peak = 0, 0

    async def node(state: Line) -> Line:
        nonlocal in_flight, peak
        in_flight += 1
        peak = max(peak, in_flight)
        await asyncio.sleep(0)
        reply = str((await model.ainvoke(state["request"])).content)
        in_flight -= 1
        if "3" in reply:
            raise RuntimeError(reply)
        return {"text": reply}

    tasks = [writing_task(f"Write {number} lines.") for number in range(9)]
    record = tmp_path / "calls.jsonl"
    episodes = [e async for e in run_graphs(one_node(node), tasks, at_once=4, record=record)]
    assert sorted(each.task.request for each in episodes) == [task.request for task in tasks]
    assert [each.task.request for each in episodes if each.failure] == ["Write 3 lines."]
    assert peak == 4
    assert {call.run for call in read_records(record)} == {each.id for each in episodes}


async def test_a_start_that_raises_is_the_failure_of_its_episode_alone() -> None:
    def start(task: Any) -> dict[str, int]:
        return {"number": {"one": 1, "three": 3}[task.request]}

    tasks = [writing_task(request) for request in ("one", "two", "three")]
    graph = one_node(lambda _: {"text": "so"})
    episodes = {e.task.request: e async for e in run_graphs(graph, tasks, start=start, at_once=1)}
    assert {name for name, each in episodes.items() if each.is_complete} == {"one", "three"}
    assert episodes["two"].failure == Failure(
        kind="input", reason="start= raised for 'two': KeyError: 'two'"
    )
    assert episodes["two"].stopped == "start= raised for 'two': KeyError: 'two'"


async def test_what_ended_beside_an_error_is_given_before_it() -> None:
    gate = asyncio.Event()

    async def node(state: Line) -> Line:
        if state["request"] != "first":
            await gate.wait()
        if state["request"] == "bad":
            raise StorageError("the disk is full")
        return {"text": "so"}

    others = {"a", "b", "c", "d", "e"}
    tasks = [writing_task(request) for request in ("first", "bad", *others)]
    requests = []

    async def take() -> None:
        async for each in run_graphs(one_node(node), tasks):
            requests.append(each.task.request)
            gate.set()
            await asyncio.sleep(0.1)  # in which all the others end

    with pytest.raises(StorageError, match="the disk is full"):
        await take()
    assert set(requests) == {"first"} | others


async def test_a_batch_that_is_left_early_leaves_nothing_running() -> None:
    cancelled: list[str] = []

    async def node(state: Line) -> Line:
        try:
            await asyncio.sleep(0.01 if "0" in state["request"] else 3600)
        except asyncio.CancelledError:
            cancelled.append(state["request"])
            raise
        return {"text": "a"}

    tasks = (writing_task(f"Write {number} lines.") for number in range(3))
    batch = run_graphs(one_node(node), tasks, at_once=2)
    assert (await anext(batch)).task.request == "Write 0 lines."
    await batch.aclose()
    assert cancelled == ["Write 1 lines."]
    assert [task.request for task in tasks] == ["Write 2 lines."]
    with pytest.raises(ConfigError, match="at_once of 1 or more"):
        await anext(run_graphs(one_node(node), [], at_once=0))


async def test_a_flow_of_the_functional_api_is_recorded_too() -> None:
    model = scripted()

    @langgraph_task
    async def part(number: int) -> dict[str, str]:
        return {"said": str((await model.ainvoke(f"part {number}")).content)}

    @entrypoint()
    async def flow(given: dict[str, Any]) -> dict[str, str]:
        first, second = await part(1), await part(2)
        return {"text": f"{first['said']}, {second['said']}"}

    episode = await run_graph(flow, "Write of fog.")
    assert episode.failure is None
    assert episode.output == {"text": "on part 1, on part 2"}
    assert [(call.graph, call.reply) for call in episode.calls] == [
        ("flow/part", "on part 1"),
        ("flow/part", "on part 2"),
    ]


async def test_a_field_of_a_dataclass_that_the_state_does_not_have_is_not_lost_either() -> None:
    @dataclass
    class Update:
        text: str = "a"
        foo: int = 1

    episode = await run_graph(one_node(lambda _: Update()), "Write of fog.")
    assert episode.failure is not None
    assert "'foo'" in episode.failure.reason
