"""The recorder, under a real graph that fans out and nests."""

import asyncio
import json
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from quillgraph.backends.calls.record import CallRecord, Recorder, read_records
from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.errors import BudgetReached, InputError, ServerFailed, StorageError
from quillgraph.backends.scripted import ScriptedChat


class State(TypedDict):
    passages: list[str]
    codes: Annotated[list[str], operator.add]
    rounds: int


class Passage(TypedDict):
    passage: str


def coding_graph(model: BaseChatModel) -> Any:
    """One round: each passage is coded in a node of its own, then all codes are named once."""

    async def code(state: Passage) -> dict[str, Any]:
        coder = model.with_config(metadata={"role": "coder"})
        return {"codes": [str((await coder.ainvoke(state["passage"])).content)]}

    async def name(state: State) -> dict[str, Any]:
        namer = model.with_config(metadata={"role": "namer", "attempt": 1})
        return {"codes": [str((await namer.ainvoke("all")).content)]}

    graph = StateGraph(State)
    graph.add_node("code", code, input_schema=Passage)
    graph.add_node("name", name)
    graph.add_conditional_edges(
        START, lambda state: [Send("code", {"passage": p}) for p in state["passages"]], ["code"]
    )
    graph.add_edge("code", "name")
    graph.add_edge("name", END)
    return graph.compile()


def nested_graph(model: BaseChatModel) -> Any:
    """The coding graph as a node, visited twice, between calls of the outer graph's own."""

    async def plan(state: State) -> dict[str, Any]:
        await model.ainvoke("plan")
        return {"rounds": state["rounds"] + 1}

    graph = StateGraph(State)
    graph.add_node("plan", plan)
    graph.add_node("coding", coding_graph(model))
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "coding")
    graph.add_conditional_edges(
        "coding", lambda state: "plan" if state["rounds"] < 2 else END, ["plan", END]
    )
    return graph.compile()


def says(text: str = "so") -> ScriptedChat:
    return ScriptedChat(reply=lambda _: text)


def start(*passages: str) -> dict[str, Any]:
    return {"passages": list(passages), "codes": [], "rounds": 0}


def under(*handlers: Any) -> RunnableConfig:
    return {"callbacks": list(handlers)}


async def recorded(graph: Any, path: Path, *passages: str) -> list[CallRecord]:
    with Recorder(path, "run-1") as recorder:
        await graph.ainvoke(start(*passages), config=under(recorder))
    return read_records(path)


def prompt_of(record: CallRecord) -> str:
    return str(record.messages[-1]["content"])


async def test_each_call_of_a_fan_out_is_recorded_in_its_node(tmp_path: Path) -> None:
    records = await recorded(coding_graph(says()), tmp_path / "calls.jsonl", "a", "b", "c")
    assert sorted((r.graph, r.node, prompt_of(r)) for r in records) == [
        ("code", "code", "a"),
        ("code", "code", "b"),
        ("code", "code", "c"),
        ("name", "name", "all"),
    ]
    # a fan-out is one superstep, so all three belong to the first visit
    assert {r.visit for r in records} == {0}
    assert sorted(r.call for r in records) == [0, 1, 2, 3]
    assert {r.run for r in records} == {"run-1"}


async def test_role_and_attempt_come_from_the_metadata_of_the_call(tmp_path: Path) -> None:
    records = await recorded(coding_graph(says()), tmp_path / "calls.jsonl", "a")
    assert [(r.node, r.role, r.attempt) for r in records] == [
        ("code", "coder", 0),
        ("name", "namer", 1),
    ]


async def test_a_nested_graph_is_named_by_its_path_and_each_visit_counted(tmp_path: Path) -> None:
    records = await recorded(nested_graph(says()), tmp_path / "calls.jsonl", "a", "b")
    assert sorted((r.visit, r.graph, r.node, prompt_of(r)) for r in records) == [
        (0, "coding/code", "code", "a"),
        (0, "coding/code", "code", "b"),
        (0, "coding/name", "name", "all"),
        (0, "plan", "plan", "plan"),
        (1, "coding/code", "code", "a"),
        (1, "coding/code", "code", "b"),
        (1, "coding/name", "name", "all"),
        (1, "plan", "plan", "plan"),
    ]


