"""What every native backend keeps to, one suite for all of them.

`docs/backends.md` is made from the tests that are collected here: see `capability_matrix.py`.
"""

import asyncio
import json
import math
import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import MessagesState, StateGraph
from pydantic import BaseModel, ConfigDict

from quillgraph.backends.calls.budget import Budget
from quillgraph.backends.calls.lineage import trainable
from quillgraph.backends.calls.record import CallRecord, Recorder
from quillgraph.backends.cassette.chat import CassetteChat
from quillgraph.backends.cassette.recorder import CassetteRecorder
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion
from quillgraph.backends.errors import (
    BudgetReached,
    ConfigError,
    ContextOverflow,
    QuillError,
    TimedOut,
)
from quillgraph.backends.messages.trace import alternatives_of, trace_of
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.backends.servers.openai import OpenAIChat

STORY = "The sea took the harbour lamp on a night without wind, and kept it burning."
ASK = "Write a long story about the sea."
SLOWLY = "Write a long story about the sea, and take your time."
WINDOW = 2048


class Colour(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: Literal["green", "red"]


SCORE = {
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["score"],
    "additionalProperties": False,
}
RATE = 'Rate this story from 0 to 9 as JSON: "The sea took the lamp."'


def look(place: Literal["sea", "hill"]) -> str:
    """Look at a place."""
    return f"The {place} is calm."


def wait(hours: int) -> str:
    """Let hours pass."""
    return f"{hours} hours later."


CALL = '<tool_call>\n{"name": "look", "arguments": {"place": "sea"}}\n</tool_call>'
LOOK: dict[str, Any] = {"tools": [look], "tool_choice": "look"}
LOOKED = [
    HumanMessage(ASK),
    AIMessage("", tool_calls=[{"name": "look", "args": {"place": "sea"}, "id": "c1"}]),
    ToolMessage("The sea is calm.", tool_call_id="c1"),
]


class _ByteServer(BaseHTTPRequestHandler):
    """Answers as a vLLM server does; its tokens are the bytes of the text."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked["messages"][-1]["content"] == SLOWLY:
            self._drip()
            return
        if asked["max_tokens"] > WINDOW:
            said = f"This model's maximum context length is {WINDOW} tokens."
            self._send(400, {"error": {"message": said, "code": 400, "type": "BadRequestError"}})
            return
        text = '{"colour": "green"}' if "response_format" in asked else STORY
        if asked.get("tool_choice", "none") not in ("none", "auto"):
            text = CALL
        ids = list(text.encode())[: asked["max_tokens"]]
        message: dict[str, Any] = {"role": "assistant", "content": bytes(ids).decode()}
        if message["content"] == CALL:  # as vLLM, which leaves a call that broke off in the text
            called = {"name": "look", "arguments": '{"place": "sea"}'}
            calls = [{"id": "chatcmpl-tool-1", "type": "function", "function": called}]
            message |= {"content": None, "tool_calls": calls}
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": "stop" if len(ids) == len(text) else "length",
            "token_ids": ids,
            "logprobs": {"content": [_byte(byte, asked.get("top_logprobs", 0)) for byte in ids]},
        }
        read = list(json.dumps(asked["messages"]).encode())
        usage = {
            "prompt_tokens": len(read),
            "completion_tokens": len(ids),
            "total_tokens": len(read) + len(ids),
        }
        self._send(200, {"choices": [choice], "usage": usage, "prompt_token_ids": read})

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "9999")
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):
            for _ in range(1000):
                self.wfile.write(b" ")  # so that it is never silent
                time.sleep(0.01)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _byte(byte: int, wanted: int) -> dict[str, Any]:
    said = {"token": chr(byte), "logprob": -0.5}
    likely = [said, {"token": "~", "logprob": -1.0}, {"token": "^", "logprob": -9999.0}]
    return {**said, "top_logprobs": likely[:wanted]}


class _Unhurried(ScriptedChat):
    async def _complete(self, request: ChatRequest) -> Completion:
        if request.messages[-1].content == SLOWLY:
            await asyncio.sleep(10)
        return await super()._complete(request)


@pytest.fixture(scope="session")
def scripted_chat() -> ScriptedChat:
    def answer(request: ChatRequest) -> str:
        if request.forced:
            return CALL
        return STORY if request.json_schema is None else '{"colour": "green"}'

    return _Unhurried(reply=answer, max_concurrency=4)


@pytest.fixture(scope="session")
def openai_chat() -> Iterator[OpenAIChat]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _ByteServer) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        chat = OpenAIChat(
            model="bytes",
            base_url=f"http://127.0.0.1:{server.server_port}/v1",
            api_key="sk-loopback",
            token_ids=True,
            max_concurrency=4,
            context_tokens=WINDOW,
        )
        yield chat
        asyncio.run(chat.aclose())
        server.shutdown()


ASK_AS_JSON = "Name a colour as JSON."
BRIEF = [SystemMessage("Be brief."), HumanMessage(ASK)]
TALK = [HumanMessage(ASK), AIMessage("Aye."), HumanMessage("Go on.")]

RECORDED: list[tuple[Any, dict[str, Any]]] = [
    *((ASK, {"max_tokens": most}) for most in (3, 4, 8, 24, 1900)),
    (ASK, {"max_tokens": 12, "temperature": 1.0, "seed": 3, "top_logprobs": 3}),
    (ASK, {"max_tokens": 12, "temperature": 1.0, "seed": 7}),
    (ASK, {"max_tokens": 8, "temperature": 0.0}),
    (ASK_AS_JSON, {"json_schema": Colour.model_json_schema()}),
    (ASK_AS_JSON, {"json_schema": Colour.model_json_schema(), "max_tokens": 3}),
    (BRIEF, {"max_tokens": 4}),
    (TALK, {"max_tokens": 4}),
    *((ASK, {**LOOK, "max_tokens": most}) for most in (14, 90)),
    (ASK, {"tools": [look, wait], "tool_choice": "required", "max_tokens": 90}),
    (ASK, {"tools": [look], "tool_choice": "none", "max_tokens": 8}),
    (LOOKED, {"tools": [look], "max_tokens": 4}),
    ([*LOOKED[:2], ToolMessage("A storm.", tool_call_id="c1")], {"tools": [look], "max_tokens": 4}),
]
"""Every call of the suite, for a cassette to hold."""


@pytest.fixture(scope="session")
def recording(scripted_chat: ScriptedChat, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite's calls on a cassette, each as often as a test may make it."""
    path = tmp_path_factory.mktemp("cassette") / "suite.jsonl"

    async def record() -> None:
        with CassetteRecorder(path) as recorder:
            recorder.listen(scripted_chat)
            for asked, options in RECORDED * 10:
                await scripted_chat.ainvoke(asked, **options)
            await in_a_graph(scripted_chat)
            for _ in range(2):
                await in_a_graph(scripted_chat, most=90, **LOOK)

    asyncio.run(record())
    return path


@pytest.fixture
def cassette_chat(recording: Path) -> CassetteChat:
    """A recording counts the calls that it plays back, so each test has its own."""
    return CassetteChat(path=recording)


async def in_a_graph(
    chat: ChatBackend,
    *heard_by: BaseCallbackHandler,
    saver: Any = None,
    most: int = 4,
    **options: Any,
) -> Any:
    """Ask within a node of a graph; gives the graph."""

    async def ask(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [await chat.ainvoke(state["messages"], max_tokens=most, **options)]}

    graph = StateGraph(MessagesState).add_node("ask", ask).add_edge("__start__", "ask")
    compiled = graph.compile(checkpointer=saver)
    thread: Any = {"configurable": {"thread_id": "t"}, "callbacks": list(heard_by)}
    await compiled.ainvoke({"messages": [HumanMessage(ASK)]}, thread)
    return compiled


@pytest.fixture(scope="session")
def plain_openai_chat() -> OpenAIChat:
    # nothing listens at port 9: what is refused here is refused before the call
    return OpenAIChat(model="m", base_url="http://127.0.0.1:9/v1", api_key="sk-loopback")


REAL = [
    pytest.param(f"{name.replace('-', '_')}_chat", marks=pytest.mark.model, id=name)
    for name in ("transformers", "vllm", "vllm-server")
]
STANDING_IN = [pytest.param(f"{name}_chat", id=name) for name in ("scripted", "cassette", "openai")]
WINDOWED = [STANDING_IN[-1], *REAL]


def named(request: pytest.FixtureRequest) -> ChatBackend:
    chat: ChatBackend = request.getfixturevalue(request.param)
    return chat


backend = pytest.fixture(named, params=[*STANDING_IN, *REAL], name="backend")
windowed = pytest.fixture(named, params=WINDOWED, name="windowed")
real_model = pytest.fixture(named, params=REAL, name="real_model")
# a recording gives its replies at once
timed = pytest.fixture(named, params=[STANDING_IN[0], *WINDOWED], name="timed")
swapping = pytest.fixture(named, params=REAL, name="swapping")
without_swaps = pytest.fixture(named, params=STANDING_IN, name="without_swaps")


async def test_a_reply_comes_with_usage_and_a_finish_reason(backend: ChatBackend) -> None:
    reply = await backend.ainvoke(ASK, max_tokens=24)
    usage = reply.usage_metadata
    assert reply.content
    assert usage is not None
    assert usage["input_tokens"] > 0
    assert 0 < usage["output_tokens"] <= 24
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert reply.response_metadata["finish_reason"] in ("stop", "length")


def test_synchronous_calls_answer_too(backend: ChatBackend) -> None:
    assert backend.invoke(ASK, max_tokens=8).content


def test_a_backend_outlives_the_loop_that_first_used_it(backend: ChatBackend) -> None:
    replies = [asyncio.run(backend.ainvoke(ASK, max_tokens=8)) for _ in range(2)]
    assert all(reply.content for reply in replies)


async def test_a_synchronous_call_works_inside_a_running_loop(backend: ChatBackend) -> None:
    assert backend.invoke(ASK, max_tokens=8).content


async def test_a_schema_bound_reply_parses_into_its_model(backend: ChatBackend) -> None:
    reply = await backend.with_structured_output(Colour).ainvoke(ASK_AS_JSON)
    assert isinstance(reply, Colour)


async def test_structured_output_keeps_the_trace_of_the_raw_message(backend: ChatBackend) -> None:
    bound = backend.with_structured_output(Colour, include_raw=True)
    answer = await bound.ainvoke(ASK_AS_JSON)
    assert isinstance(answer["parsed"], Colour)
    assert answer["parsing_error"] is None
    assert trace_of(answer["raw"]) is not None


async def test_a_reply_cut_short_is_kept_as_a_parsing_error(backend: ChatBackend) -> None:
    bound = backend.with_structured_output(Colour, include_raw=True)
    answer = await bound.ainvoke(ASK_AS_JSON, max_tokens=3)
    assert answer["parsed"] is None
    assert answer["parsing_error"] is not None
    assert answer["raw"].response_metadata["finish_reason"] == "length"


async def test_the_trace_agrees_with_the_usage(backend: ChatBackend) -> None:
    reply = await backend.ainvoke(ASK, max_tokens=24)
    trace, usage = trace_of(reply), reply.usage_metadata
    assert trace is not None
    assert usage is not None
    assert len(trace.prompt_ids) == usage["input_tokens"]
    assert len(trace.completion_ids) == usage["output_tokens"]
    assert trace.logprobs is not None
    assert all(logprob <= 0 for logprob in trace.logprobs)
    assert trace.finish_reason == reply.response_metadata["finish_reason"]


async def test_alternatives_are_given_for_each_token_of_the_reply(backend: ChatBackend) -> None:
    reply = await backend.ainvoke(ASK, max_tokens=12, temperature=1.0, seed=3, top_logprobs=3)
    trace, positions = trace_of(reply), alternatives_of(reply)
    assert backend.capabilities.top_logprobs
    assert trace is not None
    assert trace.logprobs is not None
    assert positions is not None
    assert len(positions) == len(trace.completion_ids)
    assert "".join(each.text for each in positions).startswith(str(reply.content))
    for each, logprob in zip(positions, trace.logprobs, strict=True):
        logprobs = [alternative.logprob for alternative in each.alternatives]
        assert logprobs == sorted(logprobs, reverse=True)
        assert (each.text, logprob) in [(one.text, one.logprob) for one in each.alternatives]
        assert 1 <= len(logprobs) <= 4  # the three asked for, and the sampled one beside them
        assert sum(math.exp(one) for one in logprobs) < 1.05  # -0.5 and -1.0: 0.607 + 0.368
    json.dumps(reply.response_metadata["alternatives"], allow_nan=False)


async def test_a_call_that_asks_for_no_alternatives_gets_none(backend: ChatBackend) -> None:
    assert alternatives_of(await backend.ainvoke(ASK, max_tokens=4)) is None


async def test_alternatives_are_refused_before_the_call_where_they_cannot_be_given(
    plain_openai_chat: OpenAIChat,
) -> None:
    assert not plain_openai_chat.capabilities.top_logprobs
    with pytest.raises(ConfigError, match=r"top_logprobs.*OpenAIChat reports no alternatives"):
        await plain_openai_chat.ainvoke(ASK, top_logprobs=3)


async def test_the_alternatives_to_a_score_are_the_models_distribution_over_the_scores(
    real_model: ChatBackend,
) -> None:
    # together, so that a greedy row shares its batch with sampled ones
    replies = await asyncio.gather(
        *(
            real_model.ainvoke(RATE, json_schema=SCORE, temperature=each, seed=3, top_logprobs=20)
            for each in (0.0, 1.0, 0.5)
        )
    )
    greedy, sampled, sharper = [_over_scores(reply) for reply in replies]
    for probabilities in (greedy, sampled, sharper):
        assert sorted(probabilities) == list("0123456789")
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-3)
    # temperature 0 reports the distribution at temperature 1, in which the best score had 0.29 to
    # 0.45, and no single point, in which it would have 1
    assert max(greedy.values()) < 0.9
    assert json.loads(str(replies[0].content))["score"] == int(max(greedy, key=greedy.__getitem__))
    assert max(sharper.values()) > max(sampled.values())


