"""Budgets from the command line: of calls, tokens and time, for a run and for its nodes."""

import json
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends.calls import read_records
from quillgraph.graphs.episodes import Episode

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"


def ferry(*more: object) -> list[object]:
    return [
        "write", "--file", SCRIPTS / "ferry.txt", "--criteria", SCRIPTS / "ferry.criteria.json",
        "--backend", f"scripted:{SCRIPTS / 'ferry.yaml'}", "--out", "run", *more,
    ]  # fmt: skip


def calls_in(node: str) -> int:
    records = read_records(Path("run", "calls.jsonl"))
    return sum(node in record.graph.split("/") for record in records)


def test_a_node_stops_at_its_budget_and_the_run_keeps_what_it_has(quillgraph: Any) -> None:
    done = quillgraph(*ferry("--node-budget", "revise=1calls"))
    assert done.status == 4
    assert "the budget of node 'revise' of 1 calls is spent; raise --node-budget" in done.error
    assert calls_in("revise") == 1
    episode = Episode.model_validate_json(Path("run", "episode.json").read_text(encoding="utf-8"))
    assert (len(episode.attempts), episode.is_complete) == (2, False)
    assert json.loads(Path("run", "run.json").read_text())["status"] == "budget reached"


def test_a_call_that_was_refused_is_no_call(quillgraph: Any) -> None:
    assert quillgraph(*ferry("--max-calls", 5)).status == 4
    run = json.loads(Path("run", "run.json").read_text())
    assert (run["calls"], run["failed_calls"]) == (5, 0)
    assert len(read_records(Path("run", "calls.jsonl"))) == 5


def test_budgets_of_nodes_come_from_a_file_and_options_go_before(quillgraph: Any) -> None:
    Path("c.yaml").write_text("node_budgets: {revise: 1calls, score: 2calls}\n")
    done = quillgraph(*ferry("--config", "c.yaml", "--node-budget", "score=99calls"))
    assert done.status == 4
    assert "node 'revise' of 1 calls" in done.error
    assert calls_in("score") > 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "revise",
            "expected --node-budget NODE=AMOUNTS, got 'revise'; for example revise=20calls,",
        ),
        ("revise=", "expected --node-budget NODE=AMOUNTS, got 'revise='"),
        ("revised=2calls", "--node-budget: unknown node 'revised': did you mean 'revise'?"),
        ("revise=2", "--node-budget revise: expected amounts like 20calls,5000tokens,30s"),
        ("revise=0calls", "more than 0, got '0calls'"),
    ],
)
def test_a_budget_that_means_nothing_is_refused_before_anything_is_made(
    value: str, message: str, quillgraph: Any
) -> None:
    done = quillgraph(*ferry("--node-budget", value))
    assert done.status == 2
    assert message in done.error
    assert not Path("run").exists()


def test_the_environment_is_told_how_to_say_it(
    quillgraph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLGRAPH_NODE_BUDGETS", "revise=1calls")
    done = quillgraph(*ferry())
    assert done.status == 2
    assert 'QUILLGRAPH_NODE_BUDGETS: expected JSON like {"revise": "20calls,30s"}' in done.error


@pytest.mark.parametrize(
    ("command", "node"), [("criteria", "sampling"), ("criteria", "draw"), ("judge", "score")]
)
def test_each_command_knows_the_nodes_of_its_graphs(
    command: str, node: str, quillgraph: Any, spec: str
) -> None:
    words: list[object] = [command, "--backend", spec, "--node-budget", f"{node}=1calls"]
    if command == "judge":
        Path("text.txt").write_text("The bell rang twice and the old man cut the rope.")
        words += ["--criteria", SCRIPTS / "ferry.criteria.json", "--text", "text.txt"]
        words += ["--file", SCRIPTS / "ferry.txt", "--samples", 2]
    else:
        words += ["A toast to rain.", "--drafts", 2]
    done = quillgraph(*words, "--out", "run")
    assert done.status == 4, done.stderr
    assert calls_in(node) == 1


SLOW_GRAPH = """
import asyncio
from typing import TypedDict

from langgraph.graph import START, StateGraph

from quillgraph.backends.scripted import ScriptedChat


class Poem(TypedDict, total=False):
    request: str
    text: str


class Endless(ScriptedChat):
    async def _complete(self, request):
        await asyncio.Event().wait()


model = Endless(reply=lambda _: "")


async def one(poem):
    return {"text": (await model.ainvoke(poem["request"])).text}


def build():
    return StateGraph(Poem).add_node("one", one).add_edge(START, "one")
"""


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--node-budget", "one=0.2s"), "the 0.2 s of node 'one' are over; raise --node-budget"),
        (("--timeout", "0.2"), "the 0.2 s of the run are over; raise --timeout"),
    ],
)
def test_time_that_is_over_stops_the_calls_of_any_graph(
    option: tuple[str, str], message: str, quillgraph: Any
) -> None:
    Path("slow.py").write_text(SLOW_GRAPH, encoding="utf-8")
    done = quillgraph(
        "run", "slow.py:build", "On rain.", "--out", "run", *option,
        "--backend", f"scripted:{SCRIPTS / 'ferry.yaml'}",
    )  # fmt: skip
    assert done.status == 4
    assert message in done.error
