"""`quillgraph run`: any graph, on a request, a state, or a file of many."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import filelock
import pytest

from quillgraph.backends.calls import read_records
from quillgraph.graphs.episodes import read_episodes

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
FERRY = (
    "--criteria",
    SCRIPTS / "ferry.criteria.json",
    "--backend",
    f"scripted:{SCRIPTS}/ferry.yaml",
)

OWN_GRAPH = """
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypedDict

from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt


@dataclass
class Desk:
    poet: BaseChatModel
    rounds: int = 7


class Poem(TypedDict, total=False):
    request: str
    text: str
    rounds: int
    title: object


async def write(state: Poem, runtime: Runtime[Desk]) -> Poem:
    if "explode" in state["request"]:
        raise ZeroDivisionError("no rhyme")
    reply = await runtime.context.poet.ainvoke(state["request"])
    return {"text": reply.text, "rounds": runtime.context.rounds}


def build() -> StateGraph:
    graph = StateGraph(Poem, context_schema=Desk)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    graph.add_edge("write", END)
    return graph


def asking() -> StateGraph:
    def ask(state: Poem) -> Poem:
        return {"title": interrupt("Which title?")}

    graph = build()
    graph.add_node("ask", ask)
    graph.add_edge("write", "ask")
    return graph


def asking_twice() -> StateGraph:
    def name(state: Poem) -> Poem:
        return {"title": interrupt("Which title?")}

    def choose(state: Poem) -> Poem:
        return {"text": interrupt("Which form?")}

    def join(state: Poem) -> Poem:
        return {"text": f"{state['title']}, {state['text']}"}

    graph = StateGraph(Poem)
    graph.add_node("name", name)
    graph.add_node("form", choose)
    graph.add_node("join", join)
    graph.add_edge(START, "name")
    graph.add_edge(START, "form")
    graph.add_edge(["name", "form"], "join")
    return graph


def stopping():
    return build().compile(interrupt_before=["write"])


def threaded() -> StateGraph:
    def write(state: Poem, runtime: Runtime[Desk]) -> Poem:
        with ThreadPoolExecutor(4) as pool:
            replies = list(pool.map(runtime.context.poet.invoke, ["fog", "rope", "bell", "quay"]))
        return {"text": replies[0].text}

    graph = StateGraph(Poem, context_schema=Desk)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    return graph


def unkeepable() -> StateGraph:
    graph = build()
    graph.add_node("name", lambda state: {"title": (each for each in "title")})
    graph.add_edge("write", "name")
    return graph


def entryless() -> StateGraph:
    graph = StateGraph(Poem)
    graph.add_node("write", write)
    return graph


compiled = build().compile()
number = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file with graphs of a user's own, and a model that always says the same."""
    Path("poems.py").write_text(OWN_GRAPH, encoding="utf-8")
    Path("poet.yaml").write_text("rules: [{when: '', reply: A line on rain.}]", encoding="utf-8")
    return tmp_path / "poems.py"


POET = ("--backend", "scripted:poet.yaml", "--out", "run")


def read(name: str) -> Any:
    return json.loads(Path("run", name).read_text(encoding="utf-8"))


def test_a_graph_of_ours_runs_on_a_request_in_words(quillgraph: Any) -> None:
    request = (SCRIPTS / "ferry.txt").read_text(encoding="utf-8")
    done = quillgraph("run", "reflection", request, *FERRY, "--out", "run")
    assert done.status == 0, done.stderr
    assert "1 revision of 0  accepted  ΔR +0.065" in done.stdout
    assert "1 revision accepted, 2 rolled back" in done.stdout
    assert read("run.json")["status"] == "done"
    assert read("run.json")["graph"] == "reflection"
    assert {path.name for path in Path("run").iterdir()} == {
        ".lock", "calls.jsonl", "checkpoints.sqlite", "criteria.json", "episodes.jsonl",
        "failures.jsonl", "graph.mmd", "journal.sqlite", "kept_calls.sqlite", "request.txt",
        "run.json",
    }  # fmt: skip
    (episode,) = read_episodes(Path("run")).values()
    # 4 texts, 8 votes and 3 reflections; nothing is remembered
    assert len(episode.calls) == read("run.json")["calls"] == 15


