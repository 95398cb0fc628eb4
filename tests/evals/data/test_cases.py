"""Requests joined with the texts that were written for them."""

import json
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends.errors import InputError
from quillgraph.evals import load
from quillgraph.evals.data.cases import Cases, cases_of


def read(tmp_path: Path, *files: list[dict[str, Any]]) -> Cases:
    loaded = []
    for number, rows in enumerate(files):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        loaded.append(load(path))
    return cases_of(loaded)


ASKED: dict[str, Any] = {
    "id": "r",
    "request": "A poem.",
    "criteria": [{"name": "N", "description": "D"}],
}


def test_texts_of_another_file_find_their_request_by_its_words(tmp_path: Path) -> None:
    texts: list[dict[str, Any]] = [
        {"id": "t", "request": "A poem. ", "text": "One.", "score": 3},
        {"id": "p", "request": "A poem.", "left": "One.", "right": "Two.", "preferred": "left"},
    ]
    cases = read(tmp_path, [ASKED], texts)
    (case,) = cases.cases
    assert (case.request.id, case.texts) == ("r", ("One.", "Two."))
    assert cases.excluded == {}


def test_texts_alone_bring_their_request_without_criteria_of_people(tmp_path: Path) -> None:
    cases = read(tmp_path, [{"id": "t", "request": "A song.", "text": "One.", "score": 3}])
    (case,) = cases.cases
    assert (case.request.id, case.request.request) == ("request 1: A song.", "A song.")
    assert case.request.criteria == ()


def test_texts_without_a_request_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        ASKED,
        {"id": "t", "text": "One.", "score": 3},
        {"id": "u", "text": "Two.", "score": 99},
    ]
    cases = read(tmp_path, rows)
    assert cases.excluded == {"texts without their request": 1, "records that could not be read": 1}


def test_of_equal_requests_the_first_has_the_texts(tmp_path: Path) -> None:
    text = {"id": "t", "request": "A poem.", "text": "One.", "score": 3}
    cases = read(tmp_path, [ASKED, {**ASKED, "id": "s"}, text])
    assert [(case.request.id, len(case.texts)) for case in cases.cases] == [("r", 1), ("s", 0)]


def test_nothing_to_work_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected requests, or texts with the request"):
        read(tmp_path, [{"id": "t", "text": "One.", "score": 3}])


def test_an_id_that_comes_in_two_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'r' comes in more than one file"):
        read(tmp_path, [ASKED], [ASKED])