def _over_scores(reply: BaseMessage) -> dict[str, float]:
    positions = alternatives_of(reply)
    assert positions is not None
    (place,) = [each for each in positions if each.text.isdecimal()]
    return {each.text: math.exp(each.logprob) for each in place.alternatives}


async def test_a_trace_says_whether_its_distribution_was_bent(real_model: ChatBackend) -> None:
    options: dict[str, Any] = {"max_tokens": 4, "temperature": 1.0, "seed": 3}
    plain, bent, lowered = await asyncio.gather(
        real_model.ainvoke(ASK, **options),
        real_model.ainvoke(ASK, **options, min_p=0.1),
        real_model.ainvoke(ASK, **options, repetition_penalty=1.1),
    )
    traces = [trace_of(each) for each in (plain, bent, lowered)]
    assert [trace and trace.is_bent for trace in traces] == [False, True, True]


async def test_the_log_probs_are_those_of_the_distribution_that_min_p_leaves(
    real_model: ChatBackend,
) -> None:
    whole = await real_model.ainvoke(ASK, max_tokens=12, temperature=0.0)
    # of a token as likely as the likeliest there is one, which is certain then
    best = await real_model.ainvoke(ASK, max_tokens=12, temperature=1.0, seed=3, min_p=1.0)
    assert best.content == whole.content
    trace = trace_of(best)
    assert trace is not None
    assert trace.logprobs == pytest.approx([0.0] * len(trace.completion_ids), abs=1e-3)


