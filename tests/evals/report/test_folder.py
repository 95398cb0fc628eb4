from pathlib import Path
from typing import Any

import pytest

from quillgraph.agents.domain import CriteriaSet
from quillgraph.backends.calls import CallRecord
from quillgraph.backends.errors import InputError
from quillgraph.evals.report.folder import Folder


def _state(folder: Folder, name: str) -> str:
    return next(source.state for source in folder.sources if source.name == name)


@pytest.mark.parametrize("where", ["nowhere", "a_file", "another"])
def test_what_is_no_run_is_refused_with_what_was_expected(tmp_path: Path, where: str) -> None:
    (tmp_path / "a_file").write_text("x")
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "holiday.jpg").write_text("x")
    with pytest.raises(InputError, match=r"expected the folder of a run.*" + where):
        Folder(tmp_path / where)


def test_a_run_that_is_still_being_written_is_told_so(tmp_path: Path, hand: Any) -> None:
    hand.put(tmp_path, "run.json", hand.run_facts(status="running"))
    folder = Folder(tmp_path)
    folder.facts()
    assert "has not ended" in folder.notes[0]
    assert _state(folder, "episode.json") == "not there"


@pytest.mark.parametrize(("made_by", "message"), [("9.9", "quillgraph 9.9"), (None, "unknown")])
def test_a_run_of_another_version_is_told_so(
    tmp_path: Path, hand: Any, made_by: str | None, message: str
) -> None:
    versions = {"quillgraph": made_by} if made_by else {}
    hand.put(tmp_path, "run.json", hand.run_facts(versions=versions))
    folder = Folder(tmp_path)
    folder.facts()
    assert message in folder.notes[0]


def test_a_finished_run_of_this_version_needs_no_note(tmp_path: Path, hand: Any) -> None:
    folder = Folder(hand.write_run(tmp_path))
    folder.facts()
    assert folder.notes == []


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00", '{"status": '])
def test_a_damaged_run_json_does_not_keep_the_rest_from_being_read(
    tmp_path: Path, hand: Any, content: str
) -> None:
    hand.write_run(tmp_path)
    hand.put(tmp_path, "run.json", content)
    folder = Folder(tmp_path)
    assert folder.facts() == {}
    assert any("run.json" in note for note in folder.notes)
    assert folder.value("criteria.json", CriteriaSet) == hand.criteria_set()


def test_criteria_that_were_edited_by_hand_are_left_out_and_told(tmp_path: Path, hand: Any) -> None:
    hand.write_run(tmp_path)
    edited = (tmp_path / "criteria.json").read_text().replace("praises rain", "praises sun")
    hand.put(tmp_path, "criteria.json", edited)
    folder = Folder(tmp_path)
    assert folder.value("criteria.json", CriteriaSet) is None
    assert "hash" in folder.notes[0]
    assert _state(folder, "criteria.json").startswith("unreadable")


def test_bad_lines_are_counted_and_the_first_is_named(tmp_path: Path, hand: Any) -> None:
    good, later = (hand.call(number).model_dump_json() for number in (0, 1))
    newer = later[:-1] + ',"mood":"good"}'
    hand.put(tmp_path, "calls.jsonl", f"{good}\nnot json\n\n{newer}\n{later}\n")
    folder = Folder(tmp_path)
    assert [each.call for each in folder.lines("calls.jsonl", CallRecord)] == [0, 1]
    assert _state(folder, "calls.jsonl") == "read, 2 lines, 2 unreadable"
    assert "2 lines could not be read" in folder.notes[0]
    assert "line 2" in folder.notes[0]


def test_a_last_line_that_is_being_written_is_no_bad_line(tmp_path: Path, hand: Any) -> None:
    good = hand.call().model_dump_json()
    hand.put(tmp_path, "calls.jsonl", f"{good}\n{good[:50]}")
    folder = Folder(tmp_path)
    assert len(list(folder.lines("calls.jsonl", CallRecord))) == 1
    assert folder.notes == []
    assert _state(folder, "calls.jsonl") == "read, 1 line, the last one cut short"


def test_a_line_separator_within_a_reply_does_not_end_the_line(tmp_path: Path, hand: Any) -> None:
    hand.put(tmp_path, "calls.jsonl", [hand.call(words="\u2028\u0085")])
    (record,) = Folder(tmp_path).lines("calls.jsonl", CallRecord)
    assert record.reply == "7\u2028\u0085"


def test_text_that_is_no_utf8_is_shown_as_far_as_it_can_be(tmp_path: Path) -> None:
    (tmp_path / "request.txt").write_bytes(b"caf\xe9")
    assert Folder(tmp_path).text("request.txt") == "caf\ufffd"


def test_a_folder_in_the_place_of_a_file_is_unreadable_not_fatal(tmp_path: Path) -> None:
    (tmp_path / "request.txt").write_text("x")
    (tmp_path / "calls.jsonl").mkdir()
    folder = Folder(tmp_path)
    assert list(folder.lines("calls.jsonl", CallRecord)) == []
    assert _state(folder, "calls.jsonl").startswith("unreadable")
