"""Texts of compared policies, opposite one another."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from quillgraph.agents.judges import PairComparison
from quillgraph.evals.data.prompts import prompts_of
from quillgraph.evals.data.records import RubricRequest
from quillgraph.evals.policies.records import ComparedTexts, ScoredText, WrittenText
from quillgraph.evals.report.contents import read_contents
from quillgraph.evals.report.folder import Folder
from quillgraph.evals.report.opposite import LONGEST, MOST_PROMPTS, policy_texts
from quillgraph.evals.report.page import render_page

HOSTILE = '<script>alert("x")</script></textarea>'


def keep(folder: Path, name: str, rows: Sequence[BaseModel]) -> None:
    lines = "".join(row.model_dump_json() + "\n" for row in rows)
    (folder / name).write_text(lines, encoding="utf-8")


def text(policy: str, prompt: str = "r0", number: int = 0, **more: Any) -> WrittenText:
    place: dict[str, Any] = {"policy": policy, "prompt": prompt, "number": number}
    return WrittenText(**place, **{"text": f"Of {policy}.", "prompt_tokens": 1200, **more})


def folder(tmp_path: Path, prompts: int = 1) -> Path:
    requests = [RubricRequest(id=f"r{n}", request=f"Write of night {n}.") for n in range(prompts)]
    keep(tmp_path, "prompts.jsonl", prompts_of(requests, None)[0])
    return tmp_path


def test_each_policys_first_text_stands_with_what_was_found_of_it(tmp_path: Path) -> None:
    path = folder(tmp_path)
    keep(
        path,
        "texts.jsonl",
        [text("A", is_cut=True), text("B"), text("B", number=1), text("C", failure="broken")],
    )
    keep(
        path,
        "scores.jsonl",
        [
            ScoredText(policy="A", prompt="r0", number=0, hard=0.5, soft=0.25),
            ScoredText(policy="B", prompt="r0", number=0, gate="a list", soft=0.0),
        ],
    )
    won = PairComparison(forward="second", backward="first")
    place: dict[str, Any] = {"policy": "B", "prompt": "r0", "number": 0}
    keep(path, "comparisons.jsonl", [ComparedTexts(**place, comparison=won, longer=0)])
    texts = policy_texts(Folder(path))
    assert texts is not None
    (opposite,) = texts.prompts
    assert opposite.request == "Write of night 0."
    assert [(each.policy, each.text, each.notes) for each in opposite.pieces] == [
        (
            "A",
            "Of A.",
            ("1,200 tokens", "cut at the longest allowed", "demands kept 0.50", "score 0.25"),
        ),
        ("B", "Of B.", ("1,200 tokens", "turned away: a list", "lost")),
        ("C", "Of C.", ("no text: broken",)),
    ]


def test_a_run_of_another_kind_shows_none(tmp_path: Path) -> None:
    # `eval judge` has a file of this name, in another form
    (tmp_path / "scores.jsonl").write_text('{"id": "t1"}\n', encoding="utf-8")
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    run = Folder(tmp_path)
    assert policy_texts(run) is None
    assert run.notes == []


def test_many_prompts_are_cut_and_the_rest_is_told(tmp_path: Path) -> None:
    path = folder(tmp_path, MOST_PROMPTS + 5)
    rows = [text("A", f"r{n}", text="a" * (LONGEST + 7)) for n in range(MOST_PROMPTS + 5)]
    keep(path, "texts.jsonl", rows)
    page = render_page(read_contents(path))
    assert "20 of 25 prompts are shown" in page
    assert "[…7 characters more]" in page


def test_what_a_policy_wrote_is_escaped(tmp_path: Path) -> None:
    path = folder(tmp_path)
    keep(path, "texts.jsonl", [text(HOSTILE, text=HOSTILE, failure=HOSTILE)])
    page = render_page(read_contents(path))
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(") == 3
