"""A judge evaluated from Python, on a script, with numbers that are worked out by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.agents.judgements import Verdict
from quillgraph.agents.judges import Ballot, PromptedJudge
from quillgraph.agents.role import Role
from quillgraph.backends import Budget
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import BudgetReached, InputError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.evals import Loaded, evaluate_judge, load
from quillgraph.evals.data import generic_rubric
from quillgraph.evals.judges import JudgeOptions, JudgeResults

TEXTS = {"The lamp turns.": 9, "Waves came.": 5, "It was nice.": 2}
"""Texts and what people give them."""

SCORES = {"The lamp turns.": 8, "Waves came.": 3, "It was nice.": 6}
"""What the judge gives them."""


def judge(budget: Budget | None = None) -> PromptedJudge:
    """One that gives a text its score on every criterion, and prefers what stands first."""

    def reply(request: ChatRequest) -> str:
        words = request.messages[-1].content
        if "<first" in words:
            return json.dumps({"better": "first"})
        score = next((score for text, score in SCORES.items() if text in words), 1)
        votes = [
            {"criterion": f"q{n}", "score": score, "evidence": "s1", "reason": "so"}
            for n in range(1, words.count("1-2: ") + 1)
        ]
        return json.dumps({"items": votes})

    role = Role("judge", ScriptedChat(reply=reply), 0, budget or Budget())
    return PromptedJudge((role,), samples=1)


@pytest.fixture
def data(tmp_path: Path) -> Loaded:
    """The texts, and a pair of the first two."""
    rows: list[dict[str, object]] = [
        {"id": f"t{n}", "text": text, "score": score}
        for n, (text, score) in enumerate(TEXTS.items())
    ]
    left, right, _ = TEXTS
    rows.append({"id": "p", "request": "R", "left": left, "right": right, "preferred": "right"})
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return load(path)


async def test_a_judge_is_held_against_people_by_hand(data: Loaded) -> None:
    stages: list[str] = []
    options = JudgeOptions(probes=0)
    results = await evaluate_judge(
        judge(), data, criteria=generic_rubric()[:1], options=options, on_stage=stages.append
    )
    assert [row.judged for row in results.texts] == pytest.approx([8, 3, 6])
    report = results.report
    assert report is not None
    # ranks 3, 1, 2 against people's 3, 2, 1: 1 - 6·(0 + 1 + 1)/(3·8)
    assert report.measures["spearman"].value == pytest.approx(0.5)
    assert report.measures["leniency"].value == pytest.approx((-1 - 2 + 4) / 3)
    # people prefer the second text of the pair, the judge scores 8 against 3
    assert report.measures["pair_accuracy"].value == 0.0
    assert (report.data, report.criteria) == ("data.jsonl", "generic rubric")
    assert (stages, results.probes) == (["score", "probe"], [])


async def test_a_judge_who_draws_samples_is_put_to_all_probes(data: Loaded) -> None:
    results = await evaluate_judge(judge(), data, options=JudgeOptions(probes=3))
    by_name = {probe.probe: probe.effect.value for probe in results.probes}
    assert list(by_name) == [
        "length", "format", "injection", "self-praise", "degenerate", "test-retest", "position",
    ]  # fmt: skip
    # the script tells a text by its words, whatever is added, and on any seed
    assert (by_name["length"], by_name["test-retest"]) == (0.0, 0.0)
    # it prefers what stands first in both orders: a lean of 1
    assert by_name["position"] == 1.0
    assert results.as_dict()["probes"][0]["verdict"] == "undecided"  # 3 texts say little


class Plain:
    """A judge without samples, such as a trained scorer."""

    name = "plain"

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        votes = (Verdict(criterion_id=each.id, score=5, votes=(5,)) for each in criteria)
        return Ballot(tuple(votes))


async def test_a_judge_without_samples_is_not_probed_for_what_only_they_show(data: Loaded) -> None:
    results = await evaluate_judge(Plain(), data, options=JudgeOptions(probes=2))
    assert {probe.probe for probe in results.probes}.isdisjoint({"test-retest", "position"})
    assert len(results.probes) == 5


async def test_what_there_is_when_a_budget_ends_the_evaluation_stays(data: Loaded) -> None:
    results = JudgeResults()
    with pytest.raises(BudgetReached):
        # a call for each of 3 texts and none for the pair, whose request differs: it takes 2 more
        await evaluate_judge(judge(Budget(4)), data, results=results)
    assert [row.judged for row in results.texts] == pytest.approx([8, 3, 6])
    assert (results.pairs, results.report) == ([], None)


async def test_as_many_texts_and_pairs_are_used_as_the_limit_allows(data: Loaded) -> None:
    results = await evaluate_judge(judge(), data, options=JudgeOptions(limit=1, probes=0))
    assert (len(results.texts), len(results.pairs)) == (1, 1)


async def test_requests_alone_hold_nobody_to_anything(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text('{"request": "R"}', encoding="utf-8")
    with pytest.raises(InputError, match="holds requests and no human judgements"):
        await evaluate_judge(judge(), load(path))
