"""`quillgraph scorer`, and `--judge scorer:…` wherever there is a judge."""

import json
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
TEXT = (
    "Fog sat on the wheel like wet wool. A bell rang once, to port, and the deck hummed with it. "
    "The pilot waited for a while, and then he went on."
)


def judging(*more: object) -> list[str]:
    Path("text.txt").write_text(TEXT, encoding="utf-8")
    options = (
        "judge", "--criteria", SCRIPTS / "ferry.criteria.json", "--file", SCRIPTS / "ferry.txt",
        "--text", "text.txt", "--backend", f"scripted:{SCRIPTS / 'ferry.yaml'}", "--out", "run",
        *more,
    )  # fmt: skip
    return [str(word) for word in options]


@pytest.mark.model
def test_a_text_is_judged_without_a_call(quillgraph: Any) -> None:
    result = quillgraph(*judging("--judge", "scorer:prose", "--json"))
    assert result.status == 0, result.stderr
    judgement = json.loads(result.stdout)["judgement"]
    assert judgement["judge"].startswith("scorer:prose@")
    assert judgement["missing"] == []
    assert len(judgement["verdicts"]) == 3
    assert all(each["evidence"] is None for each in judgement["verdicts"])
    assert "no sentence cited" in judgement["verdicts"][0]["reason"]
    assert json.loads(Path("run/run.json").read_text())["calls"] == 0


@pytest.mark.model
def test_a_scorer_is_held_against_people_and_probed(quillgraph: Any) -> None:
    lines = [f"{TEXT} It was the {n}th night, and nobody had slept." for n in range(10)]
    rows = [{"id": f"t{n}", "text": text, "score": 1 + n} for n, text in enumerate(lines)]
    Path("rated.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    result = quillgraph(
        "eval", "judge", "--data", "rated.jsonl", "--judge", "scorer:prose", "--probes", 8,
        "--out", "run", "--json",
    )  # fmt: skip
    assert result.status == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["report"]["excluded"] == {}
    # it draws nothing and sees no two texts at once, so there is nothing to repeat or to turn round
    verdicts = {each["probe"]: each["verdict"] for each in report["probes"]}
    assert set(verdicts) == {"length", "format", "injection", "self-praise", "degenerate"}
    assert verdicts["degenerate"] == "clean"
    assert json.loads(Path("run/run.json").read_text())["calls"] == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--judge", "scorer:nowhere"), "expected scorer:FOLDER or one that comes with"),
        (("--role", "writer=scorer:prose"), "role 'writer' has to write"),
        (("--judge", "scorer:prose", "--role", "judge=scripted:x"), "expected one judge"),
        (("--backend", "scorer:prose"), "gives scores and no words"),
    ],
)
def test_what_a_scorer_cannot_be_is_refused(
    quillgraph: Any, more: tuple[str, ...], message: str
) -> None:
    result = quillgraph(*judging(*more))
    assert result.status == 2
    assert message in result.error


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "expected --data FILE"),
        (("--data", "pairs.jsonl"), "expected --out DIR"),
        (("--data", "pairs.jsonl", "--out", "full"), "full holds something already"),
        (("--data", "pairs.jsonl", "--out", "new"), "pairs and bare requests train no scorer"),
    ],
)
def test_what_cannot_be_trained_on_is_told(
    quillgraph: Any, more: tuple[str, ...], message: str
) -> None:
    Path("pairs.jsonl").write_text(
        json.dumps({"left": "a", "right": "b", "preferred": "left"}), encoding="utf-8"
    )
    Path("full").mkdir()
    Path("full/note.txt").write_text("mine", encoding="utf-8")
    result = quillgraph("scorer", "train", *more)
    assert result.status == 2
    assert message in result.error


def test_what_comes_with_the_package_is_listed(quillgraph: Any) -> None:
    (prose,) = json.loads(quillgraph("scorer", "list", "--json").stdout)
    assert prose["name"] == "prose"
    assert "scorer:prose" in quillgraph("scorer", "list").stdout