@pytest.mark.parametrize("attribute", ["build", "compiled"])
def test_a_graph_of_a_users_own_runs_from_its_file(
    attribute: str, own: Path, quillgraph: Any
) -> None:
    done = quillgraph("run", f"poems.py:{attribute}", "On rain.", *POET, "--json")
    assert done.status == 0, done.stderr
    (episode,) = json.loads(done.stdout)["episodes"]
    # a measure of the context that is named like a setting gets the setting, here its default
    assert episode["output"] == {"request": "On rain.", "text": "A line on rain.", "rounds": 3}
    (call,) = read_records(Path("run", "calls.jsonl"))
    assert (call.role, call.node, call.run) == ("poet", "write", "1")


def test_a_graph_runs_on_a_state_as_json(quillgraph: Any) -> None:
    state = {"request": "A scene at sea.", "n": 2}
    Path("state.json").write_text(json.dumps(state), encoding="utf-8")
    done = quillgraph("run", "best_of_n", "--input", "state.json", *FERRY, "--out", "run", "--json")
    assert done.status == 0, done.stderr
    (episode,) = json.loads(done.stdout)["episodes"]
    assert [attempt["decision"] for attempt in episode["attempts"]] == ["drawn", "drawn"]


def test_a_graph_that_a_request_cannot_start_is_refused_before_the_run(quillgraph: Any) -> None:
    done = quillgraph("run", "open_coding", "A scene at sea.", *POET[2:])
    assert done.status != 0
    assert "expected the graph's input to have constraints, incidents" in done.error
    assert "--input FILE.json" in done.error
    assert not Path("run").exists()


def test_of_1000_lines_the_bad_one_is_reported_and_the_others_run(
    own: Path, quillgraph: Any
) -> None:
    lines = [json.dumps({"request": f"On rain, {n}."}) for n in range(1, 1001)]
    lines[699] = '{"request": "On rain, 700.'
    Path("batch.jsonl").write_text("\n".join(lines), encoding="utf-8")
    done = quillgraph("run", "poems.py:build", "--input", "batch.jsonl", *POET)
    assert done.status == 1
    assert done.stdout.count("A line on rain.") == 999
    assert "1 request gave no episode; the first is line 700: expected JSON, got" in done.error
    # told before the others have run
    left_out, began = (
        "1 line left out; the first is line 700: expected JSON",
        "running 999 requests",
    )
    assert 0 <= done.stderr.index(left_out) < done.stderr.index(began)
    (failure,) = map(json.loads, Path("run", "failures.jsonl").read_text("utf-8").splitlines())
    assert (failure["number"], failure["kind"]) == (700, "input")
    assert sorted(read_episodes(Path("run"))) == [n for n in range(1, 1001) if n != 700]


def test_a_node_that_raises_costs_its_own_request_alone(own: Path, quillgraph: Any) -> None:
    Path("batch.jsonl").write_text('"On rain."\n"explode"\n"On snow."\n', encoding="utf-8")
    done = quillgraph("run", "poems.py:build", "--input", "batch.jsonl", *POET)
    assert done.status == 1
    assert "line 2: in node write: ZeroDivisionError: no rhyme" in done.error
    assert list(read_episodes(Path("run"))) == [1, 3]
    # what has failed is tried again, what is done stays
    done = quillgraph("run", "--resume", "run", "--json")
    assert done.status == 1
    assert [each["number"] for each in json.loads(done.stdout)["excluded"]] == [2]
    assert len(read_records(Path("run", "calls.jsonl"))) == 2


def test_a_run_that_stopped_at_its_budget_goes_on_with_a_larger_one(
    own: Path, quillgraph: Any
) -> None:
    Path("batch.jsonl").write_text('"One."\n"Two."\n"Three."\n', encoding="utf-8")
    done = quillgraph("run", "poems.py:build", "--input", "batch.jsonl", *POET, "--max-calls", 2)
    assert done.status == 4
    assert "the budget of 2 calls is spent; raise --max-calls" in done.error
    assert read("run.json")["status"] == "budget reached"
    assert len(read_episodes(Path("run"))) == 2
    # the calls of the first process count
    assert quillgraph("run", "--resume", "run", "--max-calls", 2).status == 4
    assert quillgraph("run", "--resume", "run", "--max-calls", 3).status == 0
    assert len(read_episodes(Path("run"))) == 3
    assert len(read_records(Path("run", "calls.jsonl"))) == 3


