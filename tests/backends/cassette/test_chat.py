"""A recording replays what was said, and only that."""

import asyncio
import hashlib
import json
import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from pydantic import PrivateAttr

from quillgraph.backends import (
    Budget,
    CassetteChat,
    CassetteEmbeddings,
    CassetteRecorder,
    ChatRequest,
    Completion,
    ScriptedChat,
    alternatives_of,
    connect,
    trace_of,
)
from quillgraph.backends.cassette.chat import Cassette
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import (
    BudgetReached,
    CassetteMiss,
    ConfigError,
    ContextOverflow,
    InputError,
    RateLimited,
    ReplyError,
)


class Counting(ScriptedChat):
    """Says how many calls it has answered; of `together` calls, the last asked comes first."""

    together: int = 1
    answered: int = 0
    _waiting: list[asyncio.Event] = PrivateAttr(default_factory=list)
    _due: list[asyncio.Event] = PrivateAttr(default_factory=list)

    async def _complete(self, request: ChatRequest) -> Completion:
        turn = asyncio.Event()
        self._waiting.append(turn)
        if len(self._waiting) == self.together:
            self._due, self._waiting = self._waiting, []
            self._due.pop().set()
        await turn.wait()
        self.answered += 1
        if self._due:
            self._due.pop().set()
        completion = await super()._complete(request)
        return completion.model_copy(update={"text": f"{completion.text} {self.answered}"})


def counting(**fields: Any) -> Counting:
    return Counting(reply=lambda _: "reply", **fields)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.jsonl"


def replay(file: Path, **options: Any) -> CassetteChat:
    return CassetteChat(path=file, **options)


async def test_a_reply_replays_with_all_that_came_with_it(file: Path) -> None:
    chat = ScriptedChat(reply=lambda _: "The lamp; 灯\u2028.", model="lamp", temperature=0.3)
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        reply = await chat.ainvoke("Light?", seed=3, top_logprobs=2)
    again = await replay(file).ainvoke("Light?", seed=3, top_logprobs=2)
    assert contents(again) == contents(reply)
    assert trace_of(again) == trace_of(reply) is not None
    assert alternatives_of(again) == alternatives_of(reply) is not None


def contents(message: BaseMessage) -> tuple[Any, ...]:
    """All of a message but its times and its id."""
    meta = {k: v for k, v in message.response_metadata.items() if k not in ("started", "latency_s")}
    assert isinstance(message, AIMessage)
    return message.content, meta, message.usage_metadata


def test_the_recorded_model_stands_as_it_stood(file: Path) -> None:
    chat = counting(model="m", temperature=0.2, top_p=0.9, max_tokens=7, max_concurrency=3)
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
    again = connect(f"cassette:{file}")
    assert again.capabilities == chat.capabilities
    assert again._identifying_params == chat._identifying_params
    assert again.max_concurrency == 3


def test_synchronous_calls_are_recorded_and_replay(file: Path) -> None:
    chat = counting()
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        assert chat.invoke("a").content == "reply 1"
    assert replay(file).invoke("a").content == "reply 1"


class _Replies(TypedDict, total=False):
    replies: Annotated[list[str], operator.add]


def fan_out(chat: Any, width: int, *, backwards: bool = False) -> list[str]:
    """Ask the same twice in each of `width` visits of one node at a time."""

    async def ask(state: Any) -> _Replies:
        if backwards:  # the last visit asks first
            for _ in range(50 * (width - state["visit"])):
                await asyncio.sleep(0)
        return {"replies": [str((await chat.ainvoke("the same")).content) for _ in range(2)]}

    graph: Any = StateGraph(_Replies)
    graph.add_node("ask", ask)
    graph.add_conditional_edges(START, lambda _: [Send("ask", {"visit": n}) for n in range(width)])
    replies: list[str] = asyncio.run(graph.compile().ainvoke({}))["replies"]
    return replies


def test_equal_unseeded_calls_of_a_fan_out_go_back_to_the_visits_that_asked_them(
    file: Path,
) -> None:
    chat = counting(together=6)
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        replies = fan_out(chat, 6)
    assert sorted(replies) == sorted(f"reply {number}" for number in range(1, 13))
    assert replies != sorted(replies)  # they did not answer in the order in which they were asked
    for backwards in (False, True):
        assert fan_out(replay(file), 6, backwards=backwards) == replies


