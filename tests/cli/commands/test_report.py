"""`quillgraph report` on runs that other commands have left."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
REQUESTS = Path(__file__).parents[3] / "examples" / "requests"
CRITERIA = ("--criteria", SCRIPTS / "ferry.criteria.json")


@pytest.fixture
def written(quillgraph: Any) -> Path:
    """A finished run of `quillgraph write`."""
    script = f"scripted:{SCRIPTS}/ferry.yaml"
    file = SCRIPTS / "ferry.txt"
    done = quillgraph(
        "write", "--file", file, *CRITERIA, "--backend", script, "--out", "run", "--no-memory"
    )
    assert done.status == 0, done.stderr
    return Path("run")


def test_the_page_lies_in_the_run_folder_and_shows_what_became_of_each_text(
    quillgraph: Any, written: Path
) -> None:
    done = quillgraph("report", written)
    assert (done.status, done.stdout, done.stderr) == (0, "run/report.html\n", "")
    page = (written / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"<h4>(Text \d: [\w ]+?) <span", page) == [
        "Text 0: draft", "Text 1: revision of text 0", "Text 2: revision of text 1",
        "Text 3: revision of text 1",
    ]  # fmt: skip
    assert "Why: adds a violation: expected at most 40 words, got 44" in page
    assert len(re.findall(r"<li><details><summary>[\d.]+ s: ", page)) == _calls(written)


def test_the_page_can_lie_elsewhere_and_be_made_again(quillgraph: Any, written: Path) -> None:
    first = quillgraph("report", written, "--out", "page.html", "--json")
    assert first.status == 0
    report = json.loads(first.stdout)
    assert report["report"] == "page.html"
    assert report["bytes"] == Path("page.html").stat().st_size
    assert report["notes"] == []
    page = Path("page.html").read_text(encoding="utf-8")
    assert quillgraph("report", written, "--out", "page.html").status == 0
    assert Path("page.html").read_text(encoding="utf-8") == page
    assert not (written / "report.html").exists()


def test_the_page_of_a_batch_shows_every_episode(quillgraph: Any) -> None:
    script = f"scripted:{SCRIPTS}/ferries.yaml"
    done = quillgraph(
        "run", "reflection", "--input", REQUESTS / "ferries.jsonl", *CRITERIA,
        "--backend", script, "--out", "run",
    )  # fmt: skip
    assert done.status == 0, done.stderr
    assert quillgraph("report", "run").status == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "3 episodes, 0 requests without one." in page
    assert page.count('<section class="work"') == 3


def test_the_page_of_an_evaluation_shows_its_tables_and_plots(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    rows = [
        {"id": f"t{n}", "text": f"It was the {n}th night.", "score": 1 + n % 5} for n in range(12)
    ]
    (tmp_path / "rated.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = ("--data", "rated.jsonl", "--backend", f"{spec}&items_per_call=1", "--out", "run")
    done = quillgraph("eval", "judge", *words)
    assert done.status == 0, done.stderr
    assert quillgraph("report", "run").status == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    report = json.loads(Path("run/report.json").read_text(encoding="utf-8"))["report"]
    spearman = report["measures"]["spearman"]
    assert f'<th scope="row">spearman</th><td>{spearman["value"]:.3f}</td>' in page
    for probe in ("length", "format", "injection", "self-praise", "test-retest", "position"):
        assert f'<th scope="row">{probe}</th>' in page
    assert page.count("<figure>") == 4  # measures, calibration curve, probes, calls


def test_what_is_missing_is_told_on_stderr_and_in_the_page(quillgraph: Any, written: Path) -> None:
    (written / "run.json").write_text('{"status": "running", "versions": {"quillgraph": "9"}}')
    with (written / "calls.jsonl").open("a", encoding="utf-8") as file:
        file.write("not json\n")
    done = quillgraph("report", written)
    assert done.status == 0
    notes = done.stderr.splitlines()
    assert [note.split(":")[0] for note in notes] == ["note"] * 3
    page = (written / "report.html").read_text(encoding="utf-8")
    for part in ("has not ended", "made by quillgraph 9", "1 line could not be read"):
        assert part in done.stderr
        assert part in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected RUN_DIR"),
        (["nowhere"], "expected the folder of a run"),
        (["empty"], "holds none of run.json"),
        (["file.txt"], "a file"),
    ],
)
def test_what_is_no_run_ends_with_a_line_that_says_what_was_expected(
    quillgraph: Any, words: list[str], message: str
) -> None:
    Path("empty").mkdir()
    Path("file.txt").write_text("x")
    done = quillgraph("report", *words)
    assert done.status == 2
    assert message in done.error
    assert done.stdout == ""


def test_a_page_that_cannot_be_written_is_told_and_leaves_nothing(
    quillgraph: Any, written: Path
) -> None:
    done = quillgraph("report", written, "--out", "nowhere/page.html")
    assert done.status == 1
    assert "choose another --out" in done.error
    assert not Path("nowhere").exists()


def test_an_unknown_option_is_refused(quillgraph: Any, written: Path) -> None:
    assert quillgraph("report", written, "--format", "pdf").status == 2


def _calls(folder: Path) -> int:
    return len((folder / "calls.jsonl").read_text(encoding="utf-8").splitlines())