def test_a_run_goes_on_from_any_folder_by_the_files_it_began_with(
    own: Path, quillgraph: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun_in = Path.cwd()
    Path("batch.jsonl").write_text('"One."\n"Two."\n', encoding="utf-8")
    words = ("run", "poems.py:build", "--input", "batch.jsonl", *POET, "--max-calls", 1)
    assert quillgraph(*words).status == 4
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    done = quillgraph("run", "--resume", os.path.relpath(begun_in / "run"), "--max-calls", 2)
    assert done.status == 0, done.stderr
    assert Path.cwd() == elsewhere
    assert list(read_episodes(begun_in / "run")) == [1, 2]
    facts = json.loads((begun_in / "run" / "run.json").read_text(encoding="utf-8"))
    gone = json.dumps({**facts, "began_in": str(tmp_path / "gone")})
    (begun_in / "run" / "run.json").write_text(gone, encoding="utf-8")
    done = quillgraph("run", "--resume", begun_in / "run")
    assert done.status == 2
    assert "gone, which is gone; if it has moved, write its place as began_in" in done.error


def test_a_question_of_the_graph_waits_for_its_answer(own: Path, quillgraph: Any) -> None:
    done = quillgraph("run", "poems.py:asking", "On rain.", *POET)
    assert done.status == 1
    assert "Which title?" in done.error
    done = quillgraph("run", "--resume", "run", "--answer", '"Rain"', "--json")
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["episodes"][0]["output"]["title"] == "Rain"
    # the poem was not written again
    assert len(read_records(Path("run", "calls.jsonl"))) == 1


def test_each_question_is_answered_by_its_id(own: Path, quillgraph: Any) -> None:
    done = quillgraph("run", "poems.py:asking_twice", "On rain.", *POET)
    assert done.status == 1
    rows = [json.loads(line) for line in Path("run", "failures.jsonl").read_text().splitlines()]
    ids = {each["node"]: each["id"] for each in rows[0]["questions"]}
    assert f'node name asks "Which title?": --answer {ids["name"]}=ANSWER' in done.stderr
    assert f'node form asks "Which form?": --answer {ids["form"]}=ANSWER' in done.stderr
    assert "go on with: quillgraph run --resume run" in done.stderr
    done = quillgraph("run", "--resume", "run", "--answer", f"{'0' * 32}=Rain")
    assert done.status == 2
    assert f"no question {'0' * 32} is open in" in done.error
    assert f"{ids['name']} asks 'Which title?'" in done.error
    done = quillgraph("run", "--resume", "run", "--answer", "Rain", "--answer", "Ode")
    assert done.status == 2
    assert "expected one --answer to every question, or --answer ID=ANSWER" in done.error
    done = quillgraph("run", "--resume", "run", "--answer", f"{ids['form']}=an ode")
    assert done.status == 1
    assert "Which title?" in done.error
    assert "Which form?" not in done.stderr
    words = ("--answer", f"{ids['name']}=Rain", "--json")
    done = quillgraph("run", "--resume", "run", *words)
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["episodes"][0]["output"]["text"] == "Rain, an ode"


def test_one_answer_goes_to_every_question(own: Path, quillgraph: Any) -> None:
    done = quillgraph("run", "poems.py:asking_twice", "On rain.", *POET, "--answer", "x", "--json")
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["episodes"][0]["output"]["text"] == "x, x"


def test_a_run_goes_on_behind_a_breakpoint(own: Path, quillgraph: Any) -> None:
    done = quillgraph("run", "poems.py:stopping", "On rain.", *POET)
    assert done.status == 1
    assert "stopped at a breakpoint, with write still to run" in done.error
    assert "go on with: quillgraph run --resume run" in done.stderr
    assert quillgraph("run", "--resume", "run").status == 0


def test_calls_in_threads_are_held_to_the_budget(own: Path, quillgraph: Any) -> None:
    done = quillgraph("run", "poems.py:threaded", "On rain.", *POET, "--max-calls", 2)
    assert done.status == 4
    assert len(read_records(Path("run", "calls.jsonl"))) == 2
    assert quillgraph("run", "--resume", "run", "--max-calls", 4).status == 0
    calls = [each for each in read_records(Path("run", "calls.jsonl")) if not each.replayed]
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reflektion", "x"], "unknown graph 'reflektion': did you mean 'reflection'?"),
        (["poems.py:bild", "x"], "no 'bild' in poems.py: did you mean 'build'?"),
        (["poem.py:build", "x"], "no file poem.py; expected file.py:attribute"),
        (["poemz:build", "x"], "no module 'poemz' for graph 'poemz:build'"),
        (["poems.py:number", "x"], "expected a StateGraph, a compiled one, or a function"),
        (["poems.py:Desk", "x"], "or a function without arguments that makes one, but calling"),
        (["poems.py:entryless", "x"], "cannot be compiled: Graph must have an entrypoint"),
        (["poems.py:build", "x", "--role", "pot=scripted:poet.yaml"], "did you mean 'poet'?"),
        (["poems.py:build"], "expected a REQUEST or --input FILE, got neither"),
        (["poems.py:build", "--input", "none.jsonl"], "cannot read none.jsonl: No such file"),
        (["poems.py:unkeepable", "x"], "state 'title' holds a value of type generator"),
        ([], "expected a GRAPH or --resume RUN_DIR, got neither"),
        (["--resume", "nowhere"], "expected the folder of a run with its run.json, got nowhere"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_run_is_said_in_a_line(
    words: list[str], message: str, own: Path, quillgraph: Any
) -> None:
    done = quillgraph("run", *words, *(() if "--resume" in words else POET))
    assert done.status in (1, 2)
    assert done.stdout == ""
    assert message in done.error


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"reqest": "x"}', "the graph takes no 'reqest': did you mean 'request'?"),
        ('{"request": 3}', "request: expected text, got int"),
        ('{"request": " "}', "expected a writing request, got an empty text"),
        ('{"request": "x", "n": "many"}', "n: Input should be a valid integer"),
        ('{"request": "x", "criteria_set": {}}', "criteria_set.request_hash: Field required"),
        ("[1]", "expected a JSON object or a request in quotes, got '[1]'"),
        ("{}", "expected a request, got none"),
    ],
    ids=str,
)
def test_a_line_that_cannot_be_read_says_why(line: str, message: str, quillgraph: Any) -> None:
    Path("batch.jsonl").write_text(line, encoding="utf-8")
    done = quillgraph("run", "best_of_n", "--input", "batch.jsonl", *POET)
    assert done.status == 2
    assert f"line 1: {message}" in done.error or message in done.error
    assert not Path("run").exists()