async def test_a_repetition_penalty_makes_what_was_read_less_likely(
    real_model: ChatBackend,
) -> None:
    ask = "Say blue blue blue blue blue and nothing else."
    options: dict[str, Any] = {
        "max_tokens": 8, "temperature": 1.0, "seed": 3, "top_logprobs": 20,
    }  # fmt: skip
    plain, bent = await asyncio.gather(
        real_model.ainvoke(ask, **options),
        real_model.ainvoke(ask, **options, repetition_penalty=1.5),
    )

    def blue(reply: BaseMessage) -> float:
        positions = alternatives_of(reply)
        assert positions is not None
        first = positions[0].alternatives
        return sum(math.exp(one.logprob) for one in first if "blue" in one.text.lower())

    assert blue(plain) > 0
    assert blue(bent) < blue(plain) / 2


async def test_what_bends_the_sampling_is_refused_where_only_temperature_and_top_p_are_taken(
    plain_openai_chat: OpenAIChat,
) -> None:
    assert not plain_openai_chat.capabilities.min_p
    with pytest.raises(ConfigError, match=r"'min_p': backend OpenAIChat samples by temperature"):
        await plain_openai_chat.ainvoke(ASK, min_p=0.1)
    with pytest.raises(ConfigError, match=r"'repetition_penalty': backend OpenAIChat"):
        await plain_openai_chat.ainvoke(ASK, repetition_penalty=1.1)
    # what changes nothing is nothing to refuse
    assert await plain_openai_chat.ainvoke(ASK, min_p=0.0, repetition_penalty=1.0)


