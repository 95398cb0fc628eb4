"""`quillgraph eval criteria`: automatic criteria held against people's."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_httpserver import HTTPServer

from quillgraph.backends.calls import read_records

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
LIGHTHOUSE = (SCRIPTS / "lighthouse.txt").read_text(encoding="utf-8").strip()
STORY, TOAST = "A bedtime story about a lighthouse in a storm.", "A toast for two rival bakers."
ROWS: list[dict[str, Any]] = [
    {
        "id": "r1",
        "request": STORY,
        "criteria": [{"name": "Storm", "description": "The storm is heard and never threatens."}],
    },
    {
        "id": "r2",
        "request": TOAST,
        "criteria": [{"name": "Rivalry", "description": "The rivalry is told with warmth."}],
    },
    {"id": "t1", "request": STORY, "text": "The lamp turns. The storm sings. Sleep.", "score": 8},
    {"id": "t2", "request": STORY, "text": "It was a dark and stormy night.", "score": 3},
    {
        "id": "p1",
        "request": TOAST,
        "left": "To the bread that brought us here, and the flour on both your sleeves.",
        "right": "Congratulations to you both on this very happy and special day.",
        "preferred": "left",
    },
]


def data(tmp_path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def words(path: Path, spec: str, *more: object) -> list[str]:
    options = ("eval", "criteria", "--data", path, "--backend", spec, "--out", "run", *more)
    return [str(word) for word in options]


# One study that is written out by hand, with its baselines and its judge

STORM = (
    "A storm heard from inside",
    "The text lets the storm be heard from inside and never lets it threaten the child.",
)
PICTURE = ("A picture as last line", "The text ends on something to be seen and stops there.")
TEXTS = {"The lamp turns and the sea turns with it.": 9, "Waves came.": 5, "It was nice.": 2}
"""Texts and what people give them."""

JUDGED = {
    "1-2: level 1": (4, 4, 4),
    "1-2: something else": (9, 9, 9),
    "1-2: none of it": (2, 6, 9),
    "": (8, 6, 3),
}
"""What stands in the prompt to the scores of the three texts: one-shot, generic, people's, ours."""


def script(tmp_path: Path) -> Path:
    """The study of the lighthouse, one prompt's criteria, and a judge."""
    levels = {band: f"level {band}" for band in ("1-2", "3-4", "5-6", "7-8", "9-10")}
    names = ["Picture", "Zebra crossing", "Quick maths", "Jazz hands", "Xylophone fuzz"]
    shot = [{"name": n, "description": f"It has some {n}.", "levels": levels} for n in names]
    shot[0] |= {"name": PICTURE[0], "description": PICTURE[1]}
    rules = [
        {"when": r"\AYou write grading criteria", "reply": json.dumps({"items": shot})},
        {
            "when": rf'\AYou compare codes[\s\S]*p1: "{PICTURE[0]}"',
            "reply": json.dumps({"items": [{"pair": "p1", "same": False}]}),
        },
        {
            "when": rf'\AYou compare codes[\s\S]*p1: "{STORM[0]}"',
            "reply": json.dumps({"items": [{"pair": "p1", "same": True}]}),
        },
        *(
            {
                "when": rf"\AYou judge a text[\s\S]*s1: {text}\n[\s\S]*{words}",
                "reply": json.dumps({"items": votes(scores[place], number)}),
            }
            for (words, scores), number in zip(JUDGED.items(), (5, 5, 3, 4), strict=True)
            for place, text in enumerate(TEXTS)
        ),
    ]
    study = yaml.safe_load((SCRIPTS / "lighthouse.yaml").read_text(encoding="utf-8"))["rules"]
    path = tmp_path / "script.yaml"
    path.write_text(yaml.safe_dump({"rules": [*rules, *study]}), encoding="utf-8")
    return path


def votes(score: int, number: int) -> list[dict[str, Any]]:
    return [
        {"criterion": f"q{n}", "score": score, "evidence": "s1", "reason": "so it is"}
        for n in range(1, number + 1)
    ]


def lighthouse(tmp_path: Path) -> Path:
    """People's criteria: two of the study's own, and one of which nobody has thought."""
    people = [*(STORM, PICTURE), ("Quantum fugue", "Bach would have computed with qubits.")]
    levels = {"1-2": "none of it"}
    criteria = [{"name": name, "description": words, "levels": levels} for name, words in people]
    texts = [
        {"id": f"t{n}", "request": LIGHTHOUSE, "text": text, "score": score}
        for n, (text, score) in enumerate(TEXTS.items())
    ]
    return data(tmp_path, [{"id": "r", "request": LIGHTHOUSE, "criteria": criteria}, *texts])


