"""The folder that a run leaves behind."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.domain import Core
from quillgraph.backends.errors import StorageError
from quillgraph.graphs.supervision.folder import RunFolder, slug, versions


def test_a_run_is_running_until_it_says_how_it_ended(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "run", "a title", {"seed": 3})
    said = json.loads((folder.path / "run.json").read_text())
    assert (said["status"], said["settings"]) == ("running", {"seed": 3})
    folder.finish("done", calls=5)
    said = json.loads((folder.path / "run.json").read_text())
    assert (said["status"], said["calls"], said["settings"]) == ("done", 5, {"seed": 3})


def test_a_run_that_was_resumed_and_is_done_has_no_error_any_more(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", "a title", {})
    folder.finish("interrupted", error="KeyboardInterrupt")
    RunFolder.reopened(folder.path).finish("done", calls=5)
    said = json.loads((folder.path / "run.json").read_text())
    assert (said["status"], said["calls"], "error" in said) == ("done", 5, False)


def test_runs_of_one_request_in_one_second_get_folders_of_their_own() -> None:
    paths = {RunFolder(None, "A haiku about rain", {}).path for _ in range(3)}
    assert len(paths) == 3
    assert all("a-haiku-about-rain" in path.name for path in paths)


def test_what_was_there_stays_when_the_new_file_cannot_be_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", "t", {})
    folder.write_text("a.txt", "old")

    def half(path: Path) -> None:
        path.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"cannot write .*a\.txt: No space left on device"):
        folder.write("a.txt", half)
    assert (folder.path / "a.txt").read_text() == "old"
    assert {path.name for path in folder.path.iterdir()} == {"a.txt", "run.json"}


def test_values_anywhere_are_written_as_json(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", "t", {})
    core = Core(category_id="k1", storyline="so")
    folder.write_json("a.json", {"cores": (core,)})
    folder.write_lines("a.jsonl", [core, core])
    as_json = {"category_id": "k1", "storyline": "so"}
    assert json.loads((folder.path / "a.json").read_text()) == {"cores": [as_json]}
    lines = (folder.path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [as_json, as_json]


def test_a_value_that_json_cannot_hold_is_not_written_as_something_else(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", "t", {})
    with pytest.raises(TypeError, match="expected a value that JSON can hold"):
        folder.write_json("a.json", {"a": object()})


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Write a haiku about rain, please, now!", "write-a-haiku-about-rain-please"),
        ("../../etc/passwd", "etc-passwd"),
        ("请写一首关于雨的诗。", "请写一首关于雨的诗"),
        ("?!", "run"),
        ("x" * 99, "x" * 48),
    ],
)
def test_a_title_becomes_a_short_name(title: str, name: str) -> None:
    assert slug(title) == name


@given(st.text())
def test_a_name_has_no_separators_and_fits_every_file_system(title: str) -> None:
    name = slug(title)
    assert name
    assert not set(name) & set('/\\\0:*?"<>| \n')
    assert len(name.encode(errors="replace")) <= 200


def test_versions_are_those_of_what_is_installed() -> None:
    assert versions()["quillgraph"]
    assert "langgraph" in versions()