async def test_a_record_holds_request_reply_trace_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with Recorder(path, "run-1") as recorder:
        message = await says("yes").ainvoke("a", seed=3, config=under(recorder))
    (record,) = read_records(path)
    assert record.messages == [{"role": "user", "content": "a"}]
    assert record.options["seed"] == 3
    assert record.options["temperature"] == 0.7
    assert record.reply == "yes"
    assert record.model == "scripted"
    assert record.error is None
    assert record.request_sha256 == message.response_metadata["request_sha256"]
    assert record.trace is not None
    # a scripted token is four bytes, so "a" and "yes" are one each
    assert record.trace.completion_ids == (int.from_bytes(b"yes"),)
    assert (record.prompt_tokens, record.completion_tokens) == (1, 1)
    assert (recorder.prompt_tokens, recorder.completion_tokens) == (1, 1)
    assert record.started is not None
    assert record.started >= record.requested


async def test_a_failed_call_is_recorded_with_its_error_and_place(tmp_path: Path) -> None:
    def reply(request: ChatRequest) -> str:
        raise ServerFailed("the engine broke")

    path = tmp_path / "calls.jsonl"
    with Recorder(path, "run-1") as recorder, pytest.raises(ServerFailed):
        await coding_graph(ScriptedChat(reply=reply)).ainvoke(start("a"), config=under(recorder))
    (record,) = read_records(path)
    assert record.error == "ServerFailed: the engine broke"
    assert (record.node, record.reply, record.trace, record.started) == ("code", None, None, None)
    assert (recorder.calls, recorder.failed) == (1, 1)


class Refuser(BaseCallbackHandler):
    """Refuses every call before it begins."""

    raise_error = True

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        raise BudgetReached("no more")


async def test_a_call_that_another_handler_refused_is_recorded_as_such(
    tmp_path: Path,
) -> None:
    path = tmp_path / "calls.jsonl"
    with Recorder(path, "run-1") as recorder:
        await says().ainvoke("a", config=under(recorder))
        with pytest.raises(BudgetReached):
            await says().ainvoke("b", config=under(recorder, Refuser()))
    records = read_records(path)
    assert [(prompt_of(record), record.reply) for record in records] == [("a", "so"), ("b", None)]


async def test_a_call_that_was_cancelled_is_recorded_when_the_run_ends(tmp_path: Path) -> None:
    started, path = asyncio.Event(), tmp_path / "calls.jsonl"

    class Waiting(ScriptedChat):
        async def _complete(self, request: ChatRequest) -> Completion:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError("never answered")

    with Recorder(path, "run-1") as recorder:
        call = asyncio.ensure_future(
            Waiting(reply=lambda _: "so").ainvoke("a", config=under(recorder))
        )
        await started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    (record,) = read_records(path)
    assert (prompt_of(record), record.reply) == ("a", None)
    assert record.error == "the run ended before the reply came"
    assert (recorder.calls, recorder.failed) == (1, 1)


async def test_a_disk_that_is_full_is_said_once_and_by_the_name_of_the_file() -> None:
    full = Path("/dev/full")
    with pytest.raises(StorageError, match="cannot write /dev/full: No space left"):  # noqa: SIM117
        with Recorder(full, "run-1") as recorder:
            await says().ainvoke("a", config=under(recorder))


async def test_a_foreign_chat_model_is_recorded_too(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with Recorder(path, "run-1") as recorder:
        await FakeListChatModel(responses=["so"]).ainvoke("a", config=under(recorder))
    (record,) = read_records(path)
    assert (record.reply, record.trace, record.request_sha256) == ("so", None, None)


async def test_each_record_is_on_disk_before_the_next_call(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with Recorder(path, "run-1") as recorder:
        for expected in (1, 2):
            await says().ainvoke("a", config=under(recorder))
            assert len(read_records(path)) == expected


async def test_a_second_recorder_adds_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    for run in ("first", "second"):
        with Recorder(path, run) as recorder:
            await says().ainvoke("a", config=under(recorder))
    assert [record.run for record in read_records(path)] == ["first", "second"]


async def test_without_a_path_only_the_counters_are_kept() -> None:
    with Recorder(None, "run-1") as recorder:
        await says("yes").ainvoke("a", config=under(recorder))
    assert (recorder.calls, recorder.prompt_tokens, recorder.completion_tokens) == (1, 1, 1)


def test_a_path_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no-such-folder"):
        Recorder(tmp_path / "no-such-folder" / "calls.jsonl", "run-1")


async def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    records = await recorded(coding_graph(says()), path, "a", "b")
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:-40], encoding="utf-8")
    assert read_records(path) == records[:-1]


