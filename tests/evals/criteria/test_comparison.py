"""Several sources of criteria on the same requests, with numbers that are worked out by hand."""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from langchain_core.embeddings import Embeddings

from quillgraph.agents.domain import LEVELS, Criterion
from quillgraph.agents.judges import PromptedJudge
from quillgraph.agents.role import Role
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.calls import CallRecord
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import BackendError, BudgetReached, ConfigError, ServerFailed
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.evals import Loaded, load
from quillgraph.evals.criteria.comparison import (
    CriteriaComparison,
    CriteriaOptions,
    Observer,
    compare_criteria,
)
from quillgraph.evals.criteria.report import CriteriaReport, criteria_report
from quillgraph.evals.criteria.results import ELICITED, CriteriaResults
from quillgraph.evals.criteria.sources import CriteriaSource, Found
from quillgraph.evals.data.cases import Case
from quillgraph.evals.data.records import Preference, RatedText, RubricRequest
from quillgraph.evals.measures.matching import WordedCriterion


class Angles(Embeddings):
    """A text that names an angle lies there, in degrees; requests lie at 200."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        last = text.rstrip(".").rpartition(" ")[2]
        at = math.radians(float(last) if last.isdigit() else 200)
        return [math.cos(at), math.sin(at)]


def criteria(*angles: int) -> tuple[Criterion, ...]:
    return tuple(
        Criterion(
            id=f"c{number}", name=f"At {at}", description=f"It lies at {at}", kind="soft",
            tier="important", weight=0.7, levels=dict.fromkeys(LEVELS, "so and so"),
            category_id=None, evidence=("i1",),
        )
        for number, at in enumerate(angles, 1)
    )  # fmt: skip


Table = Mapping[tuple[str, int], tuple[int, ...]]
"""Request and run to the angles of the criteria."""


def source(name: str, table: Table, *, varies: bool = True) -> CriteriaSource:
    async def find(request: RubricRequest, run: int) -> Found:
        if (request.id, run) not in table:
            raise ServerFailed("it broke")
        return Found(criteria=criteria(*table[request.id, run]), cited=1.0, codes=10)

    return CriteriaSource(name, find, varies)


CASES = tuple(
    Case(
        request=RubricRequest(id=name, request=f"Write of {name}."),
        rated=tuple(
            RatedText(id=f"{name}{n}", request="", text=f"{name} text {n}.", scores=(score,))
            for n, score in enumerate(scores)
        ),
    )
    for name, scores in (("a", (2.0, 5.0, 9.0)), ("b", (3.0, 8.0)), ("c", ()))
)

OURS: Table = {
    ("a", 0): (0, 90, 95),  # 95 lies at cos 5° = .996 from 90
    ("a", 1): (0, 90, 180),
    ("b", 0): (0, 150),
    ("b", 1): (0, 150),
    ("c", 0): (210,),
    ("c", 1): (30,),
}
HUMAN: Table = {("a", 0): (10, 100), ("b", 0): (300,), ("c", 0): (215, 240)}


def judged_by(table: Mapping[str, int]) -> PromptedJudge:
    """A judge who gives a text the same score on every criterion, by what stands in the prompt."""

    def reply(request: ChatRequest) -> str:
        prompt = request.messages[-1].content
        score = next(score for text, score in table.items() if text in prompt)
        votes = [
            {"criterion": f"q{n}", "score": score, "evidence": "s1", "reason": "so it is"}
            for n in range(1, prompt.count("1-2: ") + 1)
        ]
        return json.dumps({"items": votes})

    return PromptedJudge((Role("judge", ScriptedChat(reply=reply)),), samples=2)


JUDGED = {"a text 0.": 1, "a text 1.": 4, "a text 2.": 10, "b text 0.": 6, "b text 1.": 6}


async def compared(
    folder: Path,
    sources: Sequence[CriteriaSource],
    *,
    judge: PromptedJudge | None = None,
    runs: int = 1,
    cases: Sequence[Case] = CASES,
    **more: Any,
) -> CriteriaReport:
    results = CriteriaResults.within(folder)
    await CriteriaComparison(sources, Angles(), results, judge=judge, runs=runs, **more).run(cases)
    return await criteria_report(
        cases, [each.name for each in sources], results, Angles(), runs=runs, seed=0, excluded={},
        data="d", model="m", judge=judge.name if judge else None, confirmed=False, placed_by="e",
    )  # fmt: skip


def values(report: CriteriaReport, source: str = "ours") -> dict[str, float | None]:
    return {name: one.value for name, one in report.sources[source].measures.items()}


async def test_criteria_are_measured_against_peoples_and_against_each_other(tmp_path: Path) -> None:
    sources = [source("ours", OURS), source("human", HUMAN, varies=False)]
    ours = values(report := await compared(tmp_path, sources, runs=2))
    # a: 0-10 and 90-100 (or 95-100) match, 2 of 2; b: 0-300 are 60° apart, cos .5, and may match
    # (150-300 not), 1 of 1; c: 210-215 match, 1 of 2
    assert ours["recall"] == pytest.approx(4 / 5)
    assert ours["precision"] == pytest.approx(4 / 6)
    assert ours["criteria"] == pytest.approx((3 + 2 + 1) / 3)
    # requests lie at 200: near are 150 (50°) and 210 (10°); the nearest of a is 105° off
    assert ours["coverage"] == pytest.approx(2 / 3)
    # 95 repeats 90
    assert ours["near_duplicates"] == pytest.approx(1 / 6)
    # cos .75 is 41°: 0 of a and b repeat each other; 90, 95 and 150 are 55° apart, 210 is 60° off
    assert ours["reusability"] == pytest.approx(2 / 6)
    # a: 0 and one of 90/95 come again, 2·2/(3+3); b: all of them, 1; c: none, 0
    assert ours["consistency"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert ours["cited"] == 1.0
    assert ours["criteria_per_code"] == pytest.approx(6 / 30)
    assert "recall" not in values(report, "human")
    assert report.sources["ours"].measures["recall"].clusters == 3
    assert report.differences == {}


async def test_the_same_judge_agrees_with_people_as_far_as_the_criteria_let_it(
    tmp_path: Path,
) -> None:
    sources = [source("ours", OURS), source("human", HUMAN, varies=False)]
    reverse = {text: 11 - score for text, score in JUDGED.items()}
    # one judge for both: it tells the criteria of people by one of them
    human_first = {
        "It lies at 10\n": reverse, "It lies at 300\n": reverse, "": JUDGED,
    }  # fmt: skip

    def reply(request: ChatRequest) -> str:
        prompt = request.messages[-1].content
        table = next(table for words, table in human_first.items() if words in prompt)
        score = next(score for text, score in table.items() if text in prompt)
        votes = [
            {"criterion": f"q{n}", "score": score, "evidence": "s1", "reason": "so it is"}
            for n in range(1, prompt.count("1-2: ") + 1)
        ]
        return json.dumps({"items": votes})

    judge = PromptedJudge((Role("judge", ScriptedChat(reply=reply)),), samples=2)
    report = await compared(tmp_path, sources, judge=judge)
    ours, human = values(report), values(report, "human")
    # people 2 5 9 | 3 8 rank 1 3 5 | 2 4; the judge 1 4 10 | 6 6 ranks 1 2 5 | 3.5 3.5;
    # deviations from 3: people -2 0 2 -1 1, judge -2 -1 2 .5 .5: 8 / sqrt(10 · 9.5)
    assert ours["spearman"] == pytest.approx(8 / math.sqrt(95))
    assert human["spearman"] == pytest.approx(-8 / math.sqrt(95))
    # within b the judge has no spread, so a alone counts
    assert (ours["spearman_within"], human["spearman_within"]) == (1.0, -1.0)
    assert report.differences["ours - human"]["spearman"].value == pytest.approx(16 / math.sqrt(95))
    assert report.differences["ours - human"]["spearman_within"].value == 2.0
    # a: units 0, 1/3, 1, mean 4/9, so sqrt((16 + 1 + 25) / 81 / 3) on 3 criteria; b: 0 on 2
    assert ours["discrimination"] == pytest.approx(3 * math.sqrt(42 / 243) / 5)
    assert (ours["dead"], ours["saturated"]) == (2 / 5, 0.0)
    assert report.texts == 5


async def test_texts_at_the_top_saturate_a_criterion(tmp_path: Path) -> None:
    judge = judged_by({"a text": 9, "b text": 4})
    ours = values(await compared(tmp_path, [source("ours", OURS)], judge=judge))
    # 3 criteria of a at the top, 2 of b dead below it
    assert (ours["saturated"], ours["dead"]) == (3 / 5, 2 / 5)


async def test_pairs_are_judged_by_text_and_not_by_pair(tmp_path: Path) -> None:
    prompt = []

    def reply(request: ChatRequest) -> str:
        prompt.append(request)
        return json.dumps(
            {"items": [{"criterion": "q1", "score": 7, "evidence": "s1", "reason": "so it is"}]}
        )

    judge = PromptedJudge((Role("judge", ScriptedChat(reply=reply)),), samples=1)
    pairs = tuple(
        Preference(id=f"p{n}", group="g", request="R", left=left, right=right, votes=("left",))
        for n, (left, right) in enumerate(combinations(("One.", "Two.", "Three."), 2))
    )
    case = Case(request=RubricRequest(id="a", request="R"), pairs=pairs)
    ours = source("ours", {("a", 0): (0,)})
    report = await compared(tmp_path, [ours], judge=judge, cases=[case])
    assert len(prompt) == 3
    # all tied: half a hit each
    assert values(report)["pair_accuracy"] == 0.5


async def test_a_source_that_fails_on_a_request_is_counted_and_tried_again(tmp_path: Path) -> None:
    human = source("human", HUMAN, varies=False)
    first = {key: angles for key, angles in OURS.items() if key[0] != "b"}
    report = await compared(tmp_path, [source("ours", first), human])
    assert report.sources["ours"].requests == 2
    assert report.sources["ours"].excluded == {"ServerFailed: it broke": 1}
    # a: 2 of 2, c: 1 of 2
    assert values(report)["recall"] == pytest.approx(3 / 4)
    again = await compared(tmp_path, [source("ours", OURS), human])
    assert again.sources["ours"].excluded == {}
    assert values(again)["recall"] == pytest.approx(4 / 5)


async def test_a_second_run_that_fails_is_counted_apart(tmp_path: Path) -> None:
    once = {key: angles for key, angles in OURS.items() if key != ("a", 1)}
    report = await compared(tmp_path, [source("ours", once)], runs=2)
    assert report.sources["ours"].excluded == {"run 2: ServerFailed: it broke": 1}
    # without a: (1 + 0) / 2
    assert values(report)["consistency"] == pytest.approx(1 / 2)


async def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    before = await compared(tmp_path, [source("ours", OURS)], judge=judged_by(JUDGED), runs=2)
    # a source and a judge that would fail if they were asked
    nobody = PromptedJudge((Role("judge", ScriptedChat(reply=lambda _: "")),))
    after = await compared(tmp_path, [source("ours", {})], judge=nobody, runs=2)
    assert after == before


async def test_a_budget_that_is_spent_ends_the_work_and_keeps_what_is_done(tmp_path: Path) -> None:
    async def find(request: RubricRequest, run: int) -> Found:
        if request.id == "c":
            raise BudgetReached("no more")
        return Found(criteria=criteria(0))

    with pytest.raises(BudgetReached):
        await compared(tmp_path, [CriteriaSource("ours", find, varies=False)], at_once=1)
    lines = (tmp_path / ELICITED).read_text().splitlines()
    assert [json.loads(line)["request"] for line in lines] == ["a", "b"]


async def test_a_judge_may_refuse_what_lies_near(tmp_path: Path) -> None:
    async def confirm(one: WordedCriterion, other: WordedCriterion) -> bool | None:
        return other.name != "At 10"

    sources = [source("ours", OURS), source("human", HUMAN, varies=False)]
    report = await compared(tmp_path, sources, confirm=confirm)
    assert values(report)["recall"] == pytest.approx(3 / 5)
    refused = [
        row.overlap.refused for row in CriteriaResults.within(tmp_path).matched.rows.values()
    ]
    assert sum(refused) == 1


SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
LIGHTHOUSE = (SCRIPTS / "lighthouse.txt").read_text(encoding="utf-8").strip()
PEOPLE = (
    (
        "A storm heard from inside",
        "The text lets the storm be heard from inside and never lets it threaten the child.",
    ),
    ("A picture as last line", "The text ends on something to be seen and stops there."),
    ("Quantum fugue", "Bach would have computed with qubits."),
)
"""Two of the study's own criteria, and one of which nobody has thought."""


