"""The command around its subcommands, and those that run no model."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from quillgraph.graphs.episodes import GRAPHS


def test_the_version_is_that_of_the_package(quillgraph: Any) -> None:
    done = quillgraph("--version")
    assert (done.status, done.stdout) == (0, f"quillgraph {version('quillgraph')}\n")


def test_the_help_lists_every_command_without_cutting_its_sentence(quillgraph: Any) -> None:
    done = quillgraph("--help", env={"COLUMNS": "80"})
    assert done.status == 0
    for command in ("criteria", "write", "judge", "train", "graphs", "doctor", "models", "memory"):
        assert f"\n  {command} " in done.stdout
    assert "..." not in done.stdout.replace("[ARGS]...", "")


@pytest.mark.parametrize("command", ["models", "memory"])
def test_the_help_of_a_group_lists_every_command_whole(command: str, quillgraph: Any) -> None:
    done = quillgraph(command, "--help", env={"COLUMNS": "80"})
    assert done.status == 0
    assert "..." not in done.stdout.replace("[ARGS]...", "")


def test_the_help_of_criteria_explains_specs_and_statuses(quillgraph: Any) -> None:
    text = " ".join(quillgraph("criteria", "--help").stdout.split())
    for part in ("KIND:MODEL[@URL]", "vllm:smollm2-135m", "NAME=SPEC", "4 a budget was reached"):
        assert part in text


def test_the_command_imports_nothing_heavy_before_it_is_told_what_to_do() -> None:
    program = (
        "import sys, quillgraph.cli.main\n"
        "heavy = {'langgraph', 'langchain_core', 'pydantic', 'openai', 'torch', 'transformers',"
        " 'vllm', 'numpy', 'networkx'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_graphs_are_listed_with_what_they_do(quillgraph: Any) -> None:
    done = quillgraph("graphs")
    assert done.status == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(GRAPHS)
    assert json.loads(quillgraph("graphs", "--json").stdout) == GRAPHS


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_drawn_as_mermaid(name: str, quillgraph: Any) -> None:
    done = quillgraph("graphs", "--draw", name)
    assert done.status == 0
    assert "graph TD;" in done.stdout
    assert "__start__" in done.stdout


def test_the_whole_workflow_is_drawn_with_its_stages_opened_up(quillgraph: Any) -> None:
    drawn = quillgraph("graphs", "--draw", "criteria").stdout
    for node in ("draw", "describe", "choose_core", "try_out", "freeze"):
        assert node in drawn


def test_a_graph_is_drawn_as_a_picture(quillgraph: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = quillgraph("graphs", "--draw", "sampling", "--png", "drawn.png")
    assert (done.status, done.stdout) == (0, "")
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--draw", "criterai"], 2, "unknown graph 'criterai': did you mean 'criteria'?"),
        (["--png", "drawn.png"], 2, "expected --draw NAME with --png"),
        (["--draw", "sampling", "--png", "no/drawn.png"], 1, "cannot write no/drawn.png: No such"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(
    words: list[str], status: int, message: str, quillgraph: Any
) -> None:
    done = quillgraph("graphs", *words)
    assert (done.status, done.stdout) == (status, "")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_the_built_in_models_are_listed(
    quillgraph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLGRAPH_CACHE", str(tmp_path / "cache"))
    rows = json.loads(quillgraph("models", "list", "--json").stdout)
    assert {"smollm2-135m", "minilm"} <= {row["name"] for row in rows}
    # nothing has been pulled into this cache
    assert {row["pulled"] for row in rows} == {False}
    lines = quillgraph("models", "list").stdout.splitlines()
    assert len(lines) == len(rows)
    assert all("not pulled" in line for line in lines)


def test_the_doctor_speaks_json_and_plain_words_of_the_same(quillgraph: Any) -> None:
    findings = json.loads(quillgraph("doctor", "--json").stdout)
    done = quillgraph("doctor", env={"COLUMNS": "40"})
    assert done.status == int(any(each["state"] == "trouble" for each in findings))
    for finding in findings:
        assert set(finding) == {"topic", "state", "found", "advice"}
        # however narrow the terminal, a path or a command can be copied in one piece
        assert (finding["advice"] or finding["topic"]) in done.stdout