async def test_max_tokens_cuts_the_reply(backend: ChatBackend) -> None:
    reply = await backend.ainvoke(ASK, max_tokens=3)
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] == 3
    assert reply.response_metadata["finish_reason"] == "length"


async def test_an_unknown_call_option_is_refused(backend: ChatBackend) -> None:
    with pytest.raises(ConfigError, match="did you mean 'temperature'"):
        await backend.ainvoke(ASK, temprature=1.0)


async def test_no_more_calls_run_at_once_than_allowed(backend: ChatBackend) -> None:
    replies = await asyncio.gather(*(backend.ainvoke(ASK, max_tokens=4) for _ in range(9)))
    assert len(replies) == 9
    assert 1 <= backend.limiter.peak <= backend.max_concurrency == 4


async def test_the_same_seed_gives_the_same_reply(backend: ChatBackend) -> None:
    first, second = [
        await backend.ainvoke(ASK, temperature=1.0, seed=7, max_tokens=12) for _ in range(2)
    ]
    assert first.content == second.content


async def test_a_cancelled_call_leaves_the_backend_serving(backend: ChatBackend) -> None:
    call = asyncio.create_task(backend.ainvoke(ASK, max_tokens=1900))
    await asyncio.sleep(0.05)  # long enough that an engine has begun, in most runs
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert backend.limiter.in_flight == 0
    assert (await backend.ainvoke(ASK, max_tokens=4)).content