def columns(printed: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {
        source: {name: one["value"] for name, one in each["measures"].items()}
        for source, each in printed["report"]["sources"].items()
    }


def test_a_study_is_measured_beside_its_baselines_and_peoples_criteria(
    quillgraph: Any, tmp_path: Path
) -> None:
    spec = f"scripted:{script(tmp_path)}"
    result = quillgraph(*words(lighthouse(tmp_path), spec, "--samples", 1, "--json"))
    assert result.status == 0, result.stderr
    printed = json.loads(result.stdout)
    measures = columns(printed)
    assert list(measures) == ["ours", "one-shot", "generic", "human"]
    ours, shot, generic, human = measures.values()
    # the study has 2 criteria that code checks, 3 qualities and 1 fault to avoid
    assert (ours["criteria"], shot["criteria"], generic["criteria"]) == (6, 5, 5)
    assert (ours["recall"], shot["recall"], generic["recall"]) == pytest.approx((2 / 3, 1 / 3, 0))
    assert (ours["precision"], shot["precision"]) == pytest.approx((2 / 6, 1 / 5))
    assert ours["cited"] == 1.0
    # 6 criteria of 8 codes
    assert ours["criteria_per_code"] == pytest.approx(6 / 8)
    # 88 calls, see the study's own test; one prompt is one
    assert (ours["calls"], shot["calls"], generic["calls"]) == (88, 1, 0)
    assert ours["tokens"] > 20 * shot["tokens"] > 0
    # people rank the texts 9, 5, 2
    assert (ours["spearman"], human["spearman"]) == (1.0, -1.0)
    assert "spearman" not in shot
    assert "spearman" not in generic
    # units of 8, 6, 3 are 7/9, 5/9, 2/9, mean 14/27; of 2, 6, 9 they are 1/9, 5/9, 8/9
    assert ours["discrimination"] == pytest.approx(
        (((7 / 27) ** 2 + (1 / 27) ** 2 + (8 / 27) ** 2) / 3) ** 0.5
    )
    assert (generic["saturated"], generic["dead"]) == (1.0, 0.0)
    assert (shot["saturated"], shot["dead"]) == (0.0, 1.0)
    assert printed["report"]["differences"]["ours - human"]["spearman"]["value"] == 2.0
    assert printed["report"]["texts"] == 3
    assert not printed["report"]["confirmed"]


def test_a_judge_that_is_given_confirms_what_is_the_same(quillgraph: Any, tmp_path: Path) -> None:
    spec = f"scripted:{script(tmp_path)}"
    more = ("--role", f"judge={spec}", "--samples", 1, "--json")
    result = quillgraph(*words(lighthouse(tmp_path), spec, *more))
    assert result.status == 0, result.stderr
    printed = json.loads(result.stdout)
    measures = columns(printed)
    # it holds the storm for the same, and the picture for another one
    assert (measures["ours"]["recall"], measures["one-shot"]["recall"]) == pytest.approx((1 / 3, 0))
    assert printed["report"]["confirmed"]
    overlaps = [json.loads(line) for line in Path("run/overlaps.jsonl").read_text().splitlines()]
    assert {row["source"]: row["overlap"]["refused"] for row in overlaps} == {
        "ours": 1, "one-shot": 1, "generic": 0,
    }  # fmt: skip


# Any request, on a server that answers any schema


def test_stages_are_left_out_runs_compared_and_all_of_it_shown(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    more = ("--without", "axial", "--without", "drafts", "--runs", 2, "--drafts", 1)
    result = quillgraph(*words(data(tmp_path), spec, *more, "--plot", "plot.png"))
    assert result.status == 0, result.stderr
    for word in ("ours", "without axial", "without drafts", "one-shot", "generic", "human"):
        assert word in result.stdout
    for word in ("recall", "consistency", "reusability", "criteria_per_code", "ours - human"):
        assert word in result.stdout
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")
    table = Path("run/report.md").read_text(encoding="utf-8")
    head = "| measure | ours | without axial | without drafts | one-shot | generic | human |"
    assert head in table
    report = json.loads(Path("run/report.json").read_text(encoding="utf-8"))
    assert (report["requests"], report["texts"], report["runs"]) == (2, 4, 2)
    # two runs of three studies and of one prompt; the others say the same each time
    rows = [json.loads(line) for line in Path("run/criteria.jsonl").read_text().splitlines()]
    assert Counter(row["source"] for row in rows) == {
        "ours": 4, "without axial": 4, "without drafts": 4, "one-shot": 4, "generic": 2, "human": 2,
    }  # fmt: skip
    calls = read_records(Path("run/calls.jsonl"))
    by_judge = sum(call.role == "judge" for call in calls)
    assert sum(row["calls"] for row in rows) == len(calls) - by_judge
    drafts = next(row for row in rows if row["source"] == "without drafts")
    assert drafts["found"]["criteria"]
    assert quillgraph("report", "run", "--out", "page.html").status == 0
    assert "without axial: measures" in Path("page.html").read_text(encoding="utf-8")


def test_what_was_cut_short_goes_on_and_repeats_nothing(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    path = data(tmp_path, ROWS[:2])
    whole = quillgraph(*words(path, spec, "--drafts", 1, "--out", "whole", "--json"))
    calls = len(read_records(Path("whole/calls.jsonl")))
    cut = quillgraph(*words(path, spec, "--drafts", 1, "--max-calls", calls - 1))
    assert cut.status == 4
    assert "sets of criteria and 0 scores, kept in run" in cut.stderr
    sets = Path("run/criteria.jsonl").read_text().splitlines()
    assert len(sets) >= 2
    before = coded("run")
    # what a set had come to by then that was not finished is lost with it
    result = quillgraph("eval", "criteria", "--resume", "run", "--max-calls", 2 * calls, "--json")
    assert result.status == 0, result.stderr
    assert columns(json.loads(result.stdout)) == columns(json.loads(whole.stdout))
    assert Path("run/criteria.jsonl").read_text().splitlines()[: len(sets)] == sets
    unfinished = 2 - sum(json.loads(line)["source"] == "ours" for line in sets)
    repeated = coded("run") - before
    assert repeated <= coded("whole")
    assert (repeated > 0) == (unfinished > 0)
    # once more finds all of it done
    recorded = Path("run/calls.jsonl").read_bytes()
    again = quillgraph("eval", "criteria", "--resume", "run", "--json")
    assert json.loads(again.stdout)["report"] == json.loads(result.stdout)["report"]
    assert Path("run/calls.jsonl").read_bytes() == recorded


def coded(run: str) -> int:
    """Calls of the open coder in a run's folder."""
    return sum(call.role == "coder" for call in read_records(Path(run, "calls.jsonl")))


def test_a_resumed_run_takes_limits_alone_and_the_data_that_it_began_with(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    path = data(tmp_path, ROWS[:2])
    assert quillgraph(*words(path, spec, "--drafts", 0)).status == 0
    other = quillgraph("eval", "criteria", "--resume", "run", "--seed", 3)
    assert other.status == 2
    assert "expected nothing but limits with --resume, got 'seed'" in other.error
    path.write_text(path.read_text() + "\n", encoding="utf-8")
    refusal = quillgraph("eval", "criteria", "--resume", "run")
    assert refusal.status == 2
    assert "has changed since the run began" in refusal.error


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--without", "axiel"], "no stage 'axiel' that a study can do without: did you mean"),
        (["--runs", "0"], "expected --runs of 1 or more, got 0"),
        (["--limit", "0"], "expected --limit of 1 or more, got 0"),
        (["--role", "juge=scripted:x"], "unknown role 'juge'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    quillgraph: Any, spec: str, tmp_path: Path, more: list[str], message: str
) -> None:
    result = quillgraph(*words(data(tmp_path), spec, *more))
    assert result.status == 2
    assert message in result.error
    assert not Path("run").exists()


def test_no_data_is_an_error(quillgraph: Any) -> None:
    result = quillgraph("eval", "criteria")
    assert result.status == 2
    assert "expected --data FILE" in result.error


def test_a_server_that_answers_nothing_ends_the_run_with_its_own_status(
    quillgraph: Any, tmp_path: Path, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/chat/completions").respond_with_data(status=500)
    broken = f"openai:m@{httpserver.url_for('/v1')}?max_retries=0"
    result = quillgraph(*words(data(tmp_path), broken, "--drafts", 0))
    assert result.status == 3
    assert "there are no criteria for any request; first: ServerFailed" in result.error


def test_files_for_the_tools_of_writingbench_are_left_where_the_requests_are_theirs(
    quillgraph: Any, spec: str, tmp_path: Path
) -> None:
    levels = {band: f"level {band}" for band in ("1-2", "3-4", "5-6", "7-8", "9-10")}
    checklist = [{"name": "Tone", "criteria_description": "How it sounds.", **levels}]
    row = {"index": 7, "domain2": "Poem", "query": STORY, "checklist": checklist}
    bench = tmp_path / "bench.jsonl"
    bench.write_text(json.dumps(row), encoding="utf-8")
    one = f"{spec}&items_per_call=1"
    more = ("--data", data(tmp_path, ROWS[2:4]), "--drafts", 0)
    result = quillgraph(*words(bench, one, *more))
    assert result.status == 0, result.stderr
    for source in ("ours", "one-shot", "generic", "human"):
        (line,) = Path(f"run/writingbench-{source}.jsonl").read_text().splitlines()
        assert json.loads(line)["index"] == 7
        assert json.loads(line)["checklist"][0]["9-10"]
    for number in (1, 2):
        (line,) = Path(f"run/writingbench_scores/text-{number}.jsonl").read_text().splitlines()
        assert set(json.loads(line)["scores"]) == {"Tone"}