def lighthouse(tmp_path: Path) -> ScriptedChat:
    """The study of the lighthouse, and one prompt's criteria, of which one is people's."""
    levels = {band: f"level {band}" for band in LEVELS}
    names = ["Zebra crossing", "Quick maths", "Jazz hands", "Xylophone fuzz"]
    shot = [{"name": n, "description": f"It has some {n}.", "levels": levels} for n in names]
    shot.append({"name": PEOPLE[1][0], "description": PEOPLE[1][1], "levels": levels})
    rule = {"when": r"\AYou write grading criteria", "reply": json.dumps({"items": shot})}
    rules = yaml.safe_load((SCRIPTS / "lighthouse.yaml").read_text(encoding="utf-8"))["rules"]
    path = tmp_path / "script.yaml"
    path.write_text(yaml.safe_dump({"rules": [rule, *rules]}), encoding="utf-8")
    return ScriptedChat(path=path)


def peoples(tmp_path: Path) -> Loaded:
    criteria = [{"name": name, "description": description} for name, description in PEOPLE]
    path = tmp_path / "requests.jsonl"
    row = {"id": "r", "request": LIGHTHOUSE, "criteria": criteria}
    path.write_text(json.dumps(row), encoding="utf-8")
    return load(path)


async def test_criteria_are_compared_from_python(tmp_path: Path) -> None:
    model, data, stages = lighthouse(tmp_path), peoples(tmp_path), list[str]()
    results, calls = CriteriaResults.within(), list[CallRecord]()
    observer = Observer((Recorder(None, "run", calls.append),), stages.append)
    report = await compare_criteria(
        data, model, LexicalEmbeddings(), results=results, observer=observer
    )
    assert list(report.sources) == ["ours", "one-shot", "generic", "human"]
    ours, shot = values(report), values(report, "one-shot")
    # of people's three the study has two and one prompt has one; they are of 6 and 5
    assert (ours["recall"], shot["recall"]) == pytest.approx((2 / 3, 1 / 3))
    assert (ours["precision"], shot["precision"]) == pytest.approx((2 / 6, 1 / 5))
    # 88 calls, see the study's own test; one prompt is one
    assert (ours["calls"], shot["calls"], len(calls)) == (88, 1, 89)
    assert (report.data, report.model, report.judge) == ("requests.jsonl", "scripted", None)
    assert (report.confirmed, report.differences, stages) == (False, {}, ["compare", "measure"])
    # what is there is not worked out again
    again = await compare_criteria(
        data, model, LexicalEmbeddings(), results=results, observer=observer
    )
    assert (again, len(calls)) == (report, 89)


