"""What does `run_graph` cost beside the model: processor time of a run, per graph.

The model answers at once, so all that is left is LangGraph and the recording of calls. To compare
two builds, run it in both checkouts by turns:

    python -P benchmarks/run_overhead.py
"""

import argparse
import asyncio
import itertools
import statistics
import time
from typing import TypedDict

from langgraph.graph import END, START, StateGraph

from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes import EpisodeSource, episode_source, run_graph


class State(TypedDict, total=False):
    """The request, and the last reply."""

    request: str
    text: str


def chain(nodes: int) -> EpisodeSource:
    """A chain of nodes that call the model once each."""
    model = ScriptedChat(reply=lambda _: "mist", max_concurrency=64)

    async def write(state: State) -> State:
        return {"text": str((await model.ainvoke("Go on.")).content)}

    graph = StateGraph(State)
    names = [START, *(f"n{number}" for number in range(nodes)), END]
    for name in names[1:-1]:
        graph.add_node(name, write)
    for before, after in itertools.pairwise(names):
        graph.add_edge(before, after)
    return episode_source(graph.compile())


async def measure(nodes: int, runs: int, rounds: int) -> list[float]:
    """Processor time of a run in each round, milliseconds."""
    source, times = chain(nodes), []
    for number in range(rounds + 1):  # the first warms up
        start = time.process_time()
        for _ in range(runs):
            episode = await run_graph(source, "A line on fog.")
            assert episode.is_complete
            assert len(episode.calls) == nodes
        if number:
            times.append((time.process_time() - start) / runs * 1e3)
    return times


def main() -> None:
    """Print the median and the least processor time of a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=5, help="nodes of the chain")
    parser.add_argument("--runs", type=int, default=60, help="runs in a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    times = asyncio.run(measure(options.nodes, options.runs, options.rounds))
    middle = statistics.median(times)
    print(f"{options.nodes} calls: median {middle:.2f} ms a run, least {min(times):.2f} ms")


if __name__ == "__main__":
    main()