async def test_equal_calls_outside_of_a_graph_are_told_apart_by_the_order_of_asking(
    file: Path,
) -> None:
    chat = counting(together=4)
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        replies = await asyncio.gather(*(chat.ainvoke("the same") for _ in range(4)))
    # the last to be asked was the first to answer
    assert [each.content for each in replies] == ["reply 4", "reply 3", "reply 2", "reply 1"]
    again = replay(file)
    repeated = await asyncio.gather(*(again.ainvoke("the same") for _ in range(4)))
    assert [each.content for each in repeated] == [each.content for each in replies]


async def recorded(file: Path, *prompts: str, **options: Any) -> None:
    chat = counting()
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        for each in prompts:
            await chat.ainvoke(each, **options)


async def test_a_miss_shows_the_nearest_recorded_request(file: Path) -> None:
    await recorded(file, "Name a bird.", "Write about\nthe sea\nin one line.", seed=3)
    with pytest.raises(CassetteMiss, match="holds no such call of no node; run with the") as caught:
        await replay(file).ainvoke("Write about\nthe lake\nin one line.", seed=4)
    lines = str(caught.value).splitlines()
    assert lines[1:3] == ["--- recorded: no node", "+++ asked: no node"]
    assert {"-seed: 3", "+seed: 4", "-the sea", "+the lake"} <= set(lines)
    assert "bird" not in str(caught.value)


async def test_asking_more_often_than_recorded_is_a_miss(file: Path) -> None:
    await recorded(file, "a", "a")
    chat = replay(file)
    assert [(await chat.ainvoke("a")).content for _ in range(2)] == ["reply 1", "reply 2"]
    with pytest.raises(CassetteMiss, match=r"holds this call of no node only 2 times, and now it"):
        await chat.ainvoke("a")


async def test_the_same_request_from_elsewhere_is_a_miss_that_says_so(file: Path) -> None:
    await recorded(file, "a")
    with pytest.raises(
        CassetteMiss, match=r"asked by no node, and now it came from no node, role j"
    ):
        await replay(file).ainvoke("a", {"metadata": {"role": "j"}})


async def test_a_recording_without_calls_says_that(file: Path) -> None:
    await recorded(file)
    with pytest.raises(CassetteMiss, match="nothing was recorded of this model"):
        await replay(file).ainvoke("a")


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("m answered 429 (tried 3 times)"),
        ContextOverflow("the prompt is too long"),
        ReplyError("a rule in s.yaml", "so be it"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_failure_replays_as_the_error_that_it_was(file: Path, error: Exception) -> None:
    def fail(request: ChatRequest) -> str:
        raise error

    chat = ScriptedChat(reply=fail)
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        with pytest.raises(type(error)):
            await chat.ainvoke("a")
    with pytest.raises(type(error)) as caught:
        await replay(file).ainvoke("a")
    assert caught.value.args == error.args


async def test_a_call_that_nobody_waited_for_has_no_reply(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quillgraph.backends.cassette.chat.GIVEN_UP_S", 0.05)
    chat = counting(together=2)
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chat.ainvoke("a"), 0.05)
    with pytest.raises(
        CassetteMiss,
        match=r"cancelled this call of no node.*did not cancel it within 0.05 s.*timeouts",
    ):
        await replay(file).ainvoke("a")


async def test_a_call_that_a_timeout_gave_up_is_given_up_by_it_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "quillgraph.backends.cassette.chat.SILENT_S", 0.05
    )  # shorter than the timeout

    async def node(chat: Any) -> str:
        try:
            async with asyncio.timeout(0.2):
                return str((await chat.ainvoke("a")).content)
        except TimeoutError:
            return "fallback"

    chat = counting(together=2)
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        assert await node(chat) == "fallback"
    assert await node(replay(file)) == "fallback"


async def test_a_call_that_time_stopped_replays_as_that(file: Path) -> None:
    chat = counting(together=2)
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        with pytest.raises(BudgetReached):
            await chat.ainvoke("a", {"callbacks": [Budget(max_seconds=0.05)]})
    with pytest.raises(BudgetReached, match=r"the 0.05 s of the run are over"):
        await replay(file).ainvoke("a")


