"""The backends of the contract suite: engines, and what stands in for them."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import (
    ToolMessage,
)

from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.cassette.chat import CassetteChat
from quillgraph.backends.cassette.recorder import CassetteRecorder
from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.contract.prompts import (
    ASK,
    ASK_AS_JSON,
    BRIEF,
    CALL,
    LOOK,
    LOOKED,
    SLOWLY,
    TALK,
    Colour,
    in_a_graph,
    look,
    wait,
)
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.backends.servers.openai import OpenAIChat
from quillgraph.backends.servers.vllm import VllmServerChat
from quillgraph.backends.transformers.chat import TransformersChat

STORY = "The sea took the harbour lamp on a night without wind, and kept it burning."


WINDOW = 2048


class _ByteServer(BaseHTTPRequestHandler):
    """Answers as a vLLM server does; its tokens are the bytes of the text."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if body["messages"][-1]["content"] == SLOWLY:
            self._drip()
            return
        if body["max_tokens"] > WINDOW:
            overflow = f"This model's maximum context length is {WINDOW} tokens."
            self._send(
                400, {"error": {"message": overflow, "code": 400, "type": "BadRequestError"}}
            )
            return
        text = '{"colour": "green"}' if "response_format" in body else STORY
        if body.get("tool_choice", "none") not in ("none", "auto"):
            text = CALL
        ids = list(text.encode())[: body["max_tokens"]]
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
            "logprobs": {"content": [_byte(byte, body.get("top_logprobs", 0)) for byte in ids]},
        }
        prompt_ids = list(json.dumps(body["messages"]).encode())
        usage = {
            "prompt_tokens": len(prompt_ids),
            "completion_tokens": len(ids),
            "total_tokens": len(prompt_ids) + len(ids),
        }
        self._send(200, {"choices": [choice], "usage": usage, "prompt_token_ids": prompt_ids})

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


def _byte(byte: int, most: int) -> dict[str, Any]:
    sampled = {"token": chr(byte), "logprob": -0.5}
    likely = [sampled, {"token": "~", "logprob": -1.0}, {"token": "^", "logprob": -9999.0}]
    return {**sampled, "top_logprobs": likely[:most]}


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
            for prompt, options in RECORDED * 10:
                await scripted_chat.ainvoke(prompt, **options)
            await in_a_graph(scripted_chat)
            for _ in range(2):
                await in_a_graph(scripted_chat, most=90, **LOOK)

    asyncio.run(record())
    return path


@pytest.fixture
def cassette_chat(recording: Path) -> CassetteChat:
    """A recording counts the calls that it plays back, so each test has its own."""
    return CassetteChat(path=recording)


class _Bare(_Unhurried):
    """Declares nothing, and has nothing beyond text: the least that a backend may be."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def _complete(self, request: ChatRequest) -> Completion:
        completion = await super()._complete(request)
        return completion.model_copy(update={"trace": None})


@pytest.fixture(scope="session")
def bare_chat() -> ScriptedChat:
    return _Bare(reply=lambda _: STORY, max_concurrency=4)


@pytest.fixture(scope="session")
def transformers_chat(tool_folder: Path) -> Iterator[TransformersChat]:
    """One engine for the whole test session."""
    pytest.importorskip("torch")
    chat = TransformersChat(model=str(tool_folder), max_tokens=24, max_concurrency=4)
    yield chat
    asyncio.run(chat.aclose())


@pytest.fixture(scope="session")
def vllm_server_chat(tool_folder: Path) -> Iterator[VllmServerChat]:
    """One server of our own for the whole test session: it takes a minute to start."""
    pytest.importorskip("vllm")
    chat = VllmServerChat(
        model=str(tool_folder),
        max_model_len=2048,
        max_tokens=24,
        max_concurrency=4,
        max_lora_rank=8,
    )
    asyncio.run(chat.start())
    yield chat
    asyncio.run(chat.aclose())
