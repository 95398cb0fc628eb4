"""What every native backend keeps to, one suite for all of them."""

import asyncio
import json
import math
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import pytest
from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict

from quillgraph.backends.chat import ChatBackend, ChatRequest
from quillgraph.backends.errors import ConfigError, ContextOverflow, QuillError
from quillgraph.backends.openai_chat import OpenAIChat
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.backends.traces import alternatives_of, trace_of

STORY = "The sea took the harbour lamp on a night without wind, and kept it burning."
ASK = "Write a long story about the sea."
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
            "logprobs": {"content": [_byte(byte, asked.get("top_logprobs", 0)) for byte in ids]},
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


def _byte(byte: int, wanted: int) -> dict[str, Any]:
    said = {"token": chr(byte), "logprob": -0.5}
    likely = [said, {"token": "~", "logprob": -1.0}, {"token": "^", "logprob": -9999.0}]
    return {**said, "top_logprobs": likely[:wanted]}


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


@pytest.fixture(scope="session")
def plain_openai_chat() -> OpenAIChat:
    # nothing listens at port 9: what is refused here is refused before the call
    return OpenAIChat(model="m", base_url="http://127.0.0.1:9/v1", api_key="sk-loopback")


WINDOWED = [
    "openai_chat",
    pytest.param("transformers_chat", marks=pytest.mark.model),
    pytest.param("vllm_chat", marks=pytest.mark.model),
]


@pytest.fixture(params=["scripted_chat", *WINDOWED])
def backend(request: pytest.FixtureRequest) -> ChatBackend:
    chat: ChatBackend = request.getfixturevalue(request.param)
    return chat


@pytest.fixture(params=["transformers_chat", "vllm_chat"])
def real_model(request: pytest.FixtureRequest) -> ChatBackend:
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


@pytest.mark.model
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
