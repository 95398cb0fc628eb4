"""Calls to servers that fail: each ends in a result or in a typed error, and the books balance."""

import asyncio
import gc
import json
import resource
import subprocess
import sys
import tempfile
import urllib.request
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypedDict

import pytest
from aiohttp import web
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langgraph.graph import END, START, StateGraph

from quillgraph.backends.calls.record import Recorder
from quillgraph.backends.errors import (
    BackendError,
    RateLimited,
    Refused,
    ServerFailed,
    TimedOut,
    Unreachable,
)
from quillgraph.backends.messages.trace import trace_of
from quillgraph.backends.servers.vllm import VllmServerChat

RUNS = 2000


class Stub:
    """A faulty server in a process of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def ledger(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ledger") as answer:
            return Counter(json.load(answer))


@contextmanager
def running(program: Path, *arguments: str) -> Iterator[Stub]:
    command = [sys.executable, "-P", str(program), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Stub(int(process.stdout.readline()))
        process.stdin.close()


@contextmanager
def stub(faulty: float = 0.0) -> Iterator[Stub]:
    program = Path(__file__).with_name("faulty_server.py")
    with running(program, "--faulty", str(faulty)) as server:
        yield server


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with stub() as one:
        yield one


def chat(url: str, **fields: Any) -> VllmServerChat:
    return VllmServerChat(model="m", base_url=url, **{"max_retries": 0, **fields})


class Asked(TypedDict, total=False):
    prompt: str
    reply: str


async def test_two_thousand_runs_at_a_faulty_server_end_in_replies_or_counted_errors() -> None:
    with stub(faulty=0.3) as server:
        model = chat(server.url, max_retries=2, max_concurrency=256, idle_timeout_s=15.0)

        async def ask(state: Asked) -> Asked:
            return {"reply": str((await model.ainvoke(state["prompt"])).content)}

        graph = StateGraph(Asked)
        graph.add_node("ask", ask)
        graph.add_edge(START, "ask")
        graph.add_edge("ask", END)
        play = graph.compile()
        places = asyncio.Semaphore(256)

        async def run(number: int) -> Any:
            async with places:
                return await play.ainvoke({"prompt": f"run {number}"})

        async with asyncio.timeout(400):
            ended = await asyncio.gather(*map(run, range(RUNS)), return_exceptions=True)
        ledger = server.ledger
        outcomes = model.outcomes
        await model.aclose()

    replies = [each["reply"] for each in ended if not isinstance(each, BaseException)]
    errors = [each for each in ended if isinstance(each, BaseException)]
    assert len(replies) + len(errors) == RUNS
    assert all(isinstance(each, BackendError) for each in errors)
    # 0.3 · 7/8 fail, three attempts: (0.2625)^3 = 0.018 of 2000 runs are 36
    assert 10 <= len(errors) <= 80
    for number, each in enumerate(ended):
        assert isinstance(each, BaseException) or each["reply"] == f"reply to run {number}"
    # nobody got a reply twice, and each whole reply that the server sent is somebody's
    assert set(ledger["replies"].values()) == {1}
    assert len(ledger["replies"]) == len(replies)
    # our count of attempts is the server's
    assert outcomes["answered"] == ledger["good"] + ledger["slow"] == len(replies)
    assert outcomes["RateLimited"] == ledger["busy"]
    assert outcomes["ServerFailed"] == sum(
        ledger[kind] for kind in ("broken", "truncated", "half", "page")
    )
    assert outcomes["Unreachable"] == ledger["reset"] + ledger["stall"]
    assert sum(outcomes.values()) == ledger["requests"]
    assert ledger["hung_up"] == ledger["stall"]
    assert all(ledger[kind] > 0 for kind in ("busy", "broken", "reset", "stall", "half", "slow"))


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("busy", RateLimited, "answered 429: overloaded"),
        ("broken", ServerFailed, "answered 500: a kernel failed"),
        ("late", ServerFailed, r"answered 408: too slow a sender \(tried once\)"),
        ("reset", Unreachable, "cannot reach"),
        ("truncated", ServerFailed, "expected a chat completion"),
        ("half", ServerFailed, "broke off in the middle"),
        ("page", ServerFailed, "got <html>Welcome"),
        ("other_model", Refused, "was asked for model 'm' and answered as 'another'"),
        ("aborted", ServerFailed, "gave up in the middle"),
        ("no_ids", Refused, "without token ids"),
        ("no_logprobs", Refused, "without token ids or log-probs"),
        ("nan_logprobs", ServerFailed, "log-prob of token 1 is nan"),
        ("high_logprobs", ServerFailed, "log-prob of token 1 is 5.0; expected .* 0 or less"),
        (
            "short_logprobs",
            ServerFailed,
            "expected one log-prob per completion token, got 28 for 29",
        ),
        ("other_text", ServerFailed, "its text is 'words of another reply'"),
    ],
)
async def test_a_bad_reply_is_an_error_that_says_what_came(
    server: Stub, fault: str, kind: type[BackendError], message: str
) -> None:
    model = chat(server.url)
    with pytest.raises(kind, match=message) as caught:
        await model.ainvoke(f"fault:{fault}")
    assert type(caught.value) is kind
    assert f":{server.port}" in str(caught.value)
    await model.aclose()


async def test_a_server_that_is_silent_too_long_is_left_and_hung_up_on(server: Stub) -> None:
    model = chat(server.url, idle_timeout_s=0.3)
    before = server.ledger["hung_up"]
    with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
        await model.ainvoke("fault:stall")
    await until(lambda: server.ledger["hung_up"] == before + 1)
    await model.aclose()


async def test_the_time_of_a_call_spans_all_its_attempts(server: Stub) -> None:
    model = chat(server.url, max_retries=9, idle_timeout_s=60, timeout_s=0.5)
    with pytest.raises(Unreachable, match=r"no whole reply within 0\.5 s"):
        await model.ainvoke("fault:stall")
    assert model.outcomes == {"TimedOut": 1}
    before = server.ledger["broken"]
    with pytest.raises(ServerFailed) as caught:
        await model.ainvoke("fault:broken")
    # pauses of 0.25 to 0.5 s, then 0.5 to 1 s: the third would come too late
    tried = {1: "(tried once)", 2: "(tried 2 times)"}[server.ledger["broken"] - before]
    assert tried in str(caught.value)
    await model.aclose()


@pytest.mark.parametrize("fault", ["broken", "late", "busy", "reset"])
async def test_what_may_pass_is_asked_again_and_the_tries_are_told(
    server: Stub, fault: str
) -> None:
    model = chat(server.url, max_retries=1)
    before = server.ledger[fault]
    with pytest.raises(BackendError, match=r"\(tried 2 times\)"):
        await model.ainvoke(f"fault:{fault}")
    assert server.ledger[fault] - before == 2
    await model.aclose()


async def test_a_greeting_is_made_once_and_tells_no_tries() -> None:
    model = chat("http://127.0.0.1:9/v1", max_retries=4)
    with pytest.raises(Unreachable, match="cannot reach") as caught:
        await model.start()
    assert "tried" not in str(caught.value)
    await model.aclose()


async def test_a_cancelled_call_closes_its_request_and_frees_its_slot(server: Stub) -> None:
    model = chat(server.url, max_concurrency=1)
    before = server.ledger["hung_up"]
    stalled = server.ledger["stall"]
    call = asyncio.create_task(model.ainvoke("fault:stall"))
    await until(lambda: server.ledger["stall"] == stalled + 1)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await until(lambda: server.ledger["hung_up"] == before + 1)
    assert model.limiter.in_flight == 0
    assert (await model.ainvoke("hi")).content == "reply to hi"
    assert model.outcomes == {"cancelled": 1, "answered": 1}
    await model.aclose()


async def test_what_cannot_pass_is_not_asked_again(server: Stub) -> None:
    model = chat(server.url, max_retries=5)
    with pytest.raises(Refused):
        await model.ainvoke("fault:no_ids")
    assert model.outcomes == {"Refused": 1}
    await model.aclose()


async def test_a_proxy_that_is_not_there_is_named(
    server: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    model = chat(server.url)
    with pytest.raises(Unreachable, match="the proxy failed"):
        await model.ainvoke("hi")
    await model.aclose()


async def test_a_plain_server_at_a_secure_address_is_named(server: Stub) -> None:
    model = chat(server.url.replace("http:", "https:"))
    with pytest.raises(Refused, match="no secure connection"):
        await model.ainvoke("hi")
    await model.aclose()


async def test_a_replica_that_hangs_is_left_and_its_calls_go_on_elsewhere(server: Stub) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    hanging = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    model = chat(f"http://127.0.0.1:{port}/v1,{server.url}", max_retries=2, idle_timeout_s=0.5)
    async with asyncio.timeout(60):
        replies = await asyncio.gather(*(model.ainvoke(f"call {n}") for n in range(40)))
        assert [each.content for each in replies] == [f"reply to call {n}" for n in range(40)]
        before = model.outcomes["Unreachable"]
        assert before >= 3
        await asyncio.gather(*(model.ainvoke("later") for n in range(40)))
        assert model.outcomes["Unreachable"] == before  # it gets no calls any more
    await model.aclose()
    hanging.close()


@asynccontextmanager
async def at(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server in this process that answers every request in one way."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def drip(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(6000):
        await answer.write(b" ")
        await asyncio.sleep(0.01)
    return answer


async def test_a_replica_that_hangs_longer_than_a_call_may_take_is_left_in_time(
    server: Stub,
) -> None:
    async with at(hang) as hanging:
        model = chat(f"{hanging},{server.url}", max_retries=1, timeout_s=2.0)
        for number in range(12):
            reply = await model.ainvoke(f"in time {number}")
            assert reply.content == f"reply to in time {number}"
        # its half of the two seconds was up three times; then it was taken out
        assert model.outcomes == {"Unreachable": 3, "answered": 12}
        await model.aclose()


async def test_a_replica_that_drips_until_the_time_is_over_is_taken_out(server: Stub) -> None:
    async with at(drip) as dripping:
        model = chat(f"{dripping},{server.url}", max_retries=1, timeout_s=0.3)
        for _ in range(3):
            with pytest.raises(TimedOut, match=r"no whole reply within 0\.3 s"):
                await model.ainvoke("hi")
        model.timeout_s = 60.0
        assert (await model.ainvoke("hi")).content == "reply to hi"
        assert model.outcomes == {"TimedOut": 3, "answered": 1}
        await model.aclose()


async def test_a_look_at_sick_servers_is_part_of_a_calls_time() -> None:
    async def broken_then_silent(request: web.Request) -> web.StreamResponse:
        return await hang(request) if request.path == "/health" else web.Response(status=500)

    async with at(broken_then_silent) as one, at(broken_then_silent) as other:
        model = chat(f"{one},{other}", max_retries=4, timeout_s=4.0)  # less than a look may take
        calls = (model.ainvoke("hi") for _ in range(6))  # three failures each: both are sick
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(each) for each in ended} == {TimedOut}
        assert "the servers gave no whole reply within 4 s" in str(ended[0])
        await model.aclose()


async def test_calls_outlast_a_time_in_which_all_replicas_are_down_and_probe_them_together() -> (
    None
):
    choice = {"message": {"content": "so"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    down, looks = True, 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal looks
        looks += request.path == "/health"
        whole = {"model": "m", "choices": [choice], "usage": usage, "data": [{"id": "m"}]}
        return web.json_response(whole, status=500 if down else 200)

    async with at(answer) as one, at(answer) as other:
        model = chat(f"{one},{other}", max_retries=4, token_ids=False)
        calls = asyncio.gather(*(model.ainvoke("hi") for _ in range(40)))
        await until(lambda: looks >= 2)  # the calls have failed, and so have both servers
        down = False
        assert {reply.content for reply in await calls} == {"so"}
        # no call was lost; each on its own would have looked at both servers: 80
        assert model.outcomes["answered"] == 40
        assert looks <= 10
        await model.aclose()


async def test_the_calls_of_a_graphs_thread_stay_on_one_of_several_servers() -> None:
    with stub() as one, stub() as other:
        model = chat(f"{one.url},{other.url}")

        async def ask(state: Asked) -> Asked:
            for step in "abc":
                await model.ainvoke(f"{state['prompt']} {step}")
            return {}

        play = StateGraph(Asked).add_node("ask", ask).add_edge(START, "ask").compile()
        await asyncio.gather(
            *(
                play.ainvoke({"prompt": f"thread {n}"}, {"configurable": {"thread_id": str(n)}})
                for n in range(10)
            )
        )
        await model.aclose()
        threads = [
            Counter(prompt[:-2] for prompt in server.ledger["replies"]) for server in (one, other)
        ]
    assert all(
        Counter(answers.values()) == {3: 5} for answers in threads
    )  # five whole threads each


class Foreign(AsyncCallbackHandler):
    """Somebody else's handler: LangChain's whole ceremony is held for it."""


@pytest.mark.parametrize("heard_by", [Recorder(None, "r"), Foreign()], ids=["ours", "foreign"])
async def test_the_calls_of_a_rollout_stay_on_one_of_several_servers_whoever_listens(
    heard_by: BaseCallbackHandler,
) -> None:
    of_one: Any = {"metadata": {"rollout": "one"}, "callbacks": [heard_by]}
    with stub() as first, stub() as second:
        model = chat(f"{first.url},{second.url}")
        await model.ainvoke("one 1", of_one)
        stalled = asyncio.create_task(model.ainvoke("fault:stall"))  # to the first: both are idle
        await until(lambda: first.ledger["stall"] == 1)
        await model.ainvoke("one 2", of_one)  # the first is the busier now, and still the rollout's
        await model.ainvoke("none")  # of no rollout, in the task that has just asked for one
        replies = [server.ledger["replies"] for server in (first, second)]
        stalled.cancel()
        await asyncio.gather(stalled, return_exceptions=True)
        await model.aclose()
    assert replies == [{"one 1": 1, "one 2": 1}, {"none": 1}]


async def test_two_thousand_calls_are_really_in_flight_at_once() -> None:
    program = Path(__file__).parents[3] / "benchmarks" / "stub_server.py"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3 * RUNS:
        pytest.skip(f"needs {3 * RUNS} open files, the machine allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * RUNS), hard))
    choice = {"message": {"content": "so"}, "finish_reason": "stop"}
    body = {
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(body))
        file.flush()
        # as long as it takes to send 2000 requests on a busy machine
        with running(program, file.name, "--delay", "20") as server:
            model = chat(server.url, token_ids=False, max_concurrency=RUNS)
            replies = await asyncio.gather(*(model.ainvoke("hi") for _ in range(RUNS)))
            ledger = server.ledger
            await model.aclose()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {reply.content for reply in replies} == {"so"}
    assert ledger["peak"] == ledger["answered"] == RUNS


async def test_no_server_at_all_is_one_clear_error() -> None:
    model = chat("http://127.0.0.1:9/v1")
    with pytest.raises(Unreachable, match=r"cannot reach http://127\.0\.0\.1:9/v1"):
        await model.ainvoke("hi")
    await model.aclose()


def test_connections_close_with_their_loop(server: Stub) -> None:
    model = chat(server.url)
    for _ in range(2):  # a connection that was left open would warn, and warnings are errors
        assert asyncio.run(model.ainvoke("hi")).content == "reply to hi"
    assert model.invoke("hi").content == "reply to hi"
    asyncio.run(model.aclose())


def test_loops_that_are_over_are_not_kept(server: Stub) -> None:
    model = chat(server.url, max_concurrency=1)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def ask() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        # two, so that one waits for its slot: only then does a semaphore hold its loop
        await asyncio.gather(model.ainvoke("hi"), model.ainvoke("hi"))

    for _ in range(5):
        asyncio.run(ask())
    gc.collect()
    assert sum(each() is not None for each in loops) <= 1  # the last: nobody has come since
    asyncio.run(model.aclose())


async def test_the_trace_holds_what_the_server_sent(server: Stub) -> None:
    model = chat(server.url)
    trace = trace_of(await model.ainvoke("ab"))
    await model.aclose()
    assert trace is not None
    assert trace.prompt_ids == (1, 2)
    assert trace.completion_ids == tuple(b"reply to ab")
    assert trace.logprobs == (-0.5,) * 11
    assert trace.weights_version == "base"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  # what is waited for is another process
            await asyncio.sleep(0.02)