def test_a_fan_out_that_failed_fails_again_in_the_same_way(file: Path) -> None:
    def fail(request: ChatRequest) -> str:
        raise RateLimited("m answered 429")

    class Failing(ScriptedChat):
        async def _complete(self, request: ChatRequest) -> Completion:
            if request.messages[-1].content != "0":
                await asyncio.Event().wait()
            return await super()._complete(request)

    chat = Failing(reply=fail)
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        with pytest.raises(RateLimited):
            numbered(chat)
    assert Cassette(file).calls[-1].outcome != Cassette(file).calls[0].outcome
    with pytest.raises(RateLimited, match="m answered 429"):
        numbered(replay(file))


def numbered(chat: Any) -> None:
    """Ask 2, 1 and 0 at the same time, in this order."""

    async def ask(state: Any) -> _Replies:
        return {"replies": [str((await chat.ainvoke(str(state["number"]))).content)]}

    graph: Any = StateGraph(_Replies)
    graph.add_node("ask", ask)
    numbers = [2, 1, 0]
    graph.add_conditional_edges(START, lambda _: [Send("ask", {"number": n}) for n in numbers])
    asyncio.run(graph.compile().ainvoke({}))


def test_options_that_were_recorded_are_no_options_of_a_replay(file: Path) -> None:
    asyncio.run(recorded(file, "a"))
    with pytest.raises(ConfigError, match=r"option 'temperature': a cassette keeps what was rec"):
        connect(f"cassette:{file}?temperature=0.5")


async def test_models_of_one_run_keep_their_parts(file: Path) -> None:
    common, judge = counting(model="big"), counting(model="small", items_per_call=1)
    with CassetteRecorder(file) as recorder:
        recorder.listen(common)
        recorder.listen(judge, ["judge", "validator"])
        for chat in (common, common, judge):
            await chat.ainvoke("the same")
    cassette = Cassette(file)
    assert cassette.roles == ("judge", "validator")
    big, small = replay(file), connect(f"cassette:{file}?role=validator")
    assert (big.model, small.model) == ("big", "small")
    assert small.capabilities.items_per_call == 1
    assert (await small.ainvoke("the same")).content == "reply 1"
    assert [(await big.ainvoke("the same")).content for _ in range(2)] == ["reply 1", "reply 2"]
    with pytest.raises(ConfigError, match=r"a model for role 'coder' in .* holds: common, judge,"):
        connect(f"cassette:{file}?role=coder")


def test_embeddings_replay_bit_for_bit_and_nothing_else_is_known(file: Path) -> None:
    inner = LexicalEmbeddings()
    with CassetteRecorder(file) as recorder:
        embeddings = recorder.embeddings(inner)
        embeddings.embed_documents(["a lamp", "a bell", "a lamp"])
        embeddings.embed_query("a lamp")  # known already: not written again
        recorder.listen(counting())
    again = CassetteEmbeddings(Cassette(file))
    assert again.embed_documents(["a bell", "a lamp"]) == inner.embed_documents(
        ["a bell", "a lamp"]
    )
    assert file.read_text().count('"kind":"vectors"') == 1
    with pytest.raises(CassetteMiss, match="holds no embedding of 'a gull'"):
        again.embed_query("a gull")


def test_embeddings_that_need_all_their_digits_keep_them(file: Path) -> None:
    class Precise(LexicalEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[1 / 3, len(text) / 7] for text in texts]

    with CassetteRecorder(file) as recorder:
        recorder.listen(counting())
        recorder.embeddings(Precise()).embed_documents(["a", "bc"])
    assert CassetteEmbeddings(Cassette(file)).embed_query("bc") == [1 / 3, 2 / 7]


def test_an_unfinished_recording_replays_only_on_request(file: Path) -> None:
    asyncio.run(recorded(file, "a", "b"))
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:3]) + lines[3][:20])  # killed while it wrote the second call
    with pytest.raises(InputError, match=r"was not finished.*1 calls are whole"):
        connect(f"cassette:{file}")
    part = connect(f"cassette:{file}?partial=true")
    assert part.invoke("a").content == "reply 1"
    with pytest.raises(CassetteMiss):
        part.invoke("b")


def test_a_cassette_without_a_model_is_refused(file: Path) -> None:
    with CassetteRecorder(file):
        pass
    with pytest.raises(InputError, match="has no voice"):
        connect(f"cassette:{file}")


