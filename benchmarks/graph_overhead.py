"""Cost of the graphs against the same steps wired by hand, and cost of the recorder.

Run: python benchmarks/graph_overhead.py [--runs 300]
Four arms run the same scene with a model that answers at once, taking turns in blocks:

calls     the agent functions alone, under asyncio, without a graph
plain     the same functions as nodes of a handwritten graph, with plain LangGraph only:
          closures, one untyped state
ours      the graphs of quillgraph
recorded  ours, with a Recorder that writes every call to a file

Our graphs add ours - plain, the recorder adds recorded - ours: the median difference of
neighbouring blocks in processor time, which other work on the machine disturbs least, with a
bootstrapped 95 % interval. Prints a table and stores it in benchmarks/results/graph_overhead.json.
"""

import argparse
import asyncio
import gc
import json
import operator
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypedDict

import numpy as np
from langchain_core.embeddings import Embeddings
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from quillgraph.agents.domain import Category, Incident, Property, Relation, WritingTask
from quillgraph.agents.grounded_theory import (
    is_saturated,
    merge,
    new_code_ratio,
    open_code,
    select,
    similar_pairs,
    unlinked,
)
from quillgraph.agents.lenses import IDENTITIES
from quillgraph.backends import ChatRequest, Recorder, ScriptedChat
from quillgraph.graphs import Study, cast
from quillgraph.graphs.study import open_coding, selective_coding

RESULTS = Path(__file__).parent / "results"
BLOCK = 10
"""Runs of each arm before the order of the arms changes."""

WARM_UP = 20

INCIDENTS = 4
FAN_OUT_NODES = INCIDENTS * len(IDENTITIES) + 3
"""The coders' calls, and choose, pair_up, merge_codings."""

CHAIN_NODES = 2

MOST_ADDED_MS, MOST_ADDED_SHARE = 0.1, 0.1
"""Bound of the added cost: one of the two, a node or as a share of the run."""

TASK = WritingTask(request="A bedtime story of a lighthouse in a storm.", language="en")

Arm = Callable[[], Awaitable[Any]]


