"""Errors under a status that says all is well: what they stand for, what is retried."""

import asyncio
import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import (
    BackendError,
    ContextOverflow,
    RateLimited,
    Refused,
    ServerFailed,
)
from quillgraph.backends.messages.fault import fault_in
from quillgraph.backends.spec import connect

NULL = [{"message": {"role": "assistant", "content": None}, "finish_reason": None}]
GOOD = {
    "model": "m",
    "choices": [{"message": {"content": "green"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


def failed(error: object, choices: object = NULL) -> dict[str, Any]:
    return {"error": error, "choices": choices}


FAULTS: dict[str, tuple[object, type[BackendError]]] = {
    "429": (failed({"code": 429, "message": "slow down"}), RateLimited),
    "429 as a string": (failed({"code": "429", "message": "slow down"}), RateLimited),
    "a type": (failed({"type": "rate_limit_error", "message": "slow down"}), RateLimited),
    "a code of words": (failed({"code": "rate_limit_exceeded", "message": "no"}), RateLimited),
    "Gemini's list": ([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}], RateLimited),
    "a status of words": (failed({"code": 0, "status": "RESOURCE_EXHAUSTED"}), RateLimited),
    "a string": (failed("Rate limit reached for model m"), RateLimited),
    "too many requests": ({"detail": "Too Many Requests"}, RateLimited),
    "MiniMax": (
        {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
        RateLimited,
    ),
    "Cloudflare": (
        {"success": False, "errors": [{"code": 3040, "message": "Capacity exceeded"}]},
        ServerFailed,
    ),
    "in the choice": (
        {"choices": [{"error": {"code": 429, "message": "no"}, "message": {"content": ""}}]},
        RateLimited,
    ),
    "in the message": (
        {"choices": [{"message": {"content": None, "error": {"code": 503}}}]},
        ServerFailed,
    ),
    "with half a text": (
        failed({"code": 502, "message": "upstream closed"}, GOOD["choices"]),
        ServerFailed,
    ),
    "finished by an error": (
        {"choices": [{"message": {"content": "gre"}, "finish_reason": "error"}]},
        ServerFailed,
    ),
    "aborted": (
        {"choices": [{"message": {"content": "gre"}, "finish_reason": "abort"}]},
        ServerFailed,
    ),
    "no choices": ({"error": {"message": "upstream is down"}}, ServerFailed),
    "choices empty": (failed({"message": "upstream is down"}, []), ServerFailed),
    "vLLM before 0.10": (
        {"object": "error", "message": "no", "type": "BadRequestError", "code": 400},
        Refused,
    ),
    "a gateway's msg": ({"code": 429, "msg": "slow down"}, RateLimited),
    "a detail as an object": ({"detail": {"error": "no"}}, ServerFailed),
    "overloaded": (failed({"type": "overloaded_error", "message": "Overloaded"}), ServerFailed),
    "a key": (failed({"code": "invalid_api_key", "message": "no"}), Refused),
    "a model": (failed({"code": "model_not_found", "message": "no"}), Refused),
    "no money": (failed({"code": 402, "message": "Insufficient credits"}), Refused),
    "too long": (failed({"code": "context_length_exceeded", "message": "no"}), ContextOverflow),
    "too long in words": (
        failed({"code": 400, "message": "maximum context length is 9"}),
        ContextOverflow,
    ),
}
STREAMED = f"data: {json.dumps(failed({'code': 429, 'message': 'slow down'}))}\n\ndata: [DONE]\n\n"


class Stub:
    """Answers with the fault first, and well from then on."""

    def __init__(self, server: HTTPServer) -> None:
        self.bodies: list[str] = []
        self.asked = 0
        self.url = server.url_for("/v1")
        server.expect_request("/v1/chat/completions").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        body = self.bodies[min(self.asked, len(self.bodies) - 1)]
        self.asked += 1
        return Response(body, content_type="application/json", headers={"retry-after-ms": "1"})


@pytest.fixture
def stub(httpserver: HTTPServer) -> Stub:
    return Stub(httpserver)


SPECS = ["openai:m@{}?max_retries={}", "vllm-server:m@{}?token_ids=no&max_retries={}"]


def call(stub: Stub, spec: str, retries: int) -> Any:
    async def reply() -> Any:
        backend = connect(spec.format(stub.url, retries))
        assert isinstance(backend, ChatBackend)
        try:
            return await backend.ainvoke("hi")
        finally:
            await backend.aclose()

    return asyncio.run(reply())


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(("answer", "kind"), FAULTS.values(), ids=FAULTS)
def test_an_error_under_status_200_is_what_its_code_says(
    stub: Stub, spec: str, answer: object, kind: type[BackendError]
) -> None:
    stub.bodies = [json.dumps(answer)]
    with pytest.raises(kind):
        call(stub, spec, 0)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    "body",
    [
        json.dumps(failed({"code": 429, "message": "slow down"})),
        json.dumps(failed({"message": "upstream is down"})),
        STREAMED,
    ],
    ids=["a limit", "a failure", "in a stream"],
)
def test_what_may_pass_is_asked_again(
    stub: Stub, spec: str, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quillgraph.backends.servers.fleet.FIRST_PAUSE_S", 0.001)
    stub.bodies = [body, json.dumps(GOOD)]
    assert call(stub, spec, 1).content == "green"
    assert stub.asked == 2


@pytest.mark.parametrize("spec", SPECS)
def test_what_cannot_pass_is_asked_once(stub: Stub, spec: str) -> None:
    stub.bodies = [json.dumps(failed({"code": 401, "message": "no such key"}))]
    with pytest.raises(Refused, match="answered 401: no such key"):
        call(stub, spec, 4)
    assert stub.asked == 1


@pytest.mark.parametrize(
    "text", ['He wrote "error": 429 on the wall.', '{"error": {"code": 429}}', "data: error"]
)
def test_a_text_about_an_error_is_none(text: str) -> None:
    reply = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    assert fault_in(json.dumps(reply).encode()) is None


@pytest.mark.parametrize("error", [None, {}, "", [], False])
def test_an_error_that_is_empty_is_none(error: object) -> None:
    assert fault_in(json.dumps({**GOOD, "error": error}).encode()) is None