async def test_a_chat_model_as_the_judge_confirms_what_is_the_same(tmp_path: Path) -> None:
    def refuses(request: ChatRequest) -> str:
        return json.dumps({"items": [{"pair": "p1", "same": False}]})

    report = await compare_criteria(
        peoples(tmp_path),
        lighthouse(tmp_path),
        LexicalEmbeddings(),
        roles={"judge": ScriptedChat(reply=refuses)},
        options=CriteriaOptions(without=("axial",)),
    )
    assert "without axial" in report.sources
    assert report.confirmed
    assert (values(report)["recall"], values(report, "one-shot")["recall"]) == (0.0, 0.0)


async def test_a_comparison_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    model, data, lexical = lighthouse(tmp_path), peoples(tmp_path), LexicalEmbeddings()
    with pytest.raises(ConfigError, match="unknown role 'codr': did you mean 'coder'"):
        await compare_criteria(data, model, lexical, roles={"codr": model})
    options = CriteriaOptions(without=("axiel",))
    with pytest.raises(ConfigError, match="no stage 'axiel'"):
        await compare_criteria(data, model, lexical, options=options)
    silent = ScriptedChat(reply=lambda request: "No.")
    with pytest.raises(BackendError, match="no criteria for any request; first: ReplyError"):
        await compare_criteria(data, silent, lexical)
    with pytest.raises(BudgetReached):
        await compare_criteria(data, model, lexical, budget=Budget(3))
