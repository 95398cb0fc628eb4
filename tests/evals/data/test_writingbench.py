"""What WritingBench's files hold."""

import pytest

from quillgraph.evals.data.writingbench import (
    checklist_row,
    is_writingbench_id,
    read_writingbench,
    response_row,
    scores_row,
)

ROW = {
    "index": 193,
    "domain2": "Poem",
    "query": "A poem.",
    "checklist": [{"name": "Tone", "criteria_description": "How it sounds.", "1-2": "flat"}],
}


def test_a_request_keeps_the_benchmarks_index_in_its_id() -> None:
    (request,) = read_writingbench(ROW, "line 1")
    assert request.id == "193 Poem"
    assert request.criteria[0].levels == {"1-2": "flat"}
    assert checklist_row(request, ()) == {"index": 193, "query": "A poem.", "checklist": []}
    assert response_row(request.id, "One.") == {"index": 193, "response": "One."}


@pytest.mark.parametrize(("name", "is_one"), [("193 Poem", True), ("r1", False), ("7", False)])
def test_requests_of_the_benchmark_are_known_by_their_ids(name: str, is_one: bool) -> None:
    assert is_writingbench_id(name) is is_one


def test_each_score_of_a_row_has_its_reason() -> None:
    row = scores_row("7 Poem", {"Tone": [(4.0, "so"), (6.0, "too")]})
    scores = [{"score": 4.0, "reason": "so"}, {"score": 6.0, "reason": "too"}]
    assert row == {"index": 7, "scores": {"Tone": scores}}
