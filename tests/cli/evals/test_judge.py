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
    given = ("eval", "judge", "--data", data, "--backend", one, "--out", "run", *more)
    return [str(word) for word in given]


def test_scored_texts_give_a_table_a_report_and_a_curve(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    done = quillgraph(*words(rated(30, tmp_path), spec, "--plot", "curve.png"))
    assert done.status == 0, done.stderr
    for told in ("spearman", "length_spearman", "leniency", "injection", "test-retest", "position"):
        assert told in done.stdout
    assert "nothing excluded" in done.stdout, done.stdout
    found = json.loads(Path("run/report.json").read_text())
    assert found["report"]["texts"] == 30
    # a judge whose answers are drawn from a hash of the prompt knows nothing
    assert abs(found["report"]["measures"]["spearman"]["value"]) < 0.6
    assert {probe["probe"] for probe in found["probes"]} == {
        "length", "format", "injection", "self-praise", "test-retest", "degenerate", "position",
    }  # fmt: skip
    assert Path("curve.png").stat().st_size > 1000
    assert Path("run/report.md").read_text().startswith("| measure |")
    assert len(Path("run/scores.jsonl").read_text().splitlines()) == 30
    assert Path("run/calls.jsonl").stat().st_size > 0


def test_pairs_are_measured_by_prompt_and_limited_by_the_seed(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    done = quillgraph(*words(paired(12, tmp_path), spec, "--limit", 4, "--probes", 0, "--json"))
    printed = json.loads(done.stdout)
    assert printed["report"]["pairs"] == 4
    assert printed["report"]["measures"]["pair_accuracy"]["clusters"] == 2
    assert printed["report"]["measures"]["human_agreement"]["value"] == pytest.approx(1 / 3)
    assert printed["probes"] == []


def test_a_requirement_that_is_not_met_sets_the_exit_status(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    done = quillgraph(
        *words(paired(8, tmp_path), spec, "--probes", 0, "--require", "pair_accuracy>1.5")
    )
    assert done.status == 1
    assert "not met: pair_accuracy>1.5: pair_accuracy is" in done.stderr


def test_an_unknown_requirement_names_the_nearest(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    done = quillgraph(
        *words(paired(4, tmp_path), spec, "--probes", 0, "--require", "pair_acuracy>=0.5")
    )
    assert done.status == 2
    assert "did you mean 'pair_accuracy'" in done.error


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('{"uid": "u", "prompt": "P"}', "holds requests and no judgements"),
        ('{"id": "a", "text": "T", "score": 12}', "expected scores from 1 to 10, got 12"),
    ],
)
def test_data_without_judgements_are_refused(
    quillgraph: Any, spec: str, tmp_path: Path, row: str, told: str
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(row, encoding="utf-8")
    done = quillgraph(*words(path, spec))
    assert done.status == 2
    assert told in done.error


def test_what_cannot_be_plotted_is_told(quillgraph: Any, spec: str, tmp_path: Path) -> None:
    done = quillgraph(*words(paired(4, tmp_path), spec, "--probes", 0, "--plot", "curve.png"))
    assert done.status == 2
    assert "no scored texts, so there is no curve" in done.error


def test_no_data_is_an_error(quillgraph: Any) -> None:
    done = quillgraph("eval", "judge")
    assert done.status == 2
    assert "expected --data FILE" in done.error
