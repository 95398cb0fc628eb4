"""Cost of a client at hundreds and thousands of requests in flight.

Run: python benchmarks/client_concurrency.py [--body traced] [--repeats 3] [--gc python]
A server in its own process (`stub_server.py`) sends every request the same answer after half a
second, and counts the requests in flight. One process with one event loop calls it through

aiohttp           aiohttp alone: the least that a Python client costs
ours              `vllm-server` of quillgraph
ours_graph        the same in a LangGraph graph of one node
ours_recorded     the same with a `Recorder` that writes every call to a file
openai_sdk        `openai.AsyncOpenAI`
chat_openai       `langchain_openai.ChatOpenAI`
chat_openai_graph the same in the same graph

Each arm makes the same number of calls, at least two for each slot in flight, so that the start and
the end of a run weigh little. Arms take turns, and each repeat starts with another arm.
Every reply is compared with the body that the server sends. The body is a reply of 200 words, with
`--body traced` with token ids and log-probs, as vLLM sends them if a trainer needs them. Client and
server are pinned to one core each if there are two. Every arm runs under `collecting_seldom`, as
the command `quillgraph` does, or with `--gc python` under Python's own thresholds. Prints a table
of medians and stores it in benchmarks/results/client_concurrency[-traced][-gc-python].json.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

import aiohttp
import openai
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from pydantic import SecretStr

from quillgraph.backends import Recorder, collecting_seldom, connect
from quillgraph.backends.errors import BackendError

RESULTS = Path(__file__).parent / "results"
DELAY_S = 0.5
TIMEOUT_S = 600.0
"""Of every arm: with its own, OpenAI's client gives up connecting after 5 s on a busy machine."""

CALLS = 4_096
WARM_UP = 50
PROMPT = " ".join(f"ask{number}" for number in range(200))
REPLY = " ".join(f"word{number}" for number in range(200))

Call = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of one arm."""

    seconds: float
    cpu_ms: float
    """Processor time of the client per call."""
    peak: int
    """Most requests in flight at the server."""
    lost: int
    """Calls that did not end in the reply that was sent."""


def reply_body(*, traced: bool) -> dict[str, Any]:
    """The body of the server's answers."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": REPLY},
        "finish_reason": "stop",
    }
    body = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 200, "completion_tokens": 200, "total_tokens": 400},
    }  # fmt: skip
    if traced:
        tokens = [f"{word} " for word in REPLY.split()]
        body["prompt_token_ids"] = list(range(1000, 1200))
        choice["token_ids"] = list(range(2000, 2200))
        choice["logprobs"] = {
            "content": [
                {"token": t, "logprob": -0.5123, "bytes": list(t.encode()), "top_logprobs": []}
                for t in tokens
            ]
        }
    return body


@contextmanager
def serving(body: dict[str, Any], folder: Path) -> Iterator[int]:
    """Run the server; yields its port."""
    (folder / "body.json").write_text(json.dumps(body), encoding="utf-8")
    program = Path(__file__).with_name("stub_server.py")
    command = [sys.executable, "-P", str(program), str(folder / "body.json")]
    with subprocess.Popen(
        [*command, "--delay", str(DELAY_S)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if len(cores) > 1:
            os.sched_setaffinity(process.pid, cores[1:2])
            os.sched_setaffinity(0, cores[:1])
        yield int(process.stdout.readline())
        process.stdin.close()


class Asked(TypedDict, total=False):
    """State of the graph of one node."""

    prompt: str
    reply: str


def in_graph(model: BaseChatModel, config: RunnableConfig | None = None) -> Call:
    """A model's call as a graph of one node."""

    async def ask(state: Asked) -> Asked:
        message = await model.ainvoke([HumanMessage(state["prompt"])])
        return {"reply": str(message.content)}

    graph = StateGraph(Asked)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    play = graph.compile()

    async def call() -> str | None:
        return str((await play.ainvoke({"prompt": PROMPT}, config))["reply"])

    return call


def alone(model: BaseChatModel) -> Call:
    """A model's call."""

    async def call() -> str | None:
        return str((await model.ainvoke([HumanMessage(PROMPT)])).content)

    return call


async def call_of(arm: str, url: str, traced: bool, folder: Path, stack: AsyncExitStack) -> Call:
    """Make the arm's client."""
    body = {"model": "m", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 512}
    if arm == "aiohttp":
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))

        async def raw() -> str | None:
            async with session.post(f"{url}/chat/completions", json=body) as answer:
                return str((await answer.json())["choices"][0]["message"]["content"])

        return raw
    if arm == "openai_sdk":
        client = await stack.enter_async_context(
            openai.AsyncOpenAI(base_url=url, api_key="none", timeout=TIMEOUT_S)
        )

        async def sdk() -> str | None:
            answer = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": PROMPT}], max_tokens=512
            )
            return answer.choices[0].message.content

        return sdk
    if arm.startswith("chat_openai"):
        foreign = ChatOpenAI(
            model="m",
            base_url=url,
            api_key=SecretStr("none"),
            use_responses_api=False,
            timeout=TIMEOUT_S,
        )
        return in_graph(foreign) if arm.endswith("graph") else alone(foreign)
    ours = connect(f"vllm-server:m@{url}", token_ids=traced, max_concurrency=100_000)
    stack.push_async_callback(ours.aclose)
    if arm == "ours_recorded":
        recorder = stack.enter_context(Recorder(folder / "calls.jsonl", run="benchmark"))
        return in_graph(ours, {"callbacks": [recorder]})
    return in_graph(ours) if arm == "ours_graph" else alone(ours)


