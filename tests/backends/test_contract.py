"""What every native backend keeps to, one suite for all of them."""

import asyncio
import json
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from quillgraph.backends.chat import ChatBackend, ChatRequest
from quillgraph.backends.errors import ConfigError, ContextOverflow, QuillError
from quillgraph.backends.openai_chat import OpenAIChat
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.backends.traces import trace_of

STORY = "The sea took the harbour lamp on a night without wind, and kept it burning."
ASK = "Write a long story about the sea."
WINDOW = 2048


class Colour(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: Literal["green", "red"]


class _ByteServer(BaseHTTPRequestHandler):
    """Answers as a vLLM server does; its tokens are the bytes of the text."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked["max_tokens"] > WINDOW:
            said = f"This model's maximum context length is {WINDOW} tokens."
            self._send(400, {"error": {"message": said, "code": 400, "type": "BadRequestError"}})
            return
        text = '{"colour": "green"}' if "response_format" in asked else STORY
        ids = list(text.encode())[: asked["max_tokens"]]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": bytes(ids).decode()},
            "finish_reason": "stop" if len(ids) == len(text) else "length",
            "token_ids": ids,
            "logprobs": {"content": [{"token": chr(byte), "logprob": -0.5} for byte in ids]},
        }
        usage = {"prompt_tokens": 2, "completion_tokens": len(ids), "total_tokens": 2 + len(ids)}
        self._send(200, {"choices": [choice], "usage": usage, "prompt_token_ids": [1, 2]})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="session")
def scripted_chat() -> ScriptedChat:
    def answer(request: ChatRequest) -> str:
        return STORY if request.json_schema is None else '{"colour": "green"}'

    return ScriptedChat(reply=answer, max_concurrency=4)


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


WINDOWED = [
    "openai_chat",
    pytest.param("transformers_chat", marks=pytest.mark.model),
    pytest.param("vllm_chat", marks=pytest.mark.model),
]


@pytest.fixture(params=["scripted_chat", *WINDOWED])
def backend(request: pytest.FixtureRequest) -> ChatBackend:
    chat: ChatBackend = request.getfixturevalue(request.param)
    return chat


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
    reply = await backend.with_structured_output(Colour).ainvoke("Name a colour as JSON.")
    assert isinstance(reply, Colour)


async def test_structured_output_keeps_the_trace_of_the_raw_message(backend: ChatBackend) -> None:
    bound = backend.with_structured_output(Colour, include_raw=True)
    answer = await bound.ainvoke("Name a colour as JSON.")
    assert isinstance(answer["parsed"], Colour)
    assert answer["parsing_error"] is None
    assert trace_of(answer["raw"]) is not None


async def test_a_reply_cut_short_is_kept_as_a_parsing_error(backend: ChatBackend) -> None:
    bound = backend.with_structured_output(Colour, include_raw=True)
    answer = await bound.ainvoke("Name a colour as JSON.", max_tokens=3)
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


@pytest.mark.parametrize("name", WINDOWED)
async def test_a_request_beyond_the_window_is_a_context_overflow(
    name: str, request: pytest.FixtureRequest
) -> None:
    windowed: ChatBackend = request.getfixturevalue(name)
    with pytest.raises(ContextOverflow, match=str(windowed.capabilities.context_tokens)) as caught:
        await windowed.ainvoke(ASK, max_tokens=100_000)
    assert_pickles(caught.value)


async def test_a_refusal_pickles(backend: ChatBackend) -> None:
    with pytest.raises(QuillError) as caught:
        await backend.ainvoke(ASK, temprature=1.0)
    assert_pickles(caught.value)


def assert_pickles(error: QuillError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))
