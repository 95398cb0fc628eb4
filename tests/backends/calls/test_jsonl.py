"""Files of JSON lines end with a whole line before they are added to."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from quillgraph.backends.calls.jsonl import end_last_line, read_lines
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
    read = [row.text for row in read_lines(path, Row, "")]
    end_last_line(path)
    assert path.read_bytes() == after
    # what was left out in reading is what is taken off
    assert [row.text for row in read_lines(path, Row, "")] == read


def test_what_is_not_there_or_no_file_is_left_alone(tmp_path: Path) -> None:
    end_last_line(tmp_path / "none.jsonl")
    end_last_line(Path("/dev/null"))
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize("line", [b'{"text":"tw{"text":"one"}', b'{"words":"two"}', b"\xff", b""])
def test_another_line_that_cannot_be_read_is_named(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ONE + b"\n" + line + b"\n" + TWO + b"\n")
    with pytest.raises(InputError, match=r"rows\.jsonl, line 2: expected a Row, .*; mend it"):
        read_lines(path, Row, "mend it")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*none\.jsonl: No such file"):
        read_lines(tmp_path / "none.jsonl", Row, "")
