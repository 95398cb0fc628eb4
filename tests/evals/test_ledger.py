"""Results on disk, one by one."""

from pathlib import Path

import pytest

from quillgraph.agents.domain import Value
from quillgraph.backends.errors import InputError, StorageError
from quillgraph.evals.ledger import Ledger


class Row(Value):
    name: str
    count: int


def ledger(path: Path) -> Ledger[str, Row]:
    return Ledger(path, Row, lambda row: row.name)


def test_what_was_added_is_there_again_and_of_one_key_the_later_stands(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "rows.jsonl"
    first = ledger(path)
    first.add(Row(name="a\u2028b", count=1))
    first.add(Row(name="c", count=2))
    first.add(Row(name="c", count=3))
    again = ledger(path)
    assert [row.count for row in again.rows.values()] == [1, 3]
    assert again.rows.get("c") == Row(name="c", count=3)
    assert again.rows.get("d") is None
    assert len(path.read_text(encoding="utf-8").split("\n")) == 4


def test_a_line_that_a_kill_has_cut_is_taken_off_and_the_next_begins_on_its_own(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"name":"a","count":1}\n{"name":"b","cou', encoding="utf-8")
    rows = ledger(path)
    assert len(rows.rows) == 1
    rows.add(Row(name="b", count=2))
    assert [row.name for row in ledger(path).rows.values()] == ["a", "b"]


def test_a_line_that_is_no_result_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"name":"a","count":1}\n{"name":"b"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2: expected a Row, .*delete the line"):
        ledger(path)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="cannot"):
        ledger(tmp_path / "taken" / "rows.jsonl").add(Row(name="a", count=1))
