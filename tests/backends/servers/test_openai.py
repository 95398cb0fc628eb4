"""The OpenAI-compatible backend against real HTTP on loopback, one injected fault per test."""

import asyncio
import json
import logging
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel, ConfigDict, SecretStr

from quillgraph.backends.calls.record import Recorder, read_records
from quillgraph.backends.errors import (
    BackendError,
    ConfigError,
    ContextOverflow,
    RateLimited,
    Refused,
    ServerFailed,
    Unreachable,
)
from quillgraph.backends.messages.trace import alternatives_of, trace_of
from quillgraph.backends.servers.openai import OpenAIChat

KEY = "sk-never-to-be-shown"


class Colour(BaseModel):
    """A schema in the form that strict mode asks for."""

    model_config = ConfigDict(extra="forbid")

    colour: str


Answer = Callable[["Exchange"], None]


class Exchange(BaseHTTPRequestHandler):
    """One request, and the means to answer it well or badly."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append(json.loads(body))
        self.server.keys.append(self.headers["authorization"])
        self.server.answers[min(len(self.server.bodies), len(self.server.answers)) - 1](self)

    def do_GET(self) -> None:
        names = self.server.models
        listed = {"object": "list", "data": [{"id": name} for name in names]}
        self.send(200 if names else 404, json.dumps(listed))

    def send(self, status: int, text: str, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text.encode())))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Gives its n-th answer to the n-th request, and the last one to all later ones."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.answers: list[Answer] = [reply("green")]
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.models: list[str] = []
        self.released = threading.Event()
        self.hung_up = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


def reply(content: str | None, **choice: Any) -> Answer:
    message = {"role": "assistant", "content": content}
    body = {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    return lambda exchange: exchange.send(200, json.dumps(body))


def raw(text: str, kind: str = "application/json") -> Answer:
    return lambda exchange: exchange.send(200, text, kind)


def failure(status: int, message: str, **error: Any) -> Answer:
    body = json.dumps({"error": {"message": message, **error}})
    # the SDK waits as long as it is told to: 1 ms, so that retries take no time
    return lambda exchange: exchange.send(status, body, retry_after_ms="1")


def silence(exchange: Exchange) -> None:
    exchange.server.released.wait(20)
    exchange.close_connection = True


def cut_short(exchange: Exchange) -> None:
    exchange.send_response(200)
    exchange.send_header("content-type", "application/json")
    exchange.send_header("content-length", "1000")
    exchange.end_headers()
    exchange.wfile.write(b'{"choices": [')
    exchange.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as started:
        thread = threading.Thread(target=started.serve_forever, args=(0.01,))
        thread.start()
        yield started
        started.released.set()
        started.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_key_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def chat(server: Server, **fields: Any) -> OpenAIChat:
    return OpenAIChat(**{"model": "m", "base_url": server.url, "max_retries": 0, **fields})


async def ask(model: OpenAIChat, text: str = "hi", **options: Any) -> AIMessage:
    try:
        return await model.ainvoke(text, **options)
    finally:
        await model.aclose()


async def error_of(model: OpenAIChat) -> BackendError:
    with pytest.raises(BackendError) as raised:
        await ask(model)
    assert type(pickle.loads(pickle.dumps(raised.value))) is type(raised.value)
    return raised.value


async def test_a_reply_carries_text_usage_and_finish_reason(server: Server) -> None:
    message = await ask(chat(server))
    assert message.content == "green"
    assert message.usage_metadata == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    assert message.response_metadata["finish_reason"] == "stop"
    assert trace_of(message) is None


async def test_what_a_server_had_in_its_cache_is_told(server: Server) -> None:
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
    }
    choice = {"message": {"content": "green"}, "finish_reason": "stop"}
    server.answers = [raw(json.dumps({"choices": [choice], "usage": usage}))]
    message = await ask(chat(server))
    assert isinstance(message, AIMessage)
    assert message.usage_metadata
    assert message.usage_metadata["input_token_details"] == {"cache_read": 1}


async def test_the_body_holds_what_was_asked_and_no_more(server: Server) -> None:
    model = chat(server, temperature=0.5, max_tokens=7)
    try:
        await model.ainvoke([SystemMessage("be brief"), HumanMessage("hi")])
        await model.ainvoke("hi", seed=4, temperature=0.0, stop=["."])
    finally:
        await model.aclose()
    system, hi = {"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}
    plain = {"model": "m", "max_tokens": 7, "top_p": 1.0}
    assert server.bodies == [
        {**plain, "messages": [system, hi], "temperature": 0.5},
        {**plain, "messages": [hi], "temperature": 0.0, "seed": 4, "stop": ["."]},
    ]


async def test_a_model_with_its_own_sampling_is_sent_none_and_records_none(server: Server) -> None:
    model = chat(server, own_sampling=True)
    await ask(model)
    assert {"temperature", "top_p"}.isdisjoint(server.bodies[0])
    assert {"temperature", "top_p"}.isdisjoint(model._identifying_params)


async def test_a_model_that_thinks_gets_room_to_think_on_top_of_the_reply(server: Server) -> None:
    model = chat(server, max_tokens=7, thinking_tokens=4000)
    try:
        await model.ainvoke("hi")
        await model.ainvoke("hi", max_tokens=20)
    finally:
        await model.aclose()
    assert [body["max_tokens"] for body in server.bodies] == [4007, 4020]


async def test_without_a_key_the_word_empty_is_sent(server: Server) -> None:
    await ask(chat(server))
    assert server.keys == ["Bearer EMPTY"]


async def test_the_key_comes_from_the_variable_that_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", f" {KEY}\n")
    await ask(chat(server, api_key_env="OTHER_KEY"))
    assert server.keys == [f"Bearer {KEY}"]


def test_openai_itself_is_refused_without_a_key_by_name_of_the_variable() -> None:
    with pytest.raises(ConfigError, match="OTHER_KEY"):
        OpenAIChat(model="m", api_key_env="OTHER_KEY")


def test_openai_itself_takes_max_completion_tokens() -> None:
    model = OpenAIChat(model="m", api_key=SecretStr(KEY))
    body = model._body(model.build_request([HumanMessage("hi")], max_tokens=9))
    assert body["max_completion_tokens"] == 9
    assert "max_tokens" not in body


def test_openai_itself_is_refused_where_token_ids_are_wanted() -> None:
    with pytest.raises(ConfigError, match="no token ids"):
        OpenAIChat(model="m", api_key=SecretStr(KEY), token_ids=True)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8000", "ftp://a/v1", "http://", "http://h:x/v1", "http://u:secret@h/v1"]
)
def test_what_is_no_address_is_refused_and_no_password_repeated(address: str) -> None:
    with pytest.raises(ConfigError) as raised:
        OpenAIChat(model="m", base_url=address)
    assert "secret" not in str(raised.value)


def test_a_key_that_no_header_takes_is_refused_unshown() -> None:
    with pytest.raises(ConfigError) as raised:
        OpenAIChat(model="m", base_url="http://h/v1", api_key=SecretStr("sk-\nschlüssel"))
    assert "schlüssel" not in str(raised.value)


async def test_json_schema_mode_asks_for_strict_decoding(server: Server) -> None:
    server.answers = [reply('{"colour": "green"}')]
    model = chat(server)
    parsed = await model.with_structured_output(Colour).ainvoke("which?")
    await model.aclose()
    assert parsed == Colour(colour="green")
    assert server.bodies[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "Colour", "schema": Colour.model_json_schema(), "strict": True},
    }
    assert server.bodies[0]["messages"][0]["content"] == "which?"


async def test_json_object_mode_asks_for_json_and_says_the_schema(server: Server) -> None:
    await ask(chat(server, schema_mode="json_object"), json_schema=Colour.model_json_schema())
    (body,) = server.bodies
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"][0]["content"].startswith("hi\n\n")
    assert json.dumps(Colour.model_json_schema()) in body["messages"][0]["content"]


async def test_prompt_mode_says_the_schema_and_asks_for_no_format(server: Server) -> None:
    model = chat(server, schema_mode="prompt")
    turns = [HumanMessage("first"), AIMessage("yes"), HumanMessage("last"), AIMessage("so")]
    try:
        await model.ainvoke(turns, json_schema={"type": "object"})
        await model.ainvoke([SystemMessage("alone")], json_schema={"type": "object"})
    finally:
        await model.aclose()
    with_user, without_user = (body["messages"] for body in server.bodies)
    assert "response_format" not in server.bodies[0]
    assert [turn["content"][-18:] for turn in with_user] == [
        "first", "yes", '{"type": "object"}', "so",
    ]  # fmt: skip
    assert without_user[1]["role"] == "user"
    assert '{"type": "object"}' in without_user[1]["content"]


async def test_a_structured_reply_cut_at_its_length_is_kept_as_text(server: Server) -> None:
    server.answers = [reply('{"colour": "gr', finish_reason="length")]
    model = chat(server)
    result = await model.with_structured_output(Colour, include_raw=True).ainvoke("which?")
    await model.aclose()
    assert result["raw"].content == '{"colour": "gr'
    assert result["raw"].response_metadata["finish_reason"] == "length"


def with_ids(content: str, completion_ids: list[int], logprobs: list[float]) -> Answer:
    message = {"role": "assistant", "content": content}
    spelled = [content, *[""] * len(logprobs)]  # the first token is the text, no other adds to it
    tokens = [
        {"token": token, "logprob": logprob, "top_logprobs": []}
        for token, logprob in zip(spelled, logprobs, strict=False)
    ]
    choice = {
        "message": message,
        "finish_reason": "stop",
        "token_ids": completion_ids,
        "logprobs": {"content": tokens},
    }
    return raw(json.dumps({"choices": [choice], "prompt_token_ids": [1, 2, 3]}))


async def test_token_ids_are_kept_through_structured_output(server: Server) -> None:
    server.answers = [with_ids('{"colour": "green"}', [7, 8], [-0.5, -0.25])]
    model = chat(server, token_ids=True)
    result = await model.with_structured_output(Colour, include_raw=True).ainvoke("which?")
    await model.aclose()
    trace = trace_of(result["raw"])
    assert trace is not None
    assert trace.prompt_ids == (1, 2, 3)
    assert trace.completion_ids == (7, 8)
    assert trace.logprobs == (-0.5, -0.25)
    assert result["parsed"] == Colour(colour="green")
    # no usage was sent: 3 prompt ids and 2 completion ids are counted
    assert result["raw"].usage_metadata["total_tokens"] == 5
    assert server.bodies[0]["return_token_ids"] is True
    assert server.bodies[0]["logprobs"] is True


async def test_token_ids_that_were_wanted_and_did_not_come_are_an_error(server: Server) -> None:
    error = await error_of(chat(server, token_ids=True))
    assert isinstance(error, Refused)
    assert "token_ids" in str(error)


async def test_ids_and_logprobs_of_different_number_are_an_error(server: Server) -> None:
    server.answers = [with_ids("green", [7, 8], [-0.5])]
    error = await error_of(chat(server, token_ids=True))
    assert isinstance(error, ServerFailed)
    assert "got 1 for 2 tokens" in str(error)


def likely(token: str, logprob: float, *others: tuple[str, float]) -> dict[str, Any]:
    sampled = {"token": token, "logprob": logprob, "bytes": list(token.encode())}
    tops = [{"token": text, "logprob": each, "bytes": None} for text, each in others]
    return {**sampled, "top_logprobs": tops}


async def test_alternatives_are_asked_for_and_read(server: Server) -> None:
    tokens = [
        likely('{"score":', 0.0, ('{"score":', 0.0), ("{", -9999.0)),
        likely("7", -1.5, ("8", -0.5), ("7", -1.5)),
        likely("}", -4.0, ("1", -0.25)),
    ]
    server.answers = [reply('{"score":7}', logprobs={"content": tokens, "refusal": None})]
    message = await ask(chat(server, top_logprobs=True), top_logprobs=2)
    assert (server.bodies[0]["logprobs"], server.bodies[0]["top_logprobs"]) == (True, 2)
    assert "return_token_ids" not in server.bodies[0]
    positions = alternatives_of(message)
    assert positions is not None
    assert [each.text for each in positions] == ['{"score":', "7", "}"]
    # a token that cannot come is left out; a sampled one beyond the two asked for is added
    assert [[(one.text, one.logprob) for one in each.alternatives] for each in positions] == [
        [('{"score":', 0.0)],
        [("8", -0.5), ("7", -1.5)],
        [("1", -0.25), ("}", -4.0)],
    ]


async def test_tokens_that_look_alike_are_all_kept(server: Server) -> None:
    # the first bytes of several characters: a server shows each of them as nothing
    tokens = [likely("", -1.0, ("", -0.75), ("", -1.0), ("a", -2.0))]
    server.answers = [reply("", logprobs={"content": tokens})]
    positions = alternatives_of(await ask(chat(server, top_logprobs=True), top_logprobs=3))
    assert positions is not None
    assert [one.logprob for one in positions[0].alternatives] == [-0.75, -1.0, -2.0]


async def test_what_asks_for_no_alternatives_sends_nothing_of_them(server: Server) -> None:
    message = await ask(chat(server, top_logprobs=True))
    assert {"logprobs", "top_logprobs"}.isdisjoint(server.bodies[0])
    assert alternatives_of(message) is None


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {"content": None},
        {"content": [{"token": "7", "logprob": -1.0}]},
        {"content": [likely("7", -1.0)]},
        {"content": [likely("7", -1.0, ("7", -1.0)), {"token": "}", "logprob": 0.0}]},
        {"content": [{"logprob": 0.0, "top_logprobs": [{"token": "7", "logprob": 0.0}]}]},
    ],
)
async def test_alternatives_that_were_wanted_and_did_not_come_are_an_error(
    server: Server, logprobs: Any
) -> None:
    server.answers = [reply("7}", logprobs=logprobs)]
    with pytest.raises(Refused, match="leave the option top_logprobs out"):
        await ask(chat(server, top_logprobs=True), top_logprobs=5)


@pytest.mark.parametrize("broken", [float("nan"), 5.0])
async def test_an_alternative_that_is_no_log_prob_is_an_error(
    server: Server, broken: float
) -> None:
    tokens = [likely("7", -1.0, ("7", -1.0), ("8", broken))]
    server.answers = [reply("7", logprobs={"content": tokens})]
    model = chat(server, top_logprobs=True, max_retries=0)
    with pytest.raises(ServerFailed, match=rf"127\.0\.0\.1.*0 or less, got {broken}"):
        await ask(model, top_logprobs=2)


async def test_a_server_that_never_said_it_gives_alternatives_is_not_asked(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"top_logprobs=true"):
        await ask(chat(server), top_logprobs=5)
    assert server.bodies == []


def test_capabilities_are_those_of_the_options() -> None:
    plain = OpenAIChat(model="m", base_url="http://h/v1").capabilities
    traced = OpenAIChat(model="m", base_url="http://h/v1", token_ids=True, context_tokens=64)
    assert (plain.json_schema, plain.token_ids, plain.items_per_call) == (True, False, 8)
    assert traced.capabilities.token_ids
    assert traced.capabilities.logprobs
    assert traced.capabilities.top_logprobs
    assert not plain.top_logprobs
    assert traced.capabilities.context_tokens == 64


async def test_the_tokens_of_a_reply_without_usage_are_unknown_and_the_log_says_so_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    choice = {"message": {"content": "green"}, "finish_reason": "stop"}
    server.answers = [raw(json.dumps({"choices": [choice]}))]
    model = chat(server)
    with caplog.at_level(logging.WARNING, "quillgraph"):
        messages = await model.abatch(["one", "two"])
    await model.aclose()
    assert [message.usage_metadata for message in messages] == [None, None]
    assert len([line for line in caplog.messages if "no usage" in line]) == 1


async def test_a_usage_below_zero_is_none_and_the_tokens_are_counted(server: Server) -> None:
    choice = {
        "message": {"content": "green"},
        "finish_reason": "stop",
        "token_ids": [7, 8],
        "logprobs": {"content": [{"token": "green", "logprob": -1}, {"token": "", "logprob": 0}]},
    }
    usage = {
        "prompt_tokens": -5,
        "completion_tokens": -1,
        "prompt_tokens_details": {"cached_tokens": -1},
    }
    server.answers = [
        raw(json.dumps({"choices": [choice], "prompt_token_ids": [1, 2, 3], "usage": usage}))
    ]
    message = await ask(chat(server, token_ids=True))
    assert message.usage_metadata == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


async def test_a_refusal_is_an_error_in_the_models_words(server: Server) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I would rather not."}
    server.answers = [reply(None, message=message)]
    error = await error_of(chat(server))
    assert isinstance(error, Refused)
    assert "I would rather not." in str(error)


async def test_a_filtered_reply_is_an_error(server: Server) -> None:
    server.answers = [reply("half a sen", finish_reason="content_filter")]
    assert isinstance(await error_of(chat(server)), Refused)


async def test_a_patient_client_gets_through_a_busy_server(server: Server) -> None:
    busy = failure(429, "slow down")
    server.answers = [busy, busy, reply("green")]
    message = await ask(chat(server, max_retries=2))
    assert message.content == "green"
    assert len(server.bodies) == 3


async def test_a_server_that_stays_busy_is_asked_once_and_then_as_often_as_allowed(
    server: Server,
) -> None:
    server.answers = [failure(429, "slow down")]
    error = await error_of(chat(server, max_retries=2))
    assert isinstance(error, RateLimited)
    assert "slow down" in str(error)
    assert "tried 3 times" in str(error)
    # 1 request and 2 retries: nothing retries on top of the SDK
    assert len(server.bodies) == 3


async def test_a_failing_server_is_tried_again_and_then_reported(server: Server) -> None:
    server.answers = [failure(503, "out of memory")]
    error = await error_of(chat(server, max_retries=1))
    assert isinstance(error, ServerFailed)
    assert "out of memory" in str(error)
    assert len(server.bodies) == 2


async def test_tries_that_ended_before_the_last_are_told_as_they_were(server: Server) -> None:
    def final(exchange: Exchange) -> None:
        exchange.send(503, "{}", x_should_retry="false")

    server.answers = [failure(503, "out of memory"), final]
    error = await error_of(chat(server, max_retries=4))
    assert len(server.bodies) == 2
    assert "(tried 2 times)" in str(error)


async def test_a_server_that_tired_of_waiting_may_be_asked_again(server: Server) -> None:
    server.answers = [failure(408, "too slow a sender")]
    error = await error_of(chat(server, max_retries=1))
    assert isinstance(error, ServerFailed)
    assert "answered 408: too slow a sender (tried 2 times)" in str(error)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_names_the_place_it_came_from_and_not_the_key(
    server: Server, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", KEY)
    server.answers = [failure(status, f"Incorrect API key provided: {KEY}")]
    error = await error_of(chat(server, api_key_env="OTHER_KEY", max_retries=2))
    assert isinstance(error, Refused)
    assert "OTHER_KEY" in str(error)
    assert "Incorrect API key provided: ***" in str(error)
    assert len(server.bodies) == 1


async def test_an_unknown_model_is_reported_with_the_nearest_one_served(server: Server) -> None:
    server.answers = [failure(404, "The model `qwen-smal` does not exist.")]
    server.models = ["qwen-small", "llama"]
    error = await error_of(chat(server, model="qwen-smal"))
    assert isinstance(error, Refused)
    assert "did you mean 'qwen-small'? valid: llama, qwen-small" in str(error)


async def test_a_404_of_a_server_without_models_points_at_the_address(server: Server) -> None:
    server.answers = [failure(404, "Not Found")]
    error = await error_of(chat(server))
    assert isinstance(error, Refused)
    assert "/v1" in str(error)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("This model's maximum context length is 512 tokens. However, you asked for 600.", None),
        ("The decoder prompt (length 600) is longer than the maximum model length of 512", None),
        ("Your input is too long.", "context_length_exceeded"),
        ("the request exceeds the available context size, try increasing it", None),
    ],
)
async def test_a_prompt_longer_than_the_window_is_an_overflow(
    server: Server, message: str, code: str | None
) -> None:
    server.answers = [failure(400, message, code=code)]
    error = await error_of(chat(server, max_retries=2))
    assert isinstance(error, ContextOverflow)
    assert message in str(error)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("Unsupported value: 'temperature' does not support 0.0", "own_sampling"),
        ("Unsupported response_format type", "schema_mode"),
        ("You are not allowed to request logprobs from this model", "top_logprobs"),
        ("n must be at least 1", "n must be"),
    ],
)
async def test_another_bad_request_is_refused_with_advice_where_there_is_some(
    server: Server, message: str, advice: str
) -> None:
    server.answers = [failure(422, message)]
    error = await error_of(chat(server))
    assert isinstance(error, Refused)
    assert message in str(error)
    assert advice in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        raw("<html>a gateway</html>", "text/html"),
        raw('{"choices": ['),
        raw('{"choices": []}'),
        raw("null"),
    ],
    ids=["html", "broken JSON", "no choices", "null"],
)
async def test_what_is_no_chat_completion_is_a_failure_of_the_server(
    server: Server, answer: Answer
) -> None:
    server.answers = [answer]
    error = await error_of(chat(server))
    assert isinstance(error, ServerFailed)
    assert "expected a chat completion from" in str(error)


async def test_json_under_another_content_type_is_read(server: Server) -> None:
    choice = {"message": {"content": "green"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    server.answers = [raw(json.dumps({"choices": [choice], "usage": usage}), "text/plain")]
    assert (await ask(chat(server))).content == "green"


async def test_a_server_that_never_answers_is_unreachable(server: Server) -> None:
    server.answers = [silence]
    error = await error_of(chat(server, idle_timeout_s=0.2))
    assert isinstance(error, Unreachable)
    assert "no answer within 0.2 s" in str(error)
    assert server.url in str(error)


async def test_a_connection_cut_in_mid_answer_is_unreachable(server: Server) -> None:
    server.answers = [cut_short]
    error = await error_of(chat(server))
    assert isinstance(error, Unreachable)
    assert "peer closed connection" in str(error)


async def test_an_address_where_nobody_listens_is_unreachable() -> None:
    with socket.socket() as bound:  # bound but not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        error = await error_of(OpenAIChat(model="m", base_url=url, max_retries=0))
    assert isinstance(error, Unreachable)
    assert url in str(error)
    assert "is the server up" in str(error)


async def test_the_key_is_in_no_repr_record_error_or_traceback(
    server: Server, tmp_path: Path
) -> None:
    server.answers = [failure(500, f"bad header Authorization: Bearer {KEY}"), reply("green")]
    model = chat(server, api_key=SecretStr(KEY))
    path = tmp_path / "calls.jsonl"
    with Recorder(path, "test") as recorder:
        with pytest.raises(ServerFailed) as raised:
            await model.ainvoke("hi", config={"callbacks": [recorder]})
        await model.ainvoke("hi", config={"callbacks": [recorder]})
    await model.aclose()
    assert server.keys == [f"Bearer {KEY}"] * 2
    texts = [repr(model), str(model), repr(model.model_dump()), repr(model._identifying_params)]
    texts += [repr(model._endpoint), path.read_text(encoding="utf-8"), raised.exconly()]
    texts.append(str(raised.getrepr(style="native", chain=True)))
    assert [text for text in texts if KEY in text] == []
    assert [record.reply for record in read_records(path)] == [None, "green"]


async def test_a_cancelled_call_hangs_up_and_frees_its_slot(server: Server) -> None:
    arrived = threading.Event()

    def wait_for_the_end(exchange: Exchange) -> None:
        arrived.set()
        exchange.connection.settimeout(20)
        assert exchange.connection.recv(1) == b""  # the other side closed
        server.hung_up.set()
        exchange.close_connection = True

    server.answers = [wait_for_the_end, reply("green")]
    model = chat(server, max_concurrency=1)
    call = asyncio.create_task(model.ainvoke("hi"))
    assert await asyncio.to_thread(arrived.wait, 20)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(server.hung_up.wait, 20)
    assert (await model.ainvoke("hi")).content == "green"
    await model.aclose()


async def test_calls_in_flight_are_as_many_as_allowed(server: Server) -> None:
    gate = threading.Barrier(3)

    def together(exchange: Exchange) -> None:
        gate.wait(20)
        reply("green")(exchange)

    server.answers = [together]
    model = chat(server, max_concurrency=3)
    # 6 calls in two rounds of 3: a pool narrower than 3 would leave the barrier waiting
    messages = await model.abatch(["hi"] * 6)
    await model.aclose()
    assert len(messages) == 6
    assert model.limiter.peak == 3


def test_one_backend_serves_one_event_loop_after_another(server: Server) -> None:
    model = chat(server)

    async def once() -> Any:
        return (await model.ainvoke("hi")).content

    assert [asyncio.run(once()), asyncio.run(once())] == ["green", "green"]
    assert model.invoke("hi").content == "green"
    asyncio.run(model.aclose())


async def test_a_closed_backend_opens_again(server: Server) -> None:
    model = chat(server)
    assert (await ask(model)).content == "green"
    assert (await ask(model)).content == "green"
    await model.aclose()


def test_importing_the_module_does_not_import_the_sdk() -> None:
    code = "import sys, quillgraph.backends.servers.openai; print('openai' in sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "False"


def look(place: str) -> str:
    """Look at a place."""
    return place


def called(
    *calls: tuple[str | None, str | None], content: str | None = None, **choice: Any
) -> Answer:
    sent_calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": content, "tool_calls": sent_calls}
    return reply(content, message=message, **choice)


async def test_tools_and_the_choice_among_them_are_sent_and_calls_come_back(
    server: Server,
) -> None:
    server.answers = [called(("look", '{"place": "sea"}'), ("look", None), content="So.")]
    model = chat(server)
    for choice in (None, "any", "none", "look"):
        reply = await model.bind_tools([look], tool_choice=choice).ainvoke("hi")
    await model.aclose()
    assert (reply.content, reply.invalid_tool_calls) == ("So.", [])
    assert [(each["args"], each["id"]) for each in reply.tool_calls] == [
        ({"place": "sea"}, "c0"),
        ({}, "c1"),
    ]
    assert [body["tool_choice"] for body in server.bodies] == [
        "auto",
        "required",
        "none",
        {"type": "function", "function": {"name": "look"}},
    ]
    function = server.bodies[0]["tools"][0]["function"]
    assert (function["name"], "strict" in function) == ("look", False)


async def test_calls_and_results_are_sent_as_openai_writes_them(server: Server) -> None:
    server.answers = [called(("look", '{"place": "sea"}')), reply("Calm.")]
    model = chat(server)
    bound = model.bind_tools([look])
    turns = [HumanMessage("hi"), await bound.ainvoke("hi")]
    await bound.ainvoke([*turns, ToolMessage("calm", tool_call_id="c0")])
    await model.aclose()
    assert "tools" in server.bodies[1]
    assert server.bodies[1]["messages"] == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c0",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"place": "sea"}'},
                }
            ],
        },
        {"role": "tool", "content": "calm", "tool_call_id": "c0"},
    ]


@pytest.mark.parametrize(
    ("answer", "args"),
    [
        (called(("look", '{"place": "s'), finish_reason="length"), '{"place": "s'),
        (called((None, '{"place": "sea"}')), '{"place": "sea"}'),
        # what vLLM's parser could not read, it leaves in the text
        (reply('So.<tool_call>{"name": "look", "argu', finish_reason="length"),
         '{"name": "look", "argu'),
    ],
)  # fmt: skip
async def test_a_call_that_a_server_could_not_read_is_an_invalid_one(
    server: Server, answer: Answer, args: str
) -> None:
    server.answers = [answer]
    reply = await ask(chat(server), tools=[look])
    assert reply.tool_calls == []
    assert [each["args"] for each in reply.invalid_tool_calls] == [args]


async def test_a_call_that_a_server_dropped_is_told_by_its_tokens(server: Server) -> None:
    # as vLLM answers where a call must be made and is cut short: no text, and no call
    tokens = [{"token": each, "logprob": -0.5} for each in ('[{"na', "me")]
    dropped = called(
        content="", finish_reason="length", token_ids=[7, 8], logprobs={"content": tokens}
    )
    server.answers = [dropped]
    reply = await ask(chat(server), tools=[look], tool_choice="required")
    assert [each["args"] for each in reply.invalid_tool_calls] == ['[{"name']


async def test_a_call_keeps_the_tokens_that_the_server_gave(server: Server) -> None:
    spelled = '<tool_call>\n{"name": "look", "arguments": {"place": "sea"}}\n</tool_call>'
    choice = {
        "index": 0,
        "finish_reason": "tool_calls",
        "message": {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c0", "function": {"name": "look", "arguments": '{"place": "sea"}'}}
            ],
        },
        "token_ids": [5, 6],
        "logprobs": {
            "content": [{"token": t, "logprob": -0.5} for t in (spelled[:9], spelled[9:])]
        },
    }
    server.answers = [raw(json.dumps({"choices": [choice], "prompt_token_ids": [1, 2]}))]
    reply = await ask(chat(server, token_ids=True), tools=[look])
    trace = trace_of(reply)
    assert trace is not None
    assert (trace.prompt_ids, trace.completion_ids) == ((1, 2), (5, 6))
    assert trace.logprobs == (-0.5, -0.5)
    assert reply.tool_calls[0]["args"] == {"place": "sea"}


async def test_alternatives_are_refused_before_the_call_where_they_cannot_be_given() -> None:
    # nothing listens at port 9: what is refused here is refused before the call
    chat = OpenAIChat(model="m", base_url="http://127.0.0.1:9/v1", api_key=SecretStr(KEY))
    assert not chat.capabilities.top_logprobs
    with pytest.raises(ConfigError, match=r"top_logprobs.*OpenAIChat reports no alternatives"):
        await chat.ainvoke("Write a long story about the sea.", top_logprobs=3)


async def test_what_bends_the_sampling_is_refused_where_only_temperature_and_top_p_are_taken(
    server: Server,
) -> None:
    model = chat(server)
    assert not model.capabilities.min_p
    with pytest.raises(ConfigError, match=r"'min_p': backend OpenAIChat samples by temperature"):
        await model.ainvoke("Write.", min_p=0.1)
    with pytest.raises(ConfigError, match=r"'repetition_penalty': backend OpenAIChat"):
        await model.ainvoke("Write.", repetition_penalty=1.1)
    # what changes nothing is nothing to refuse
    assert await ask(model, "Write.", min_p=0.0, repetition_penalty=1.0)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_a_models_own_reasoning_is_kept_beside_its_text(server: Server, field: str) -> None:
    message = {"role": "assistant", "content": "Fog.", field: "They want fog."}
    server.answers = [reply("", message=message)]
    answer = await ask(chat(server))
    assert answer.content == "Fog."
    assert answer.additional_kwargs == {"reasoning_content": "They want fog."}
