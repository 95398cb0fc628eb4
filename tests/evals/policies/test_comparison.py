"""Policies compared from Python, on scripts, with numbers that are worked out by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends import Budget, Recorder
from quillgraph.backends.calls import CallRecord
from quillgraph.backends.errors import BackendError, BudgetReached, ConfigError, InputError
from quillgraph.evals import Loaded, compare_policies, load
from quillgraph.evals.data import generic_rubric
from quillgraph.evals.policies import ContestOptions, PolicyReport, PolicyResults

SEA, MOOR = "Write of the sea in at most 6 words.", "Write of the moor in at most 6 words."
A = {"the sea": "The sea was grey and quite cold today.", "the moor": "The moor was dark and wide."}
B = {"the sea": "Grey sea, cold as old iron.", "the moor": "Dark moor, and nobody on it."}
"""A's line on the sea has 8 words, all others have 6."""

FIRST, SECOND = (json.dumps({"better": place}) for place in ("first", "second"))


def vote(score: int) -> str:
    item = {"criterion": "q1", "score": score, "evidence": "s1", "reason": "so"}
    return json.dumps({"items": [item]})


JUDGE = {
    # of the lines on the sea B's is better in both orders; on the moor the first is
    r"(?s)<first \w+>\s+The sea was.*<second \w+>\s+Grey sea": SECOND,
    r"(?s)<first \w+>\s+Grey sea.*<second \w+>\s+The sea was": FIRST,
    r"(?s)<first \w+>.*moor": FIRST,
    "s1: The sea was": vote(4),
    "s1: Grey sea": vote(10),
    "s1: .*moor": vote(7),
}


@pytest.fixture
def specs(tmp_path: Path) -> dict[str, str]:
    """Name to spec of A, B and the judge."""
    specs = {}
    for name, rules in (("a", A), ("b", B), ("judge", JUDGE)):
        path = tmp_path / f"{name}.yaml"
        lines = [{"when": when, "reply": reply} for when, reply in rules.items()]
        path.write_text(json.dumps({"rules": lines}), encoding="utf-8")  # JSON is YAML
        specs[name] = f"scripted:{path}"
    return specs


@pytest.fixture
def data(tmp_path: Path) -> Loaded:
    """Two requests with a criterion of their own."""
    criteria = [{"name": "Image", "description": "One clear image."}]
    rows = [
        {"id": name, "request": request, "criteria": criteria}
        for name, request in (("sea", SEA), ("moor", MOOR))
    ]
    path = tmp_path / "requests.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return load(path)


async def compared(specs: dict[str, str], data: Loaded, **more: Any) -> PolicyReport:
    options = ContestOptions(texts=1)
    return await compare_policies(
        [specs["a"], specs["b"]], data, specs["judge"], **{"options": options, **more}
    )


def value(report: PolicyReport, name: str) -> float | None:
    return report.flat[name].value


async def test_two_policies_by_hand(specs: dict[str, str], data: Loaded) -> None:
    report = await compared(specs, data)
    assert value(report, "A.hard") == 0.5  # 8 words, 6 words
    assert value(report, "B.hard") == 1.0
    assert value(report, "A.soft") == pytest.approx((1 / 3 + 2 / 3) / 2)  # (4 - 1)/9, (7 - 1)/9
    assert value(report, "B.soft") == pytest.approx((1 + 2 / 3) / 2)
    assert value(report, "B-A.soft") == pytest.approx(1 / 3)
    # 36 and 37 bytes of request, 38 and 27 of text, four a token: 9 + 10 and 10 + 7
    assert value(report, "A.tokens") == 18
    assert value(report, "B.win_rate") == 0.75  # a win, and a tie that the order made
    assert value(report, "B.order_consistency") == 0.5
    assert (report.data, report.criteria) == ("requests.jsonl", "the requests' own criteria")
    assert report.excluded == {}


async def test_a_recorder_hears_each_call_under_what_it_was_made_for(
    specs: dict[str, str], data: Loaded
) -> None:
    calls: list[CallRecord] = []
    await compared(specs, data, recorder=Recorder(None, "run", calls.append))
    # 4 texts, 2 votes on each, 2 pairs in both orders
    assert len(calls) == 4 + 8 + 4
    runs = [call.run for call in calls]
    assert sorted(runs)[:4] == ["A/moor/0", "A/sea/0", "B/moor/0", "B/sea/0"]
    assert runs.count("judge") == 12


async def test_what_is_in_the_results_is_not_worked_out_again(
    specs: dict[str, str], data: Loaded, tmp_path: Path
) -> None:
    whole = await compared(specs, data)
    with pytest.raises(BudgetReached):
        await compared(
            specs, data, results=PolicyResults.within(tmp_path / "run"), budget=Budget(7)
        )
    results = PolicyResults.within(tmp_path / "run")
    # 4 texts, and of the first score that began to cost 3 calls, the two that make it
    assert (results.written, len(results.scores.rows)) == (4, 1)
    calls: list[CallRecord] = []
    recorder = Recorder(None, "run", calls.append)
    assert await compared(specs, data, results=results, recorder=recorder) == whole
    # 3 scores of 2 votes, and 2 pairs in both orders
    assert len(calls) == 6 + 4
    again: list[CallRecord] = []
    recorder = Recorder(None, "run", again.append)
    assert await compared(specs, data, results=results, recorder=recorder) == whole
    assert again == []


async def test_criteria_from_elsewhere_stand_in_for_the_requests_own(
    specs: dict[str, str], data: Loaded
) -> None:
    report = await compared(specs, data, criteria=generic_rubric()[:1])
    assert report.criteria == "criteria from elsewhere"
    assert value(report, "B-A.soft") == pytest.approx(1 / 3)


async def test_a_policy_without_a_text_and_a_judge_without_an_answer_end_the_comparison(
    specs: dict[str, str], data: Loaded, tmp_path: Path
) -> None:
    silent = tmp_path / "silent.yaml"
    silent.write_text('{"rules": [{"when": "nothing of it", "reply": "No."}]}', encoding="utf-8")
    with pytest.raises(BackendError, match=r"policy B .* gave no text at all: ReplyError"):
        await compared({**specs, "b": f"scripted:{silent}"}, data)
    with pytest.raises(BackendError, match="the judge has not given a single answer"):
        await compared({**specs, "judge": f"scripted:{silent}"}, data)


async def test_what_cannot_be_compared_is_refused_before_the_first_call(
    specs: dict[str, str], data: Loaded, tmp_path: Path
) -> None:
    calls: list[CallRecord] = []
    recorder = Recorder(None, "run", calls.append)
    graph = f"best_of_m@{specs['b']}"
    with pytest.raises(ConfigError, match="best_of_m"):
        await compared({**specs, "b": graph}, data, recorder=recorder)
    judgements = tmp_path / "judged.jsonl"
    judgements.write_text('{"text": "T", "score": 3}', encoding="utf-8")
    with pytest.raises(InputError, match="holds judgements of people and no requests"):
        await compared(specs, load(judgements), recorder=recorder)
    assert calls == []
