import json
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends.errors import InputError
from quillgraph.evals import load

WQRM = {
    "id": "triplet_1",
    "instruction": {"plot": "A ferry is late.", "voice": "first person", "word_count": 230},
    "first_draft": {"candidate": "One."},
    "random_cot": {"candidate": "Two."},
    "best_cot": {"candidate": "Three."},
    "annotations": [
        {
            "first_draft": "Least Preferred Writing Option",
            "random_cot": "Second Favorite Writing Option",
            "best_cot": "Most Preferred Writing Option",
        },
        {
            "first_draft": "Most Preferred Writing Option",
            "random_cot": "Least Preferred Writing Option",
            "best_cot": "Second Favorite Writing Option",
        },
    ],
}


def lamp(paragraphs: str, answer: dict[str, Any]) -> dict[str, Any]:
    question = f"You are given this.\n\n{paragraphs}\n\nYou must produce your answer in JSON"
    return {
        "messages": [
            {"role": "system", "content": "You know writing."},
            {"role": "user", "content": question},
            {"role": "assistant", "content": json.dumps(answer)},
        ]
    }


def file_of(tmp_path: Path, data: Any, *, lines: bool = False) -> Path:
    path = tmp_path / "data.json"
    text = "\n".join(map(json.dumps, data)) if lines else json.dumps(data)
    path.write_text(text, encoding="utf-8")
    return path


def test_three_ranked_drafts_are_three_pairs_with_a_vote_of_each_writer(tmp_path: Path) -> None:
    data = load(file_of(tmp_path, [WQRM]))
    assert data.format == "wqrm"
    pairs = {(pair.left, pair.right): pair for pair in data.preferences}
    assert pairs["One.", "Two."].votes == ("right", "left")
    assert pairs["One.", "Two."].preferred == "tie"
    assert pairs["One.", "Three."].votes == ("right", "left")
    assert pairs["Two.", "Three."].preferred == "right"
    assert {pair.group for pair in pairs.values()} == {"triplet_1"}
    request = "A ferry is late.\nWrite it in the first person.\nAbout 230 words."
    assert pairs["One.", "Two."].request == request


def test_a_scored_paragraph_and_a_pair_of_lamp(tmp_path: Path) -> None:
    rows = [
        lamp("Paragraph:\nThe boat\n\nsank.", {"score": 7}),
        lamp("Paragraph 1:\nThe boat.\n\nParagraph 2:\nThe ship.", {"preference": "2"}),
    ]
    data = load(file_of(tmp_path, rows, lines=True))
    (rated,), (pair,) = data.rated, data.preferences
    assert (rated.text, rated.score) == ("The boat\n\nsank.", 7.0)
    assert (pair.left, pair.right, pair.preferred) == ("The boat.", "The ship.", "right")


def test_writingbench_criteria_keep_their_levels(tmp_path: Path) -> None:
    criterion = {"name": "Tone", "criteria_description": "How it sounds.", "1-2": "flat"}
    row = {"index": 7, "domain2": "Poem", "query": "A poem.", "criteria": [criterion]}
    (request,) = load(file_of(tmp_path, [row])).requests
    assert (request.id, request.request) == ("7 Poem", "A poem.")
    assert request.criteria[0].levels == {"1-2": "flat"}


def test_biggen_has_one_hand_made_criterion(tmp_path: Path) -> None:
    rubric = {"criteria": "Is it moving?", "score1_description": "no", "score5_description": "yes"}
    row = {"id": "a", "system_prompt": "Be kind.", "input": "Write.", "score_rubric": rubric}
    (request,) = load(file_of(tmp_path, {"a": row})).requests
    assert request.request == "Be kind.\n\nWrite."
    assert request.criteria[0].levels == {"1": "no", "5": "yes"}


def test_arena_hard_and_longbench_are_told_by_their_fields(tmp_path: Path) -> None:
    assert load(file_of(tmp_path, [{"uid": "u", "prompt": "P"}])).format == "arena_hard"
    data = load(file_of(tmp_path, [{"prompt": "P", "length": 100, "type": "x"}], lines=True))
    assert (data.format, data.requests[0].words) == ("longbench_write", 100)


def test_the_plain_format_holds_scores_pairs_and_requests(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "request": "R", "text": "T", "scores": [3, 5], "low": 1, "high": 5},
        {"id": "b", "request": "R", "left": "L", "right": "M", "preferred": "left"},
        {"id": "c", "request": "R", "criteria": [{"name": "N", "description": "D"}]},
    ]
    data = load(file_of(tmp_path, rows, lines=True))
    assert data.rated[0].score == 4.0
    assert data.preferences[0].group == "R"
    assert data.requests[0].criteria[0].name == "N"


def test_a_record_that_cannot_be_used_is_told_with_its_place_and_the_rest_is_read(
    tmp_path: Path,
) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "text": "T", "score": 3},
        {"id": "b", "text": "T", "score": 11},
        {"id": "c", "text": "T"},
        {"id": "d", "left": "L", "votes": ["left"]},
    ]
    data = load(file_of(tmp_path, rows))
    assert len(data.records) == 1
    assert [line.partition(":")[0] for line in data.skipped] == [
        "record 2",
        "record 3",
        "record 4",
    ]
    assert "expected scores from 1 to 10, got 11" in data.skipped[0]
    assert "missing field 'right'" in data.skipped[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found none"),
        ("{broken", "line 1: expected JSON"),
        ('{"id": "a", "text": "T", "score": 3}\n[1]', "line 2: expected an object"),
        ('{"colour": "red"}', "cannot tell the format"),
        ('{"text": "T"}', "no record of .* can be used as 'plain'"),
        ('[{"id": "a", "text": "T", "score": 3}, {"id": "a", "text": "T", "score": 4}]', "twice"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load(path)


def test_an_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    path = file_of(tmp_path, [WQRM])
    with pytest.raises(InputError, match="did you mean 'wqrm'"):
        load(path, format="wqrn")
    with pytest.raises(InputError, match="cannot read"):
        load(tmp_path / "none.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="expected UTF-8"):
        load(tmp_path / "b.json")


def test_a_score_that_is_a_boolean_or_no_number_is_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    scores = ["7", "true", "NaN", "Infinity", "null", '"7"']
    lines = (
        f'{{"request": "Fog.", "text": "Text {n}.", "score": {s}}}' for n, s in enumerate(scores)
    )
    path.write_text("\n".join(lines), encoding="utf-8")
    data = load(path)
    # true is not 1, the worst score of the scale
    assert [(each.text, each.scores) for each in data.rated] == [
        ("Text 0.", (7.0,)),
        ("Text 5.", (7.0,)),
    ]
    assert [line.partition(":")[0] for line in data.skipped] == [f"line {n}" for n in (2, 3, 4, 5)]
    assert "expected a number, got True" in data.skipped[0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a \\ud800 b", "score": 1}', "half a character"),
        ('{"text": "a", "score": 1, "score": 9}', "occurs twice"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_a_line_that_nobody_can_mean_is_refused_by_its_number(
    tmp_path: Path, line: str, reason: str
) -> None:
    file = tmp_path / "rated.jsonl"
    file.write_text('{"text": "Fog.", "score": 1}\n' + line, encoding="utf-8")

    with pytest.raises(InputError, match=f"rated.jsonl, line 2: .*{reason}"):
        load(file)