class Scattered(Embeddings):
    """Embeds each text by its hash, so that no two codes are near enough to compare."""

    def embed_query(self, text: str) -> list[float]:
        """Embed one text."""
        return [1.0 if byte & 1 else -1.0 for byte in blake2b(text.encode()).digest()]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        return [self.embed_query(text) for text in texts]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts without the thread of the default."""
        return self.embed_documents(texts)


def reply(request: ChatRequest) -> str:
    """Choose the first reading that is offered, or the first category."""
    properties = (request.json_schema or {})["properties"]
    if "reading" in properties:
        offered = properties["reading"]
        return json.dumps({"reading": offered.get("const") or offered["enum"][0]})
    tiers = dict.fromkeys(properties["core"]["enum"], "important")
    return json.dumps({"core": "k1", "tiers": tiers})


STUDY = cast(Study, ScriptedChat(reply=reply, items_per_call=1), embeddings=Scattered())


# A round of open coding: one incident to each coder, a fan-out of 12 calls


CLAUSES = [
    Incident(id=f"i{n}", source="request", doc_id="request", span=(0, 9), text=f"a storm of {n}")
    for n in range(1, INCIDENTS + 1)
]


def fan_out_start() -> dict[str, Any]:
    """The input of a round."""
    return {"task": TASK, "constraints": (), "incidents": CLAUSES}


async def fan_out_calls() -> Any:
    """A round without a graph."""
    answers = await asyncio.gather(
        *(
            open_code(TASK, [clause], [], identity, STUDY.coder, STUDY.embeddings)
            for clause in CLAUSES
            for identity in IDENTITIES
        )
    )
    codings = [coding for answer in answers for coding in answer.items]
    await similar_pairs((), codings, STUDY.embeddings)
    return merge((), codings, [])


class RoundState(TypedDict, total=False):
    """State of the round that is wired by hand."""

    task: Any
    constraints: Any
    incidents: Any
    batch: Any
    codings: Annotated[list[Any], operator.add]
    dropped: Annotated[list[Any], operator.add]
    pairs: Any
    codes: Any
    trace: Any


def plain_fan_out() -> Any:
    """A round as a graph that is wired by hand."""

    async def choose(state: RoundState) -> dict[str, Any]:
        return {"batch": state["incidents"]}

    def deal(state: RoundState) -> list[Send]:
        return [
            Send("code", {"task": state["task"], "clause": clause, "identity": identity})
            for clause in state["batch"]
            for identity in IDENTITIES
        ]

    async def code(state: dict[str, Any]) -> dict[str, Any]:
        answers = await open_code(
            state["task"], [state["clause"]], [], state["identity"], STUDY.coder, STUDY.embeddings
        )
        return {"codings": list(answers.items), "dropped": list(answers.dropped)}

    async def pair_up(state: RoundState) -> dict[str, Any]:
        return {"pairs": await similar_pairs((), state["codings"], STUDY.embeddings)}

    def merge_codings(state: RoundState) -> dict[str, Any]:
        codes = merge((), state["codings"], [])
        counts = [
            sum(code.evidence[0] == incident.id for code in codes) for incident in state["batch"]
        ]
        return {"codes": codes, "trace": (new_code_ratio(counts), is_saturated(counts))}

    graph = StateGraph(RoundState)
    graph.add_node("choose", choose)
    graph.add_node("code", code)  # type: ignore[type-var]  # untyped on purpose
    graph.add_node("pair_up", pair_up)
    graph.add_node("merge_codings", merge_codings)
    graph.add_edge(START, "choose")
    graph.add_conditional_edges("choose", deal, ["code"])
    graph.add_edge("code", "pair_up")
    graph.add_edge("pair_up", "merge_codings")
    graph.add_edge("merge_codings", END)
    return graph.compile()


# Selective coding: a chain of two nodes and one call


CATEGORIES = tuple(
    Category(
        id=f"k{n}",
        name=f"Aspect {n}",
        definition="what its codes share",
        code_ids=(f"c{n}",),
        properties=(Property(name="degree", low_pole="is absent", high_pole="is present"),),
    )
    for n in range(1, 5)
)
RELATIONS = (Relation(src="k2", dst="k1", type="causes"),)


def chain_start() -> dict[str, Any]:
    """The input of selective coding."""
    return {"task": TASK, "categories": CATEGORIES, "relations": RELATIONS}


async def chain_calls() -> Any:
    """Selective coding without a graph."""
    selection = await select(TASK, CATEGORIES, RELATIONS, STUDY.selective_coder)
    return unlinked(CATEGORIES, RELATIONS, selection.core.category_id)


class ChainState(TypedDict, total=False):
    """State of the chain that is wired by hand."""

    task: Any
    categories: Any
    relations: Any
    core: Any
    tiers: Any


def plain_chain() -> Any:
    """Selective coding as a graph that is wired by hand."""

    async def choose_core(state: ChainState) -> dict[str, Any]:
        selection = await select(
            state["task"], state["categories"], state["relations"], STUDY.selective_coder
        )
        return {"core": selection.core, "tiers": selection.tiers}

    def link(state: ChainState) -> dict[str, Any]:
        loose = unlinked(state["categories"], state["relations"], state["core"].category_id)
        return {"tiers": {**state["tiers"], **dict.fromkeys(loose, "optional")}}

    graph = StateGraph(ChainState)
    graph.add_node("choose_core", choose_core)
    graph.add_node("link", link)
    graph.add_edge(START, "choose_core")
    graph.add_edge("choose_core", "link")
    graph.add_edge("link", END)
    return graph.compile()


@dataclass(frozen=True, slots=True)
class Times:
    """Times of one arm's runs, in ms, in order."""

    wall: np.ndarray
    cpu: np.ndarray


