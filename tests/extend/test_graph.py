"""A graph of another package is listed, run and learned from by its name; its page's code runs."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from quillgraph.rl.config.run import load_config

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "examples" / "extend" / "graph"
PAGE = (ROOT / "docs" / "extend" / "graph.md").read_text(encoding="utf-8")

KEEPER = r"""
rules:
  - {when: 'Is this kind', reply: 'Say thank you.'}
  - {when: 'Write the letter again', reply: 'Dear friend, thank you. Yours.'}
  - {when: '', reply: 'Dear friend. Yours.'}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}(?: title=\S+)?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(*words: str, folder: Path, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with what lies in `site` as installed."""
    places = {"PYTHONPATH": str(site)} if site else {}
    command = [sys.executable, "-P", *words]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **places, "QUILLGRAPH_EMBEDDINGS": "lexical"},
        capture_output=True,
        text=True,
        check=False,
    )


def quillgraph(*words: str, **places: Any) -> subprocess.CompletedProcess[str]:
    return run("-c", "from quillgraph.cli.main import main; main()", *words, **places)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is installed: its module, and the entry points that it declares."""
    folder = tmp_path_factory.mktemp("site")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))["project"]
    (folder / "quill_letters.py").write_bytes((PACKAGE / "quill_letters.py").read_bytes())
    info = folder / f"quill_letters-{project['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head, "utf-8")
    ((group, points),) = project["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_the_package_is_listed_and_run_by_its_name(site: Path, tmp_path: Path) -> None:
    listed = quillgraph("graphs", folder=tmp_path, site=site)
    assert listed.returncode == 0, listed.stderr
    assert "letters" in listed.stdout
    (tmp_path / "keeper.yaml").write_text(KEEPER, encoding="utf-8")
    words = ("run", "letters", "Write to a friend.", "--backend", "scripted:keeper.yaml")
    done = quillgraph(*words, "--rounds", "1", "--out", "run", folder=tmp_path, site=site)
    assert done.returncode == 0, done.stderr
    assert "Dear friend, thank you. Yours." in done.stdout
    (line,) = (tmp_path / "run" / "episodes.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["output"] == {"letter": "Dear friend, thank you. Yours."}
    calls = (tmp_path / "run" / "calls.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(call)["role"] for call in calls] == ["writer", "friend", "writer"]


LEARN = """
import asyncio
from quillgraph.agents.judgements import Reward
from quillgraph.backends import ScriptedChat
from quillgraph.graphs import build, cast, run_graph
from quillgraph.rl import trajectory
from quill_letters import Desk

model = ScriptedChat(path="keeper.yaml")
context = cast(Desk, model, rounds=2)
episode = asyncio.run(run_graph(build("letters"), "Write.", context=context, trainable=["writer"]))
worth = Reward(value=0.5, soft=0.5, length=None, repetition=1.0)
found = trajectory(episode, worth)
print(len(found.rows), {row.role for row in found.rows}, found.text, found.excluded)
"""


def test_its_episodes_become_rows_of_the_role_that_is_trained(site: Path, tmp_path: Path) -> None:
    (tmp_path / "keeper.yaml").write_text(KEEPER, encoding="utf-8")
    done = run("-c", LEARN, folder=tmp_path, site=site)
    assert done.returncode == 0, done.stderr
    # the draft and two more times of writing; the friend is not trained
    assert done.stdout.strip() == "3 {'writer'} Dear friend, thank you. Yours. None"


def test_the_code_of_the_page_runs(tmp_path: Path) -> None:
    python = blocks("python")
    (tmp_path / "letters.py").write_text(python[0], encoding="utf-8")
    done = run("-c", "\n".join(python[1:]), folder=tmp_path, site=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "keeper.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    (command,) = blocks("bash")
    name, *words = re.findall(r'"[^"]*"|\S+', command)
    assert name == "quillgraph"
    done = quillgraph(*(word.strip('"') for word in words), "--out", "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Dear friend. Yours." in done.stdout


def test_the_configuration_of_the_page_is_one(tmp_path: Path) -> None:
    _, text = blocks("yaml")
    (tmp_path / "train.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "prompts.jsonl").write_text('{"request": "Write a letter."}\n', encoding="utf-8")
    config = load_config(tmp_path / "train.yaml")
    assert config.rl is not None
    assert (config.rl.graph, config.rl.trainable) == (f"{tmp_path}/letters.py:build", ("writer",))


def test_the_page_declares_the_entry_point_that_the_package_has() -> None:
    (text,) = blocks("toml")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))["project"]
    assert tomllib.loads(text)["project"]["entry-points"] == project["entry-points"]