def test_a_run_goes_on_as_it_was_begun_and_not_otherwise(own: Path, quillgraph: Any) -> None:
    assert quillgraph("run", "poems.py:build", "On rain.", *POET).status == 0
    done = quillgraph("run", "--resume", "run", "--seed", 3)
    assert "expected nothing but limits with --resume, got 'seed'" in done.error
    own.write_text(OWN_GRAPH.replace('"write"', '"compose"'), encoding="utf-8")
    done = quillgraph("run", "--resume", "run")
    assert done.status == 2
    assert "has changed since the run in run began" in done.error


def test_two_processes_do_not_go_on_with_the_same_run(own: Path, quillgraph: Any) -> None:
    assert quillgraph("run", "poems.py:build", "On rain.", *POET).status == 0
    Path("run", "calls.jsonl").write_text("half a line of the other process", encoding="utf-8")
    with filelock.FileLock("run/.lock"):
        command = [str(Path(sys.executable).with_name("quillgraph")), "run", "--resume", "run"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "another process is at the run in run" in done.stderr
    # nothing of it was touched
    assert Path("run", "calls.jsonl").read_text("utf-8") == "half a line of the other process"


def test_a_run_that_is_over_is_shown_again_and_starts_no_model(own: Path, quillgraph: Any) -> None:
    assert quillgraph("run", "poems.py:build", "On rain.", *POET).status == 0
    first = quillgraph("run", "--resume", "run", "--json")
    assert (first.status, len(json.loads(first.stdout)["episodes"])) == (0, 1)
    assert "starting the model" not in first.stderr
    assert read("run.json")["status"] == "done"


def test_a_run_of_another_command_is_refused(quillgraph: Any) -> None:
    request = ("--file", SCRIPTS / "ferry.txt", "--no-memory", "--out", "run")
    assert quillgraph("write", *request, *FERRY).status == 0
    done = quillgraph("run", "--resume", "run")
    assert "expected a run of `quillgraph run` in run, got one of another command" in done.error