async def test_a_call_that_takes_longer_than_it_may_is_called_off(
    timed: ChatBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await timed.start()
    monkeypatch.setattr(timed, "timeout_s", 0.05)
    with pytest.raises(TimedOut, match=r"no whole reply within 0\.05 s \(timeout_s\)") as caught:
        await timed.ainvoke(SLOWLY, max_tokens=1900)
    assert_pickles(caught.value)
    assert timed.limiter.in_flight == 0
    monkeypatch.undo()
    assert (await timed.ainvoke(ASK, max_tokens=4)).content


async def test_a_request_beyond_the_window_is_a_context_overflow(windowed: ChatBackend) -> None:
    with pytest.raises(ContextOverflow, match=str(windowed.capabilities.context_tokens)) as caught:
        await windowed.ainvoke(ASK, max_tokens=100_000)
    assert_pickles(caught.value)


async def test_a_refusal_pickles(backend: ChatBackend) -> None:
    with pytest.raises(QuillError) as caught:
        await backend.ainvoke(ASK, temprature=1.0)
    assert_pickles(caught.value)


async def test_a_greedy_call_repeats_itself(backend: ChatBackend) -> None:
    replies = [await backend.ainvoke(ASK, temperature=0.0, max_tokens=8) for _ in range(2)]
    assert replies[0].content == replies[1].content


async def test_a_system_message_and_earlier_turns_are_read(backend: ChatBackend) -> None:
    prompts = [trace_of(await backend.ainvoke(asked, max_tokens=4)) for asked in (ASK, BRIEF, TALK)]
    assert len({trace.prompt_ids for trace in prompts if trace}) == 3


async def test_a_message_that_is_not_plain_text_is_refused(backend: ChatBackend) -> None:
    picture = HumanMessage([{"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}}])
    with pytest.raises(ConfigError, match="expected a plain-text system, human, AI or tool"):
        await backend.ainvoke([picture])


async def test_a_tool_that_must_be_called_is_called_by_its_schema(backend: ChatBackend) -> None:
    assert backend.capabilities.tools
    reply = await backend.bind_tools([look], tool_choice="look").ainvoke(ASK, max_tokens=90)
    (call,) = reply.tool_calls
    assert call["name"] == "look"
    assert call["args"] in ({"place": "sea"}, {"place": "hill"})
    assert call["id"]
    assert (reply.content, reply.invalid_tool_calls) == ("", [])
    trace, usage = trace_of(reply), reply.usage_metadata
    assert trace is not None
    assert usage is not None
    assert trace.logprobs is not None
    assert len(trace.logprobs) == len(trace.completion_ids) == usage["output_tokens"] > 2


async def test_one_of_several_tools_is_called_where_one_must_be(backend: ChatBackend) -> None:
    bound = backend.bind_tools([look, wait], tool_choice="required")
    reply = await bound.ainvoke(ASK, max_tokens=90)
    (call,) = reply.tool_calls
    assert (call["name"], [*call["args"]]) in (("look", ["place"]), ("wait", ["hours"]))


async def test_a_call_that_breaks_off_is_kept_as_an_invalid_one(backend: ChatBackend) -> None:
    reply = await backend.bind_tools([look], tool_choice="look").ainvoke(ASK, max_tokens=14)
    assert reply.tool_calls == []
    (call,) = reply.invalid_tool_calls
    assert call["error"]
    assert reply.response_metadata["finish_reason"] == "length"
    trace = trace_of(reply)
    assert trace is not None
    assert len(trace.completion_ids) == 14


async def test_a_tool_that_may_not_be_called_is_not(backend: ChatBackend) -> None:
    reply = await backend.bind_tools([look], tool_choice="none").ainvoke(ASK, max_tokens=8)
    assert reply.content
    assert (reply.tool_calls, reply.invalid_tool_calls) == ([], [])


async def test_tools_their_calls_and_results_are_read(backend: ChatBackend) -> None:
    bound = backend.bind_tools([look])
    storm = [*LOOKED[:2], ToolMessage("A storm.", tool_call_id="c1")]
    replies = [await bound.ainvoke(asked, max_tokens=4) for asked in (LOOKED, storm)]
    replies.append(await backend.ainvoke(ASK, max_tokens=4))
    calm, stormy, bare = [trace.prompt_ids for each in replies if (trace := trace_of(each))]
    assert calm != stormy
    assert len(calm) > len(stormy) > len(bare) + 20  # "The sea is calm." is longer than "A storm."


async def test_a_call_of_a_tool_is_recorded_and_survives_a_checkpoint(
    backend: ChatBackend, tmp_path: Path
) -> None:
    records: list[CallRecord] = []
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        with Recorder(None, "r", records.append) as recorder:
            graph = await in_a_graph(backend, recorder, saver=saver, most=90, **LOOK)
        kept = await graph.aget_state({"configurable": {"thread_id": "t"}})
    message = kept.values["messages"][-1]
    assert [each["name"] for each in message.tool_calls] == ["look"]
    assert trace_of(message) == records[0].trace is not None
    (call,) = records[0].tool_calls
    assert json.loads(call["function"]["arguments"]) == message.tool_calls[0]["args"]
    assert trainable(records) == (records[0],)


async def test_what_is_no_tool_and_a_choice_that_is_none_are_refused(backend: ChatBackend) -> None:
    with pytest.raises(ConfigError, match="expected as a tool"):
        backend.bind_tools([3])
    with pytest.raises(ConfigError, match="did you mean 'look'"):
        backend.bind_tools([look], tool_choice="lok")


async def test_tools_and_a_schema_at_once_are_refused(backend: ChatBackend) -> None:
    with pytest.raises(ConfigError, match="expected tools or a JSON schema, got both"):
        await backend.bind_tools([look]).ainvoke(ASK, json_schema=SCORE)


@pytest.mark.parametrize(
    "option",
    [
        {"max_tokens": 0},
        {"temperature": -1.0},
        {"top_p": 2.0},
        {"min_p": -0.1},
        {"repetition_penalty": 0.0},
    ],
)
async def test_a_value_out_of_range_is_refused_with_its_name(
    backend: ChatBackend, option: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        await backend.ainvoke(ASK, **option)


async def test_a_refused_call_gives_its_place_back(backend: ChatBackend) -> None:
    calls = (backend.ainvoke(ASK, temprature=1.0) for _ in range(6))
    assert all(
        isinstance(each, ConfigError)
        for each in await asyncio.gather(*calls, return_exceptions=True)
    )
    assert backend.limiter.in_flight == 0
    assert (await backend.ainvoke(ASK, max_tokens=4)).content


async def test_the_hash_of_a_request_tells_it_from_others(backend: ChatBackend) -> None:
    replies = [await backend.ainvoke(ASK, max_tokens=most) for most in (3, 3, 4)]
    first, again, other = [each.response_metadata["request_sha256"] for each in replies]
    assert first == again != other


async def test_what_is_left_on_a_message_can_be_written_as_json(backend: ChatBackend) -> None:
    reply = await backend.ainvoke(ASK, max_tokens=4)
    held = json.loads(json.dumps(reply.response_metadata, allow_nan=False))
    assert trace_of(AIMessage("", response_metadata=held)) == trace_of(reply)


async def test_a_batch_keeps_its_order(backend: ChatBackend) -> None:
    replies = await backend.abatch([ASK, BRIEF], max_tokens=4)
    prompts = [trace_of(each) for each in replies]
    alone = [trace_of(await backend.ainvoke(asked, max_tokens=4)) for asked in (ASK, BRIEF)]
    assert [each and each.prompt_ids for each in prompts] == [
        each and each.prompt_ids for each in alone
    ]


async def test_a_stream_gives_the_whole_reply_with_its_trace(backend: ChatBackend) -> None:
    parts = [part async for part in backend.astream(ASK, temperature=0.0, max_tokens=8)]
    whole = await backend.ainvoke(ASK, temperature=0.0, max_tokens=8)
    assert "".join(str(part.content) for part in parts) == whole.content
    assert trace_of(parts[0]) is not None


async def test_a_call_in_a_graph_is_recorded_with_its_place_and_exact_tokens(
    backend: ChatBackend,
) -> None:
    records: list[CallRecord] = []
    with Recorder(None, "r", records.append) as recorder:
        await in_a_graph(backend, recorder)
    (record,) = records
    assert (record.run, record.graph, record.node, record.visit, record.call) == (
        "r", "ask", "ask", 0, 0
    )  # fmt: skip
    assert record.trace is not None
    assert record.trace.weights_version == "base"
    assert trainable(records) == (record,)


async def test_a_trace_survives_a_checkpoint(backend: ChatBackend, tmp_path: Path) -> None:
    records: list[CallRecord] = []
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        with Recorder(None, "r", records.append) as recorder:
            graph = await in_a_graph(backend, recorder, saver=saver)
        kept = await graph.aget_state({"configurable": {"thread_id": "t"}})
    trace = trace_of(kept.values["messages"][-1])
    assert trace is not None
    assert trace == records[0].trace


async def test_a_budget_stops_the_next_call(backend: ChatBackend) -> None:
    config: Any = {"callbacks": [Budget(max_calls=1)]}
    await backend.ainvoke(ASK, config, max_tokens=4)
    with pytest.raises(BudgetReached, match="budget of 1 calls"):
        await backend.ainvoke(ASK, config, max_tokens=4)


async def test_a_schema_that_is_no_model_class_is_refused(backend: ChatBackend) -> None:
    with pytest.raises(ConfigError, match="expected a pydantic model class"):
        backend.with_structured_output(SCORE)


async def test_the_tokens_of_the_trace_are_those_of_the_text(
    real_model: ChatBackend, smollm2_folder: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2_folder)
    reply = await real_model.ainvoke(TALK, max_tokens=24, seed=2)
    trace = trace_of(reply)
    assert trace is not None
    said = tokenizer.decode(trace.completion_ids, skip_special_tokens=True)
    assert said.rstrip("\ufffd") == str(reply.content).rstrip("\ufffd")
    read = tokenizer.decode(trace.prompt_ids)
    assert read.count("<|im_start|>") == 5  # the template's own system turn, three of ours, its own
    assert read.endswith("Go on.<|im_end|>\n<|im_start|>assistant\n")


async def test_the_tokens_of_a_call_are_those_that_the_model_wrote(
    real_model: ChatBackend, tool_folder: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tool_folder)
    bound = real_model.bind_tools([look], tool_choice="look")
    reply = await bound.ainvoke(LOOKED, max_tokens=90, seed=2)
    trace = trace_of(reply)
    assert trace is not None
    args = json.dumps(reply.tool_calls[0]["args"])
    written = CALL.replace('{"place": "sea"}', args)
    assert tokenizer.decode(trace.completion_ids, skip_special_tokens=True) == written
    read = tokenizer.decode(trace.prompt_ids)
    assert '"name": "look"' in read.rpartition("</tools>")[0]
    assert read.endswith(
        f"<|im_start|>assistant\n{CALL}<|im_end|>\n<|im_start|>user\n<tool_response>\n"
        "The sea is calm.\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


async def test_a_stop_string_ends_the_reply_and_is_left_out(real_model: ChatBackend) -> None:
    whole = await real_model.ainvoke(ASK, temperature=0.0, max_tokens=24)
    word = str(whole.content).split()[2]
    cut = await real_model.ainvoke(ASK, temperature=0.0, max_tokens=24, stop=[word])
    assert cut.content == str(whole.content).partition(word)[0]
    assert cut.response_metadata["finish_reason"] == "stop"


async def test_an_adapter_is_swapped_and_named_in_the_trace(
    swapping: ChatBackend, adapters: tuple[Path, Path]
) -> None:
    traces = []
    for path, version in (
        (None, "base"),
        (adapters[0], "one"),
        (adapters[1], "two"),
        (None, "base"),
    ):
        await swapping.load_adapter(path, version)
        traces.append(trace_of(await swapping.ainvoke(ASK, temperature=0.0, max_tokens=12)))
    assert [each.weights_version for each in traces if each] == ["base", "one", "two", "base"]
    bare, one, two, last = [each.completion_ids for each in traces if each]
    assert bare == last
    assert len({bare, one, two}) == 3


async def test_an_adapter_is_refused_and_not_left_out(
    without_swaps: ChatBackend, tmp_path: Path
) -> None:
    assert not without_swaps.capabilities.adapters
    with pytest.raises(ConfigError, match="swaps no adapters"):
        await without_swaps.load_adapter(tmp_path, "one")


def assert_pickles(error: QuillError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))