ARMS = (
    "aiohttp", "ours", "ours_graph", "ours_recorded", "openai_sdk", "chat_openai",
    "chat_openai_graph",
)  # fmt: skip


async def measure(arm: str, port: int, level: int, traced: bool, folder: Path) -> Measured:
    """Make all calls, `level` at a time."""
    left, lost = CALLS, 0
    async with AsyncExitStack() as stack:
        call = await call_of(arm, f"http://127.0.0.1:{port}/v1", traced, folder, stack)

        async def work() -> None:
            nonlocal left, lost
            while left > 0:
                left -= 1
                try:
                    lost += await call() != REPLY
                except (openai.OpenAIError, BackendError, aiohttp.ClientError):
                    lost += 1

        await asyncio.gather(*(call() for _ in range(WARM_UP)))
        ledger(port)  # begins a new peak
        gc.collect()
        clock, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(level)))
        clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    return Measured(clock, 1000 * cpu / CALLS, ledger(port)["peak"], lost)


def ledger(port: int) -> dict[str, int]:
    """The counters of the server."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ledger") as answer:
        counted: dict[str, int] = json.load(answer)
        return counted


def table(runs: dict[str, list[Measured]]) -> dict[str, Any]:
    """Medians of the arms, and the ratios that matter."""
    rows = {
        arm: {
            "calls_per_s": round(CALLS / statistics.median(run.seconds for run in each), 1),
            "seconds": round(statistics.median(run.seconds for run in each), 3),
            "cpu_ms_per_call": round(statistics.median(run.cpu_ms for run in each), 3),
            "peak_in_flight": min(run.peak for run in each),
            "lost": sum(run.lost for run in each),
        }
        for arm, each in runs.items()
    }
    pairs = {"in_graph": ("ours_graph", "chat_openai_graph"), "alone": ("ours", "chat_openai")}
    ratios = {
        name: sorted(
            round(theirs.seconds / own.seconds, 2)
            for own, theirs in zip(runs[mine], runs[other], strict=True)
        )
        for name, (mine, other) in pairs.items()
        if mine in runs and other in runs
    }
    medians = {name: statistics.median(each) for name, each in ratios.items()}
    return {"arms": rows, "throughput_ratio": medians, "throughput_ratio_by_repeat": ratios}


def show(level: int, measures: dict[str, Any]) -> None:
    """Print one level's table."""
    print(f"\n{level} in flight")
    print(f"{'arm':18} {'calls/s':>8} {'CPU ms/call':>12} {'peak':>6} {'lost':>5}")
    for arm, row in measures["arms"].items():
        print(
            f"{arm:18} {row['calls_per_s']:8.0f} {row['cpu_ms_per_call']:12.2f} "
            f"{row['peak_in_flight']:6d} {row['lost']:5d}"
        )
    print("ours over ChatOpenAI:", measures["throughput_ratio"])


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--body", choices=("plain", "traced"), default="plain")
    parser.add_argument("--levels", type=int, nargs="+", default=[512, 2000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--gc", choices=("seldom", "python"), default="seldom")
    options = parser.parse_args()
    traced = options.body == "traced"
    levels: dict[str, Any] = {}
    # one loop for all: ChatOpenAI's instances share a connection pool, which would
    # outlive the loop of its connections
    with (
        tempfile.TemporaryDirectory() as name,
        serving(reply_body(traced=traced), Path(name)) as p,
        asyncio.Runner() as runner,
        nullcontext() if options.gc == "python" else collecting_seldom(),
    ):
        thresholds = gc.get_threshold()
        for level in options.levels:
            runs: dict[str, list[Measured]] = {arm: [] for arm in options.arms}
            for repeat in range(options.repeats):
                turn = repeat % len(options.arms)
                for arm in options.arms[turn:] + options.arms[:turn]:
                    runs[arm].append(runner.run(measure(arm, p, level, traced, Path(name))))
            levels[str(level)] = table(runs)
            levels[str(level)]["runs"] = {
                arm: [asdict(run) for run in each] for arm, each in runs.items()
            }
            show(level, levels[str(level)])
    packages = ("aiohttp", "openai", "langchain-openai", "langchain-core", "langgraph")
    result = {
        "body": options.body,
        "gc": options.gc,
        "gc_thresholds": thresholds,
        "delay_s": DELAY_S,
        "calls": CALLS,
        "repeats": options.repeats,
        "cores": os.cpu_count(),
        "load_1min_at_end": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "levels": levels,
    }
    kind = ("-traced" if traced else "") + ("-gc-python" if options.gc == "python" else "")
    file = RESULTS / f"client_concurrency{kind}.json"
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"\nstored in {file}")


if __name__ == "__main__":
    main()