async def measured(arms: dict[str, Arm], runs: int) -> dict[str, Times]:
    """Time the arms, block by block in turn; each round of blocks begins with another arm."""
    rows: dict[str, list[tuple[int, int]]] = {name: [] for name in arms}
    for arm in arms.values():
        for _ in range(WARM_UP):
            await arm()
    names = list(arms)
    gc.collect()
    gc.disable()  # a collection would fall on whichever arm happens to be running
    for block in range(-(-runs // BLOCK)):
        for name in names[block % len(names) :] + names[: block % len(names)]:
            for _ in range(BLOCK):
                wall, cpu = time.perf_counter_ns(), time.process_time_ns()
                await arms[name]()
                rows[name].append((time.perf_counter_ns() - wall, time.process_time_ns() - cpu))
            gc.collect()
    gc.enable()
    return {name: Times(*(np.array(row).T / 1e6)) for name, row in rows.items()}


def added(more: Times, less: Times, nodes: int) -> dict[str, float]:
    """The median difference a node, in ms and as a share, with its 95 % interval over blocks."""
    blocks = _of_blocks(more) - _of_blocks(less)
    draws = np.random.default_rng(0).choice(blocks, (10_000, len(blocks)))
    low, high = np.quantile(np.median(draws, axis=1), (0.025, 0.975))
    middle = float(np.median(blocks))
    return {
        "ms": middle / nodes,
        "low": float(low) / nodes,
        "high": float(high) / nodes,
        "share": middle / float(np.median(less.cpu)),
    }


def _of_blocks(times: Times) -> np.ndarray:
    medians: np.ndarray = np.median(times.cpu.reshape(-1, BLOCK), axis=1)
    return medians


def summarised(times: dict[str, Times], nodes: int) -> dict[str, Any]:
    """The stored results of one scene."""
    arms = {
        name: {
            "median_ms": float(np.median(row.wall)),
            "p95_ms": float(np.quantile(row.wall, 0.95)),
            "cpu_median_ms": float(np.median(row.cpu)),
        }
        for name, row in times.items()
    }
    return {
        "nodes": nodes,
        "runs": len(times["ours"].wall),
        "arms": arms,
        "added_a_node": {
            "by LangGraph itself (plain - calls)": added(times["plain"], times["calls"], nodes),
            "by our graphs (ours - plain)": added(times["ours"], times["plain"], nodes),
            "by the recorder (recorded - ours)": added(times["recorded"], times["ours"], nodes),
        },
    }


async def scene(
    calls: Arm, plain: Any, ours: Any, start: Callable[[], dict[str, Any]], runs: int, nodes: int
) -> dict[str, Any]:
    """Measure one scene in all arms."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Recorder(Path(folder) / "calls.jsonl", run="overhead") as recorder,
    ):
        arms: dict[str, Arm] = {
            "calls": calls,
            "plain": lambda: plain.ainvoke(start()),
            "ours": lambda: ours.ainvoke(start(), context=STUDY),
            "recorded": lambda: ours.ainvoke(start(), {"callbacks": [recorder]}, context=STUDY),
        }
        return summarised(await measured(arms, runs), nodes)


def cpu_name() -> str:
    """Name the processor."""
    table = Path("/proc/cpuinfo")
    if table.is_file():
        for line in table.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def show(name: str, report: dict[str, Any]) -> None:
    """Print one scene as a table."""
    print(f"\n{name}: {report['nodes']} nodes, {report['runs']} runs an arm")
    for arm, row in report["arms"].items():
        print(
            f"  {arm:10}{row['median_ms']:9.3f} ms median{row['p95_ms']:9.3f} ms p95"
            f"{row['cpu_median_ms']:9.3f} ms of processor"
        )
    for what, row in report["added_a_node"].items():
        within = row["ms"] <= MOST_ADDED_MS or row["share"] <= MOST_ADDED_SHARE
        verdict = "" if "LangGraph" in what else "  within" if within else "  above"
        print(
            f"  {what:36}{row['ms']:+8.3f} ms a node [{row['low']:+.3f}, {row['high']:+.3f}], "
            f"{row['share']:+7.1%}{verdict}"
        )


async def main(runs: int) -> None:
    """Measure, print and store."""
    round_graph = open_coding.build_round().compile()
    core_graph = selective_coding.build().compile()
    report = {
        "python": platform.python_version(),
        "langgraph": version("langgraph"),
        "langchain-core": version("langchain-core"),
        "cpu": cpu_name(),
        "fan-out": await scene(
            fan_out_calls, plain_fan_out(), round_graph, fan_out_start, runs, FAN_OUT_NODES
        ),
        "chain": await scene(
            chain_calls, plain_chain(), core_graph, chain_start, runs, CHAIN_NODES
        ),
    }
    print(f"Python {report['python']}, LangGraph {report['langgraph']}, {report['cpu']}")
    for name in ("fan-out", "chain"):
        show(name, report[name])  # type: ignore[arg-type]  # the others are strings
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(report, indent=1) + "\n"
    (RESULTS / "graph_overhead.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=300, help="runs of each arm")
    asyncio.run(main(parser.parse_args().runs))
