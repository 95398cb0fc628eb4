"""Files of JSON lines: added to, cut by a kill, mended, read and rewound."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from quillgraph.backends.calls.jsonl import JsonLines
from quillgraph.backends.errors import InputError, StorageError


class Row(BaseModel):
    text: str


ONE, TWO = b'{"text":"one"}', b'{"text":"two\xe2\x80\xa8lines"}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (ONE + b"\n", ONE + b"\n"),
        (ONE + b"\n" + TWO[:-3], ONE + b"\n"),
        (TWO[:-3], b""),
        # only the line break is missing: what was written whole is not lost
        (ONE + b"\n" + TWO, ONE + b"\n" + TWO + b"\n"),
        # a line longer than what is looked at in one piece
        (ONE + b"\n" + b'{"text":"' + b"a" * 200_000, ONE + b"\n"),
        # cut within a character
        (ONE + b"\n" + TWO[:14], ONE + b"\n"),
    ],
)
def test_half_a_line_is_taken_off(before: bytes, after: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(before)
    texts = [row.text for row in JsonLines(path).read(Row)]
    JsonLines(path).mend()
    assert path.read_bytes() == after
    # what was left out in reading is what is taken off
    assert [row.text for row in JsonLines(path).read(Row)] == texts


def test_what_is_not_there_or_no_file_is_left_alone(tmp_path: Path) -> None:
    JsonLines(tmp_path / "none.jsonl").mend()
    JsonLines(Path("/dev/null")).mend()
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize("line", [b'{"text":"tw{"text":"one"}', b'{"words":"two"}', b"\xff", b""])
def test_another_line_that_cannot_be_read_is_named(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ONE + b"\n" + line + b"\n" + TWO + b"\n")
    with pytest.raises(InputError, match=r"rows\.jsonl, line 2: expected a Row, .*; mend it"):
        JsonLines(path, "mend it").read(Row)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*none\.jsonl: No such file"):
        JsonLines(tmp_path / "none.jsonl").read(Row)


def test_lines_are_added_one_by_one_or_many_at_once(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "new" / "rows.jsonl")
    lines.append(ONE.decode())
    lines.append(TWO.decode(), ONE.decode())
    assert [row.text for row in lines.read(Row)] == ["one", "two\u2028lines", "one"]
    assert not lines.is_open


def test_a_file_that_is_held_open_has_each_line_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ONE + b"\n" + TWO[:-3])  # what a kill has left
    with JsonLines(path) as lines:
        for expected in (2, 3):
            lines.append(ONE.decode())
            assert [row.text for row in JsonLines(path).read(Row)] == ["one"] * expected
    assert not lines.is_open


def test_a_file_that_is_to_be_new_is_not_added_to(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ONE + b"\n")
    with pytest.raises(StorageError, match=r"cannot write .*rows\.jsonl: File exists"):
        JsonLines(path).open(new=True)
    assert path.read_bytes() == ONE + b"\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_after_which_the_file_is_closed() -> None:
    lines = JsonLines(Path("/dev/full")).open()
    with pytest.raises(StorageError, match="cannot write /dev/full: No space left"):
        lines.append(ONE.decode())
    assert not lines.is_open
    with pytest.raises(StorageError, match="cannot write /dev/full: No space left"):
        lines.append(ONE.decode())


@pytest.mark.parametrize("half", [b"", TWO[:-3]])
def test_lines_that_are_about_to_come_again_are_taken_out(half: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ONE + b"\n" + TWO + b"\n" + half)
    lines = JsonLines(path)
    lines.rewind(lambda row: row["text"] != "two\u2028lines")
    assert path.read_bytes() == ONE + b"\n"
    # half a line goes even where no other does: the next one must begin on its own
    path.write_bytes(ONE + b"\n" + half)
    lines.rewind(lambda row: True)
    assert path.read_bytes() == ONE + b"\n"


def test_rewinding_names_a_line_that_is_no_object_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ONE + b"\n[3]\n")
    with pytest.raises(InputError, match=r"rows\.jsonl, line 2: expected a dict, .*; mend it"):
        JsonLines(path, "mend it").rewind(lambda row: False)
    assert path.read_bytes() == ONE + b"\n[3]\n"
    JsonLines(tmp_path / "none.jsonl").rewind(lambda row: False)
    assert not (tmp_path / "none.jsonl").exists()
