"""Cost of recording when many episodes are in flight.

Each episode is a LangGraph graph of four nodes in a row with one model call of half a second each
(an asyncio sleep, between .4 and .6 s, so that calls do not end in step). It is run in two ways,
which take turns:

plain     `graph.ainvoke` of LangGraph
recorded  `run_graphs`: callbacks, stream of tasks, records to a file, sealed episodes

The cost is the rise of the median wall time of a round of `--episodes` episodes, with
`--at-once` of them in flight. Memory is the resident set after each round of a recorded run that
continues: flat means that it does not grow with the number of episodes. Episodes begin all at once
and get out of step with time, as in a long batch: hence long rounds. Both ways run under
`collecting_seldom`, as the command's own runs do.

    python benchmarks/recording.py              about five minutes
"""

import argparse
import asyncio
import json
import platform
import random
import tempfile
import time
from collections.abc import Awaitable, Iterator
from importlib.metadata import version
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.requests import writing_task
from quillgraph.backends import collecting_seldom
from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes import run_graphs

RESULTS = Path(__file__).parent / "results"

NODES = ("plan", "draft", "check", "edit")
CALL_S = 0.5
MOST_SHARE = 0.02
"""Share of wall time that recording may cost (issue 5)."""

WORDS = "The fog came in over the water and the bell went on by itself. " * 12


class SlowChat(ScriptedChat):
    """Answers as its script says, after half a second."""

    async def _complete(self, request: ChatRequest) -> Completion:
        await asyncio.sleep(random.uniform(0.8, 1.2) * CALL_S)
        return await super()._complete(request)


class Text(TypedDict, total=False):
    """State of the graph."""

    request: str
    text: str


def graph_of() -> Any:
    """Four nodes in a row, each with one call."""
    model = SlowChat(reply=lambda _: WORDS, max_concurrency=100_000)

    def node(name: str) -> Any:
        async def write(state: Text) -> Text:
            prompt = f"{name}: {state['request']} {state.get('text', '')}"
            return {"text": str((await model.ainvoke(prompt)).content)}

        return write

    graph = StateGraph(Text)
    for before, name in zip((START, *NODES), NODES, strict=False):
        graph.add_node(name, node(name))
        graph.add_edge(before, name)
    graph.add_edge(NODES[-1], END)
    return graph.compile()


def resident_mb() -> float:
    """Resident memory of this process."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("expected a line VmRSS in /proc/self/status; run this on Linux")


async def plain(graph: Any, tasks: Iterator[WritingTask], at_once: int) -> None:
    """Run the graph by itself."""

    async def worker() -> None:
        for task in tasks:
            await graph.ainvoke({"request": task.request})

    await asyncio.gather(*(worker() for _ in range(at_once)))


async def recorded(graph: Any, tasks: Iterator[WritingTask], at_once: int) -> None:
    """Run the graph as a source of episodes, with the calls on disk."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "calls.jsonl"
        async for episode in run_graphs(graph, tasks, at_once=at_once, record=record):
            if episode.failure or len(episode.calls) != len(NODES):
                raise RuntimeError(f"expected {len(NODES)} calls, got {episode}")


async def timed(run: Awaitable[None]) -> tuple[float, float]:
    """Wall and processor seconds of a round."""
    wall, cpu = time.perf_counter(), time.process_time()
    await run
    return time.perf_counter() - wall, time.process_time() - cpu


async def main(episodes: int, at_once: int, rounds: int) -> None:
    """Measure, print and store."""
    graph, task = graph_of(), writing_task("Write of fog on a river.")
    times: dict[str, list[tuple[float, float]]] = {"plain": [], "recorded": []}
    memory: list[float] = []
    for _ in range(rounds + 1):
        for name, run in (("plain", plain), ("recorded", recorded)):
            times[name].append(await timed(run(graph, repeat(task, episodes), at_once)))
        memory.append(resident_mb())
    # the first round warms up
    walls = {name: [wall for wall, _ in pairs[1:]] for name, pairs in times.items()}
    measured = {
        name: {"wall_s": median(walls[name]), "cpu_s": median(cpu for _, cpu in pairs[1:])}
        for name, pairs in times.items()
    }
    calls = episodes * len(NODES)
    slower = measured["recorded"]["wall_s"] / measured["plain"]["wall_s"] - 1
    cpu_ms = 1000 * (measured["recorded"]["cpu_s"] - measured["plain"]["cpu_s"]) / calls
    grown = memory[-1] - memory[1]
    report = {
        "python": platform.python_version(), "langgraph": version("langgraph"),
        "episodes_a_round": episodes, "at_once": at_once, "call_s": CALL_S, "rounds": rounds,
        "arms": measured, "walls_s": walls, "added_share_of_wall": slower,
        "added_cpu_ms_a_call": cpu_ms,
        "resident_mb_after_rounds": [round(each, 1) for each in memory],
        "episodes_recorded": episodes * (rounds + 1),
    }  # fmt: skip
    for name, row in measured.items():
        print(f"{name:9}{row['wall_s']:8.3f} s wall{row['cpu_s']:8.3f} s of processor")
    verdict = "within" if slower <= MOST_SHARE else "above"
    print(f"recording adds {slower:+.2%} of wall time ({verdict} {MOST_SHARE:.0%})")
    print(f"               {cpu_ms:+.3f} ms of processor a call")
    print(
        f"memory {memory[1]:.0f} MB → {memory[-1]:.0f} MB ({grown:+.1f}) over {rounds - 1} rounds"
    )
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(report, indent=1) + "\n"
    (RESULTS / "recording.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=4096, help="episodes a round")
    parser.add_argument("--at-once", type=int, default=256, help="episodes in flight")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count")
    options = parser.parse_args()
    with collecting_seldom():
        asyncio.run(main(options.episodes, options.at_once, options.rounds))
