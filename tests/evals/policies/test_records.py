"""Files that a comparison adds to."""

from pathlib import Path

import pytest

from quillgraph.backends.errors import InputError, StorageError
from quillgraph.evals.ledger import Ledger
from quillgraph.evals.policies.records import TextKey, WrittenText


def texts(file: Path) -> Ledger[TextKey, WrittenText]:
    return Ledger(file, WrittenText, lambda row: row.place)


def test_rows_are_found_again_and_the_last_on_a_place_counts(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    ledger = texts(file)
    ledger.add(WrittenText(policy="A", prompt="p", number=0, failure="no answer"))
    ledger.add(WrittenText(policy="A", prompt="p", number=1, text="one\u2028line"))
    ledger.add(WrittenText(policy="A", prompt="p", number=0, text="Again."))
    assert len(file.read_text(encoding="utf-8").split("\n")) == 4
    rows = texts(file).rows
    assert rows == ledger.rows
    assert {place: row.text for place, row in rows.items()} == {
        ("A", "p", 0): "Again.",
        ("A", "p", 1): "one\u2028line",
    }


def test_a_damaged_line_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"policy": "A", "prompt": "p", "number": 0}\n{"policy": "A"}\n', "utf-8")
    with pytest.raises(InputError, match=r"line 2: expected a WrittenText, .*delete the line"):
        texts(file)


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    ledger = texts(tmp_path / "taken" / "texts.jsonl")
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        ledger.add(WrittenText(policy="A", prompt="p", number=0))