def look(place: str) -> str:
    """Look at a place."""
    return place


CALLED = 'So.<tool_call>{"name": "look", "arguments": {"place": "sea"}}</tool_call><tool_call>{br'


async def test_calls_of_tools_replay_with_their_ids_and_what_was_broken(file: Path) -> None:
    chat = ScriptedChat(reply=lambda _: CALLED)
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        calling = await chat.bind_tools([look]).ainvoke("hi")
        result = ToolMessage("calm", tool_call_id=calling.tool_calls[0]["id"])
        then = await chat.bind_tools([look]).ainvoke([HumanMessage("hi"), calling, result])
    bound = replay(file).bind_tools([look])
    again = await bound.ainvoke("hi")
    assert again.tool_calls == calling.tool_calls
    assert again.invalid_tool_calls == calling.invalid_tool_calls
    assert len(calling.tool_calls) == len(calling.invalid_tool_calls) == 1
    assert contents(again) == contents(calling)
    # the second request is found by its hash, which the ids of the first reply are part of
    assert contents(await bound.ainvoke([HumanMessage("hi"), again, result])) == contents(then)


async def test_a_miss_tells_which_calls_and_tools_differ(file: Path) -> None:
    chat = ScriptedChat(reply=lambda _: "so")
    called = AIMessage("", tool_calls=[{"name": "look", "args": {"place": "sea"}, "id": "c1"}])
    result = ToolMessage("calm", tool_call_id="c1")
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        await chat.bind_tools([look]).ainvoke([HumanMessage("hi"), called, result])
    other = AIMessage("", tool_calls=[{"name": "look", "args": {"place": "hill"}, "id": "c1"}])
    with pytest.raises(CassetteMiss) as caught:
        await replay(file).bind_tools([look]).ainvoke([HumanMessage("hi"), other, result])
    assert '-calls look: {"place": "sea"}' in str(caught.value)
    assert '+calls look: {"place": "hill"}' in str(caught.value)


def test_a_key_in_the_arguments_of_a_call_never_enters_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-never-to-be-shown")
    chat = ScriptedChat(reply=lambda _: CALLED.replace("sea", "sk-never-to-be-shown"))
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        chat.bind_tools([look]).invoke("hi")
    assert "sk-never" not in file.read_text(encoding="utf-8")
    assert '{\\"place\\": \\"***\\"}' in file.read_text(encoding="utf-8")


async def test_a_recording_that_knew_no_tools_replays_and_takes_none(file: Path) -> None:
    # as written by the version of 2026-11-24
    capabilities = {"json_schema": True, "token_ids": True, "logprobs": True, "top_logprobs": True}
    request = {
        "messages": [{"role": "user", "content": "hi"}], "json_schema": None, "temperature": 0.7,
        "top_p": 1.0, "max_tokens": 512, "seed": None, "stop": [], "top_logprobs": 0,
    }  # fmt: skip
    completion = {
        "text": "so", "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1,
        "cached_tokens": None, "trace": None, "alternatives": None,
    }  # fmt: skip
    lines: list[dict[str, Any]] = [
        {"kind": "cassette", "version": 1, "facts": {}},
        {"kind": "voice", "name": "common", "model": "m", "temperature": 0.7, "top_p": 1.0,
         "capabilities": {**capabilities, "adapters": False, "items_per_call": 8,
                          "context_tokens": None},
         "max_tokens": 512, "max_concurrency": 4},
        {"kind": "call", "voice": "common",
         "sha256": "b3b9d19e2fad659605831ea72a633f02411cdfdbd5205997d00f67897450e4c0",
         "place": {"role": None, "nodes": [], "branch": ""}, "index": 0, "request": request,
         "outcome": completion},
        {"kind": "end"},
    ]  # fmt: skip
    digest = ""
    with file.open("w", encoding="utf-8") as tape:
        for line in lines:
            rest = json.dumps(line, separators=(",", ":"))[1:]
            digest = hashlib.sha256(f"{digest}{rest}".encode()).hexdigest()
            tape.write(f'{{"digest":"{digest}",{rest}\n')
    model = replay(file)
    assert (await model.ainvoke("hi")).content == "so"
    with pytest.raises(ConfigError, match="CassetteChat calls no tools"):
        model.bind_tools([look])
