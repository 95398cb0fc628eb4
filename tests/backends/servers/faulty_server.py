"""An OpenAI-compatible server that fails on purpose, and keeps a ledger of what it did.

Run: python tests/backends/servers/faulty_server.py [--faulty 0.3] [--seed 7]
Prints its port, serves until its standard input closes. A share of the chat completions fails in
one of the ways below, by a seeded draw; a prompt `fault:NAME` fails in that way always. Tokens are
characters, log-probs are -0.5. `GET /ledger`: how many requests ended how, and how many whole
replies each prompt got.
"""

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

STALL_S = 60.0


def completion(body: dict[str, Any], text: str) -> dict[str, Any]:
    """A whole and right reply."""
    tokens = [{"token": letter, "logprob": -0.5, "top_logprobs": []} for letter in text]
    return {
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
                "token_ids": [ord(letter) for letter in text],
                "logprobs": {"content": tokens},
            }
        ],
        "usage": {"prompt_tokens": 2, "completion_tokens": len(text), "total_tokens": 2},
        "prompt_token_ids": [1, 2],
    }


def json_of(body: object) -> web.Response:
    return web.Response(text=json.dumps(body), content_type="application/json")


async def busy(request: web.Request, body: dict[str, Any]) -> web.Response:
    error = {"error": {"message": "overloaded", "type": "rate_limit", "code": 429}}
    return web.json_response(error, status=429, headers={"retry-after": "0.05"})


async def broken(request: web.Request, body: dict[str, Any]) -> web.Response:
    return web.json_response({"error": {"message": "a kernel failed"}}, status=500)


async def late(request: web.Request, body: dict[str, Any]) -> web.Response:
    return web.json_response({"error": {"message": "too slow a sender"}}, status=408)


async def reset(request: web.Request, body: dict[str, Any]) -> web.Response:
    assert request.transport
    request.transport.abort()
    return web.Response()


async def stall(request: web.Request, body: dict[str, Any]) -> web.Response:
    try:
        await asyncio.sleep(STALL_S)
    except asyncio.CancelledError:  # the client has hung up
        request.app["ledger"]["hung_up"] += 1
        raise
    return web.Response(status=504)


async def truncated(request: web.Request, body: dict[str, Any]) -> web.Response:
    return web.Response(text=json.dumps(body)[:-20], content_type="application/json")


async def half(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    whole = json.dumps(body).encode()
    head = {"content-type": "application/json", "content-length": str(len(whole))}
    answer = web.StreamResponse(headers=head)
    await answer.prepare(request)
    await answer.write(whole[: len(whole) // 2])
    assert request.transport
    request.transport.close()
    return answer


async def page(request: web.Request, body: dict[str, Any]) -> web.Response:
    return web.Response(text="<html>Welcome</html>", content_type="text/html")


async def slow(request: web.Request, body: dict[str, Any]) -> web.Response:
    await asyncio.sleep(0.3)
    return json_of(body)


async def other_model(request: web.Request, body: dict[str, Any]) -> web.Response:
    return json_of({**body, "model": "another"})


async def aborted(request: web.Request, body: dict[str, Any]) -> web.Response:
    body["choices"][0]["finish_reason"] = "abort"
    return json_of(body)


async def no_ids(request: web.Request, body: dict[str, Any]) -> web.Response:
    del body["choices"][0]["token_ids"]
    return json_of(body)


async def no_logprobs(request: web.Request, body: dict[str, Any]) -> web.Response:
    body["choices"][0]["logprobs"] = None
    return json_of(body)


async def nan_logprobs(request: web.Request, body: dict[str, Any]) -> web.Response:
    body["choices"][0]["logprobs"]["content"][1]["logprob"] = float("nan")
    return json_of(body)


async def high_logprobs(request: web.Request, body: dict[str, Any]) -> web.Response:
    body["choices"][0]["logprobs"]["content"][1]["logprob"] = 5.0
    return json_of(body)


async def short_logprobs(request: web.Request, body: dict[str, Any]) -> web.Response:
    body["choices"][0]["logprobs"]["content"].pop()
    return json_of(body)


async def other_text(request: web.Request, body: dict[str, Any]) -> web.Response:
    body["choices"][0]["message"]["content"] = "words of another reply"
    return json_of(body)


Fault = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]
DRAWN: dict[str, Fault] = {
    "busy": busy, "broken": broken, "reset": reset, "stall": stall, "truncated": truncated,
    "half": half, "page": page, "slow": slow,
}  # fmt: skip
NAMED: dict[str, Fault] = DRAWN | {
    "other_model": other_model, "aborted": aborted, "no_ids": no_ids, "no_logprobs": no_logprobs,
    "nan_logprobs": nan_logprobs, "high_logprobs": high_logprobs, "short_logprobs": short_logprobs,
    "other_text": other_text, "late": late,
}  # fmt: skip


async def answer(request: web.Request) -> web.StreamResponse:
    """Answer a chat completion, well or badly."""
    body = await request.json()
    prompt = body["messages"][-1]["content"]
    app, ledger = request.app, request.app["ledger"]
    name = "good"
    if prompt.startswith("fault:"):
        name = prompt.removeprefix("fault:")
    elif app["draw"].random() < app["faulty"]:
        name = app["draw"].choice(list(DRAWN))
    ledger["requests"] += 1
    ledger[name] += 1
    if name in ("good", "slow"):
        app["replies"][prompt] += 1
    body = completion(body, f"reply to {prompt}")
    return json_of(body) if name == "good" else await NAMED[name](request, body)


async def show(request: web.Request) -> web.Response:
    """Show the ledger."""
    return web.json_response({**request.app["ledger"], "replies": request.app["replies"]})


async def well(request: web.Request) -> web.Response:
    """Say that all is well."""
    return web.Response()


async def models(request: web.Request) -> web.Response:
    """List the one model."""
    return web.json_response({"object": "list", "data": [{"id": "m"}]})


async def serve(faulty: float, seed: int) -> None:
    """Serve until standard input closes."""
    app = web.Application()
    app["ledger"], app["replies"] = Counter(), Counter()
    app["draw"], app["faulty"] = random.Random(seed), faulty
    app.router.add_post("/v1/chat/completions", answer)
    app.router.add_get("/ledger", show)
    app.router.add_get("/health", well)
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--faulty", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.faulty, chosen.seed))
