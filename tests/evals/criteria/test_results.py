"""Files that the tools of WritingBench can go on with.

What those tools do with a line is retold here: `evaluate_benchmark.py` looks requests up by
`index` and hands each entry of `checklist` to its critic; `calculate_scores.py` takes the mean of
the scores of a request.
"""

import json
from pathlib import Path
from typing import Any

from quillgraph.agents.domain import LEVELS
from quillgraph.agents.judgements import Verdict, text_hash
from quillgraph.evals import load
from quillgraph.evals.criteria.parity import TextScores
from quillgraph.evals.criteria.results import CriteriaResults
from quillgraph.evals.criteria.sources import Elicited, Found
from quillgraph.evals.data.cases import Cases, cases_of
from quillgraph.evals.data.rubrics import as_criteria

LEVELLED = {band: f"level {band}" for band in LEVELS}
ROW = {
    "index": 193,
    "domain1": "Literature & Arts",
    "domain2": "Poem",
    "query": "A poem.",
    "checklist": [
        {"name": "Tone", "criteria_description": "How it sounds.", **LEVELLED},
        {"name": "Form", "criteria_description": "How it is built.", **LEVELLED},
    ],
}
TEXTS = [{"id": "t", "request": "A poem.", "text": "One.", "score": 3}]


def read(tmp_path: Path, rows: list[dict[str, Any]] = TEXTS) -> Cases:
    (tmp_path / "bench.jsonl").write_text(json.dumps(ROW), encoding="utf-8")
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return cases_of([load(tmp_path / "bench.jsonl"), load(tmp_path / "texts.jsonl")])


def results(cases: Cases, folder: Path, *verdicts: Verdict) -> CriteriaResults:
    filled = CriteriaResults.within(folder)
    request = cases.cases[0].request
    criteria = as_criteria(request.criteria)
    filled.elicited.add(
        Elicited(request=request.id, source="human", run=0, found=Found(criteria=criteria))
    )
    filled.scored.add(
        TextScores(
            request=request.id, text_sha=text_hash("One."), source="human", verdicts=verdicts,
            judged=None,
        )
    )  # fmt: skip
    return filled


def verdict(criterion: str, *votes: float) -> Verdict:
    return Verdict(criterion_id=criterion, score=votes[0], votes=votes, reason="so it is")


def test_criteria_come_back_as_the_checklist_that_they_were(tmp_path: Path) -> None:
    cases = read(tmp_path)
    files = results(cases, tmp_path).writingbench_files(cases, ["ours", "human"])
    (row,) = files["writingbench-human.jsonl"]
    assert row == {key: ROW[key] for key in ("index", "query", "checklist")}
    # a source that gave nothing has no file, and a text without all verdicts no line
    assert set(files) == {"writingbench-human.jsonl"}


def test_the_mean_of_a_line_is_what_their_tool_makes_of_it(tmp_path: Path) -> None:
    cases = read(tmp_path)
    filled = results(cases, tmp_path, verdict("p1", 7, 8), verdict("p2", 3, 4))
    (row,) = filled.writingbench_files(cases, ["human"])["writingbench_scores/text-1.jsonl"]
    assert row["index"] == 193
    assert set(row["scores"]) == {"Tone", "Form"}
    scores = [one["score"] for entries in row["scores"].values() for one in entries]
    assert sum(scores) / len(scores) == 5.5
    assert all(one["reason"] == "so it is" for one in row["scores"]["Tone"])


def test_a_missing_verdict_leaves_the_line_out(tmp_path: Path) -> None:
    cases = read(tmp_path)
    filled = results(cases, tmp_path, verdict("p1", 7))
    assert set(filled.writingbench_files(cases, ["human"])) == {"writingbench-human.jsonl"}


def test_requests_of_other_files_have_no_place_there(tmp_path: Path) -> None:
    rows = [*TEXTS, {"id": "u", "request": "7 songs.", "text": "La.", "score": 3}]
    cases = read(tmp_path, rows)
    assert len(cases.cases) == 2
    (row,) = results(cases, tmp_path).writingbench_files(cases, ["human"])[
        "writingbench-human.jsonl"
    ]
    assert row["index"] == 193
    plain = cases.model_copy(update={"formats": ("plain",)})
    assert results(cases, tmp_path).writingbench_files(plain, ["human"]) == {}
