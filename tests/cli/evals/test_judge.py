"""`quillgraph eval judge`: a judge held against people."""

import json
from pathlib import Path
from typing import Any

import pytest

LINES = ("Fog sat on the wheel like wet wool.", "A bell rang once, to port, and the deck hummed.")


def rated(count: int, tmp_path: Path) -> Path:
    path = tmp_path / "rated.jsonl"
    rows = [
        {"id": f"t{n}", "text": f"{LINES[n % 2]} It was the {n}th night.", "score": 1 + n % 10}
        for n in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def paired(count: int, tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [
        {
            "id": f"p{n}",
            "request": "A night at sea.",
            "group": f"g{n // 2}",
            "left": f"{LINES[0]} It was the {n}th night.",
            "right": f"{LINES[1]} It was the {n}th day.",
            "votes": ["left", "right", "left"],
        }
        for n in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def words(data: Path, spec: str, *more: object) -> list[str]:
    # one criterion a call: the server picks any of the ids that it is offered
    one = f"{spec}&items_per_call=1"
    options = ("eval", "judge", "--data", data, "--backend", one, "--out", "run", *more)
    return [str(word) for word in options]


def test_scored_texts_give_a_table_a_report_and_a_curve(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    result = quillgraph(*words(rated(30, tmp_path), spec, "--plot", "curve.png"))
    assert result.status == 0, result.stderr
    for word in (
        "spearman",
        "length_spearman",
        "leniency",
        "injection",
        "test-retest",
        "position",
    ):
        assert word in result.stdout
    assert "nothing excluded" in result.stdout, result.stdout
    report = json.loads(Path("run/report.json").read_text())
    assert report["report"]["texts"] == 30
    # a judge whose answers are drawn from a hash of the prompt knows nothing
    assert abs(report["report"]["measures"]["spearman"]["value"]) < 0.6
    assert {probe["probe"] for probe in report["probes"]} == {
        "length", "format", "injection", "self-praise", "test-retest", "degenerate", "position",
    }  # fmt: skip
    assert Path("curve.png").stat().st_size > 1000
    assert Path("run/report.md").read_text().startswith("| measure |")
    assert len(Path("run/scores.jsonl").read_text().splitlines()) == 30
    assert Path("run/calls.jsonl").stat().st_size > 0


def test_pairs_are_measured_by_prompt_and_limited_by_the_seed(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    result = quillgraph(*words(paired(12, tmp_path), spec, "--limit", 4, "--probes", 0, "--json"))
    printed = json.loads(result.stdout)
    assert printed["report"]["pairs"] == 4
    assert printed["report"]["measures"]["pair_accuracy"]["clusters"] == 2
    assert printed["report"]["measures"]["human_agreement"]["value"] == pytest.approx(1 / 3)
    assert printed["probes"] == []


def test_a_requirement_that_is_not_met_sets_the_exit_status(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    result = quillgraph(
        *words(paired(8, tmp_path), spec, "--probes", 0, "--require", "pair_accuracy>1.5")
    )
    assert result.status == 1
    assert "not met: pair_accuracy>1.5: pair_accuracy is" in result.stderr


def test_an_unknown_requirement_names_the_nearest(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    result = quillgraph(
        *words(paired(4, tmp_path), spec, "--probes", 0, "--require", "pair_acuracy>=0.5")
    )
    assert result.status == 2
    assert "did you mean 'pair_accuracy'" in result.error


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"uid": "u", "prompt": "P"}', "holds requests and no human judgements"),
        ('{"id": "a", "text": "T", "score": 12}', "expected scores from 1 to 10, got 12"),
    ],
)
def test_data_without_judgements_are_refused(
    quillgraph: Any, spec: str, tmp_path: Path, row: str, message: str
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(row, encoding="utf-8")
    result = quillgraph(*words(path, spec))
    assert result.status == 2
    assert message in result.error


def test_what_cannot_be_plotted_is_told(quillgraph: Any, spec: str, tmp_path: Path) -> None:
    result = quillgraph(*words(paired(4, tmp_path), spec, "--probes", 0, "--plot", "curve.png"))
    assert result.status == 2
    assert "no scored texts, so there is no curve" in result.error


def test_no_data_is_an_error(quillgraph: Any) -> None:
    result = quillgraph("eval", "judge")
    assert result.status == 2
    assert "expected --data FILE" in result.error


def test_records_that_are_left_out_are_told_before_the_first_call(
    quillgraph: Any, tmp_path: Path
) -> None:
    data = rated(3, tmp_path)
    data.write_text(data.read_text() + '\n{"id": "odd", "text": 7, "score": 3}\n', encoding="utf-8")
    # nobody answers there, so what is told was told before
    result = quillgraph(*words(data, "openai:m@http://127.0.0.1:9/v1?retries=0"))
    assert (
        "note: left out: records that could not be read (1); the first is line 4" in result.stderr
    )
