"""What a build of the flat layout has written opens, and its killed runs go on.

`flat_layout.tar.xz` was made by the last build whose modules lay in one folder a package, with
replies by script: three runs of `quillgraph run`, each killed in mid-call, with the episodes that
the same build made of them when it went on (`expected`); one of `quillgraph write` with its memory
and its cassette; and a library.
"""

import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends import Cassette
from quillgraph.graphs.episodes import Attempt, Episode

ARCHIVE = Path(__file__).parent / "flat_layout.tar.xz"

FERRY = ("--file", "scripts/ferry.txt", "--criteria", "write/criteria.json")


@pytest.fixture(autouse=True)
def old(tmp_path: Path) -> Path:
    """The folder in which the old build ran, and in which the test runs."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    for file in tmp_path.glob("*/run.json"):
        facts = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps(facts | {"began_in": str(tmp_path)}), encoding="utf-8")
    return tmp_path


def episodes(file: Path) -> list[Episode]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [Episode.model_validate_json(line) for line in lines]


def _shown(attempt: Attempt) -> dict[str, Any]:
    return attempt.model_dump(exclude={"trace"})


@pytest.mark.parametrize(
    ("run", "kept", "whole"), [("reflection", 8, 15), ("criteria", 12, 95), ("voting", 4, 28)]
)
def test_a_run_killed_before_the_move_goes_on_to_what_it_would_have_come_to(
    run: str, kept: int, whole: int, old: Path, quillgraph: Any
) -> None:
    calls = old / run / "calls.jsonl"
    assert len(calls.read_text(encoding="utf-8").splitlines()) >= kept
    with sqlite3.connect(old / run / "checkpoints.sqlite") as file:
        values = [row[0] for row in file.execute("SELECT value FROM writes") if row[0]]
    assert any(b"quillgraph.agents.domain" in value for value in values)
    done = quillgraph("run", "--resume", run)
    assert done.status == 0, done.stderr
    ((new,), (expected,)) = (
        episodes(old / run / "episodes.jsonl"),
        episodes(old / "expected" / f"{run}.jsonl"),
    )
    for part in ("best", "criteria_set", "output", "is_complete", "given_up"):
        assert getattr(new, part) == getattr(expected, part), part
    # the tokens of a prompt aside: prompts have lost their empty sections since
    assert [_shown(each) for each in new.attempts] == [_shown(each) for each in expected.attempts]
    # as many calls as the old build had recorded at the end: none was made twice
    assert len(calls.read_text(encoding="utf-8").splitlines()) == whole


def test_a_checkpoint_of_a_class_that_is_nowhere_now_is_refused(old: Path, quillgraph: Any) -> None:
    with sqlite3.connect(old / "reflection" / "checkpoints.sqlite") as file:
        for table, column in (("checkpoints", "checkpoint"), ("writes", "value")):
            rows = file.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
            for row, value in rows:
                changed = value and value.replace(b"\xaaReflection", b"\xaaRefraction")
                file.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (changed, row))
    done = quillgraph("run", "--resume", "reflection")
    assert done.status != 0
    assert "quillgraph.agents.reflecting.Refraction of an earlier build" in done.stderr
    assert "begin the run anew" in done.stderr


def test_reports_of_old_run_folders_show_their_texts(old: Path, quillgraph: Any) -> None:
    text = (old / "write" / "text.txt").read_text(encoding="utf-8").strip()
    for run in ("write", "reflection"):
        done = quillgraph("report", run, "--out", f"{run}.html")
        assert done.status == 0, done.stderr
    assert text.split(".")[0] in (old / "write.html").read_text(encoding="utf-8")


def test_an_old_memory_and_library_are_listed_and_used(old: Path, quillgraph: Any) -> None:
    listed = quillgraph("memory", "list", "--path", "memory.sqlite")
    assert listed.status == 0, listed.stderr
    assert "l-56454c8b0f" in listed.stdout
    known = quillgraph("library", "list", "--path", "library.sqlite", "--json")
    assert known.status == 0, known.stderr
    assert len(json.loads(known.stdout)) > 0
    backend = ("--backend", "scripted:scripts/ferry.yaml", "--out", "again")
    done = quillgraph("write", *FERRY, *backend, "--memory", "memory.sqlite")
    assert done.status == 0, done.stderr
    episode = Episode.model_validate_json(Path("again/episode.json").read_text(encoding="utf-8"))
    assert "l-56454c8b0f" in {lesson.id for lesson in episode.lessons}
    study = ("--file", "scripts/lighthouse.txt", "--backend", "scripted:scripts/lighthouse.yaml")
    done = quillgraph("criteria", *study, "--library", "library.sqlite", "--out", "studied")
    assert done.status == 0, done.stderr
    assert "criteria known from other requests" in done.stderr


def test_an_old_cassette_opens_and_says_how_to_go_on_where_prompts_have_changed(
    old: Path, quillgraph: Any
) -> None:
    cassette = ("--backend", "cassette:write.cassette.jsonl", "--no-memory")
    done = quillgraph("write", *FERRY, *cassette, "--out", "again")
    assert done.status == 3
    assert "holds no such call of node draft, role writer" in done.stderr
    assert "record the run again" in done.stderr
    # it shows what has changed: empty sections are left out of prompts
    assert "-<lessons>" in done.stderr
    # the file itself is whole: every call of the run is there to be read
    calls = Cassette(Path("write.cassette.jsonl")).calls
    assert len(calls) == len((old / "write" / "calls.jsonl").read_text("utf-8").splitlines())