async def test_a_recorder_does_not_go_on_within_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    *before, _ = await recorded(coding_graph(says()), path, "a", "b")
    path.write_bytes(path.read_bytes()[:-40])
    with Recorder(path, "run-2") as recorder:
        await says("on").ainvoke("c", config=under(recorder))
    again = read_records(path)
    assert again[:-1] == before
    assert again[-1].reply == "on"


async def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    await recorded(coding_graph(says()), path, "a", "b")
    path.write_text(path.read_text("utf-8").replace('"call":1', '"call":"x"'), encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2: expected a CallRecord, .*integer"):
        read_records(path)


async def test_unicode_line_separators_in_a_reply_do_not_split_a_record(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with Recorder(path, "run-1") as recorder:
        await says("one\u2028two\x85three").ainvoke("a", config=under(recorder))
        await says().ainvoke("b", config=under(recorder))
    assert [record.reply for record in read_records(path)] == ["one\u2028two\x85three", "so"]


def at(started: float | None, latency_s: float, requested: float = 0.0) -> CallRecord:
    empty = dict.fromkeys(["role", "request_sha256", "reply", "error", "model", "trace"])
    place = {"run": "r", "graph": "g", "node": "n", "visit": 0, "call": 0, "attempt": 0}
    counts = {"prompt_tokens": 0, "completion_tokens": 0, "messages": [], "options": {}}
    times = {"requested": requested, "started": started, "latency_s": latency_s}
    return CallRecord.model_validate({**empty, **place, **counts, **times})


@pytest.mark.parametrize(
    ("records", "peak"),
    [
        ([], 0),
        # 0-10, 2-5, 4-6: at 4.5 all three
        ([at(0, 10), at(2, 3), at(4, 2)], 3),
        # 0-2, 2-4: the second starts as the first ends
        ([at(0, 2), at(2, 2)], 1),
        # 0-1, 2-3, 2.5-4: two at most
        ([at(0, 1), at(2, 1), at(2.5, 1.5)], 2),
        # a call that never started counts from when it was asked for: 5-6 beside 5.5-6.5
        ([at(None, 1, requested=5), at(5.5, 1)], 2),
    ],
)
def test_the_peak_is_the_most_calls_held_at_one_moment(
    records: list[CallRecord], peak: int, peak_in_flight: Callable[[list[CallRecord]], int]
) -> None:
    assert peak_in_flight(records) == peak


async def test_records_hold_json_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    await recorded(coding_graph(says()), path, "a")
    first = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    assert first["node"] == "code"
    assert first["trace"]["completion_ids"] == [int.from_bytes(b"so")]


async def test_the_calls_of_a_reply_and_of_earlier_messages_are_kept(tmp_path: Path) -> None:
    def look(place: str) -> str:
        """Look at a place."""
        return place

    call = '<tool_call>{"name": "look", "arguments": {"place": "sea"}}</tool_call>'
    model = ScriptedChat(reply=lambda _: f"So.{call}<tool_call>{{broken").bind_tools([look])
    with Recorder(tmp_path / "calls.jsonl", "r") as recorder:
        reply = await model.ainvoke([HumanMessage("hi")], under(recorder))
        result = ToolMessage("calm", tool_call_id=reply.tool_calls[0]["id"])
        await model.ainvoke([HumanMessage("hi"), reply, result], under(recorder))
    first, second = read_records(tmp_path / "calls.jsonl")
    assert (first.reply, len(first.tool_calls)) == ("So.", 1)
    assert first.tool_calls[0]["function"] == {"name": "look", "arguments": '{"place": "sea"}'}
    assert [each["args"] for each in first.invalid_tool_calls] == ["{broken"]
    assert first.options["tools"][0]["function"]["name"] == "look"
    calling, answered = second.messages[1:]
    assert calling["tool_calls"] == first.tool_calls
    assert calling["invalid_tool_calls"] == first.invalid_tool_calls
    assert answered["tool_call_id"] == first.tool_calls[0]["id"]
