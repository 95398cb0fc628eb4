"""Calls to servers that fail: each ends in a result or in a typed error, and the books balance."""

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph

from quillgraph.backends.errors import (
    BackendError,
    RateLimited,
    Refused,
    ServerFailed,
    Unreachable,
)
from quillgraph.backends.traces import trace_of
from quillgraph.backends.vllm_server import VllmServerChat

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
    ("fault", "kind", "said"),
    [
        ("busy", RateLimited, "answered 429: overloaded"),
        ("broken", ServerFailed, "answered 500: a kernel failed"),
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
    server: Stub, fault: str, kind: type[BackendError], said: str
) -> None:
    model = chat(server.url)
    with pytest.raises(kind, match=said) as caught:
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
    before = server.ledger["broken"]
    with pytest.raises(ServerFailed):
        await model.ainvoke("fault:broken")
    # pauses of 0.25 to 0.5 s, then 0.5 to 1 s: the third would come too late
    assert 1 <= server.ledger["broken"] - before <= 2
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
    assert all(Counter(held.values()) == {3: 5} for held in threads)  # five whole threads each


async def test_two_thousand_calls_are_really_in_flight_at_once() -> None:
    program = Path(__file__).parents[2] / "benchmarks" / "stub_server.py"
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
