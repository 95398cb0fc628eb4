"""The whole workflow on one study that is written out by hand, end to end."""

import asyncio
import json
import typing
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quillgraph.agents.domain import LEVELS, Code, Coding, Criterion
from quillgraph.agents.grounded_theory import SIMILAR, code_text
from quillgraph.agents.grounded_theory.sampler import PERSONAS
from quillgraph.agents.requests import writing_task
from quillgraph.backends.calls import Budget, CallRecord, Recorder, read_records
from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import BudgetReached
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.cli.main import app
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.study import provenance
from quillgraph.graphs.study import workflow as criteria
from quillgraph.graphs.study.state import Grounding, Study

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
REQUEST = (SCRIPTS / "lighthouse.txt").read_text(encoding="utf-8")


def lighthouse(model: ScriptedChat | None = None, **options: Any) -> Study:
    chat = model or ScriptedChat(path=SCRIPTS / "lighthouse.yaml")
    return cast(Study, chat, embeddings=LexicalEmbeddings(), **options)


async def studied(request: str, study: Study, *handlers: Any) -> Grounding:
    graph = criteria.build().compile()
    config: Any = {"callbacks": list(handlers)}
    return typing.cast(
        "Grounding", await graph.ainvoke({"task": writing_task(request)}, config, context=study)
    )


@dataclass(frozen=True)
class Played:
    """A finished study, and every call that was made for it."""

    state: Grounding
    records: Sequence[CallRecord]

    def of(self, role: str) -> list[CallRecord]:
        return [record for record in self.records if record.role == role]

    def criterion(self, name: str) -> Criterion:
        return next(c for c in self.state["criteria"] if c.name == name)

    def code(self, label: str) -> Code:
        return next(code for code in self.state["codes"] if code.label == label)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    path = tmp_path_factory.mktemp("lighthouse") / "calls.jsonl"
    with Recorder(path, "lighthouse") as recorder:
        state = asyncio.run(studied(REQUEST, lighthouse(), recorder))
    return Played(state, read_records(path))


def prompt(record: CallRecord) -> str:
    """What was asked, without the worked examples before it."""
    return str(record.messages[-1]["content"])


def test_the_request_is_cut_into_its_demands_and_those_for_code_are_found(played: Played) -> None:
    request = [i for i in played.state["incidents"] if i.source == "request"]
    assert [i.text for i in request] == [
        "Write a bedtime story for a six-year-old that takes place in a lighthouse.",
        "Tell it in the second person.",
        "Use at most 300 words.",
        "The storm outside should feel safe rather than frightening, and a sleepy gull should "
        "keep the child company.",
        "Do not end with a moral.",
    ]
    assert [(c.quote, c.incident_id) for c in played.state["constraints"]] == [
        ("in the second person", "i2"),
        ("at most 300 words", "i3"),
    ]


def test_weak_and_strong_drafts_are_written_and_three_notes_taken_on_each(played: Played) -> None:
    drafts = [(draft.id, draft.strength) for draft in played.state["drafts"]]
    assert drafts == [("d1", "strong"), ("d2", "weak"), ("d3", "strong"), ("d4", "weak")]
    notes = Counter(i.doc_id for i in played.state["incidents"] if i.source == "draft")
    assert notes == {"d1": 3, "d2": 3, "d3": 3, "d4": 3}
    note = next(i for i in played.state["incidents"] if i.id == "d3.n2")
    assert note.text == "Rain taps the glass like a friend."
    assert note.note == "The storm is heard from inside and is a friend."


def test_the_codes_hold_the_evidence_of_all_who_saw_them(played: Played) -> None:
    assert {code.id: (code.label, code.evidence) for code in played.state["codes"]} == {
        "c1": ("Calm that ends in sleep", ("i1",)),
        # reader (i4) and editor (i1, i4) in round 1, then one note in each round
        "c2": ("A storm that keeps watch", ("i4", "i1", "d4.n2", "d1.n2")),
        # d2.n1 was held for c3 under another label, and the comparator agreed
        "c3": ("A lighthouse one can touch", ("i1", "d2.n1", "d1.n1", "d4.n1")),
        "c4": ("A gull that falls asleep first", ("i4",)),
        "c5": ("No lesson in the last lines", ("i5", "d2.n3")),
        "c6": ("A gull that falls asleep last", ("i4",)),
        "c7": ("Feelings that are acted out", ("d2.n2",)),
        "c8": ("Counting that slows the breath", ("d3.n1",)),
    }


def test_two_close_pairs_are_compared_and_only_the_one_held_the_same_is_merged(
    played: Played,
) -> None:
    call, later = played.of("comparator")
    # in the second round one pair was held to be the same by its coder, not by its words
    assert "Something to see and to hear" in prompt(later)
    lines = [line for line in prompt(call).splitlines() if line.startswith("p")]
    assert [line.split(" (")[0] for line in lines] == [
        'p1: "A storm that keeps watch"',
        'p2: "A gull that falls asleep first"',
    ]
    editors = Coding(
        label="The storm that keeps watch",
        gloss="The storm is heard from inside and never threatens a child.",
        evidence=("i1", "i4"),
        coder="editor",
        confidence=4,
    )
    first, last = (played.code(f"A gull that falls asleep {place}") for place in ("first", "last"))
    for left, right in ((played.code("A storm that keeps watch"), editors), (first, last)):
        a, b = LexicalEmbeddings().embed_documents([code_text(left), code_text(right)])
        assert sum(x * y for x, y in zip(a, b, strict=True)) > SIMILAR
    assert editors.label not in {code.label for code in played.state["codes"]}


def test_a_coding_without_an_incident_is_asked_for_again_then_dropped_and_counted(
    played: Played,
) -> None:
    again = [record for record in played.of("coder") if record.attempt == 1]
    (call,) = again
    assert prompt(call) == (
        "items.2.evidence.0: Input should be 'i1', 'i4' or 'i5'. "
        "Answer again with JSON of the asked form only."
    )
    assert "'i9'" not in prompt(call)
    assert "i9" in str(call.messages[-2]["content"])
    (lost,) = [d for d in played.state["dropped"] if d.stage == "open coding"]
    assert lost.agent == "coder"
    assert "A ship in distress" in lost.text
    # what the same coder said of i4 and i5 is kept
    assert played.code("No lesson in the last lines").coder == "auditor"


def test_coding_goes_on_until_notes_bring_nothing_new_and_leaves_the_rest_unread(
    played: Played,
) -> None:
    trace = played.state["saturation"]
    assert [(r.incidents, r.new_codes, r.codes, r.saturated) for r in trace] == [
        (3, 6, 6, False),
        (4, 2, 8, False),
        (4, 0, 8, True),
    ]
    # in the order of reading, though the least covered of all notes
    assert played.state["coded"][3:7] == ("d2.n1", "d2.n2", "d3.n1", "d4.n2")
    # new codes by incident: i1 2, i4 3, i5 1 | 0, 1, 1, 0 | 0, 0, 0, 0
    assert played.state["new_codes"] == (2, 3, 1, 0, 1, 1, 0, 0, 0, 0, 0)
    # fewer than 4 + 2 incidents; then (1 + 0) / (2 + 3 + 1 + 0); then 0 / 6
    assert [r.ratio for r in trace] == [None, pytest.approx(1 / 6), 0.0]
    unread = {i.id for i in played.state["incidents"]} - set(played.state["coded"])
    # i2 and i3 are for code to check
    assert unread == {"i2", "i3", "d1.n3", "d3.n2", "d3.n3", "d4.n3"}


def test_categories_have_poles_and_only_codes_in_their_paradigm(played: Played) -> None:
    categories = played.state["categories"]
    assert {c.name: c.code_ids for c in categories} == {
        "The lighthouse as shelter": ("c2", "c3"),
        "A voice that lulls": ("c1", "c8"),
        "Company in the dark": ("c4", "c6", "c7"),
        "An ending without a lesson": ("c5",),
    }
    shelter, voice, company, _ = categories
    assert [(p.name, p.low_pole, p.high_pole) for p in voice.properties] == [
        (
            "pace",
            "Sentences hurry on to the last line.",
            "Sentences grow shorter and come back like breath.",
        )
    ]
    assert shelter.paradigm == {"phenomenon": ("c2",), "context": ("c3",)}
    # "none" for c6 fills no slot
    assert company.paradigm == {"strategies": ("c4", "c7")}


def test_the_core_is_essential_and_what_nothing_joins_to_it_becomes_optional(
    played: Played,
) -> None:
    assert [(r.src, r.type, r.dst) for r in played.state["relations"]] == [
        ("k1", "conditions", "k2"),
        ("k3", "enables", "k2"),
        ("k2", "part_of", "k1"),
    ]
    assert played.state["core"].category_id == "k2"
    # the coder had called k2 important and k4 essential
    assert played.state["tiers"] == {
        "k1": "essential",
        "k2": "essential",
        "k3": "important",
        "k4": "optional",
    }
    memos = [(memo.stage, memo.text) for memo in played.state["memos"] if memo.refs == ("k4",)]
    assert memos == [
        ("axial coding", "'An ending without a lesson' rests on a single code"),
        ("selective coding", "no relation joins this category to the core, so it is optional"),
    ]


def test_literal_demands_become_hard_criteria_that_code_decides(played: Played) -> None:
    person, length = (c for c in played.state["criteria"] if c.kind == "hard")
    assert (person.name, person.evidence) == ("In the second person", ("i2",))
    assert (length.name, length.evidence) == ("At most 300 words", ("i3",))
    assert person.check is not None
    assert length.check is not None
    assert person.check.violation("You climb the stairs and your lamp is warm.") is None
    assert person.check.violation("I climb the stairs and my lamp is warm.") is not None
    assert length.check.violation("gull " * 300) is None
    assert length.check.violation("gull " * 301) == "expected at most 300 words, got 301"


def test_the_other_criteria_come_from_the_weightiest_poles_with_levels_and_evidence(
    played: Played,
) -> None:
    written = [c for c in played.state["criteria"] if c.kind != "hard"]
    assert [(c.name, c.kind, c.tier, c.weight, c.category_id, c.evidence) for c in written] == [
        ("A storm heard from inside", "soft", "essential", 1.0, "k1", ("i4", "d1.n2")),
        ("A picture as last line", "soft", "optional", 0.3, "k4", ("i5", "d2.n3")),
        ("Sentences that slow down", "soft", "essential", 1.0, "k2", ("i1", "d3.n1")),
        ("No danger to be survived", "pitfall", "pitfall", 0.9, "k1", ("i4",)),
    ]
    assert {tuple(c.levels) for c in written} == {LEVELS}
    assert written[0].levels["1-2"] == "The storm rages at the child."


def test_every_piece_of_evidence_is_verbatim_in_the_request_or_in_a_draft(played: Played) -> None:
    documents = {draft.id: draft.text for draft in played.state["drafts"]}
    documents["request"] = REQUEST.strip()
    incidents = {incident.id: incident for incident in played.state["incidents"]}
    for criterion in played.state["criteria"]:
        for incident in map(incidents.__getitem__, criterion.evidence):
            start, end = incident.span
            assert documents[incident.doc_id][start:end] == incident.text
    graph = provenance.trace(played.state)
    behind = provenance.words_behind(graph, played.criterion("A picture as last line").id)
    # what its category and its evidence rest on
    assert behind == ("Do not end with a moral.", "Always be brave, because being brave is good.")


def test_a_duplicate_is_refused_before_it_is_tried_and_written_again(played: Played) -> None:
    findings = [f for f in played.state["findings"] if f.criterion_id == "k2.2"]
    assert [(f.fault, f.reason) for f in findings] == [
        ("duplicate", "it says the same as 'A storm heard from inside'; test something else")
    ]
    writings = [r for r in played.of("criteria_writer") if "A voice that lulls" in prompt(r)]
    assert len(writings) == 2
    assert "was refused" not in prompt(writings[0])
    assert "was refused: 'The storm heard from inside': it says the same as" in prompt(writings[1])
    # what code decides has its names from the start
    hard = "Names already taken: In the second person, At most 300 words"
    assert hard in prompt(writings[0])
    assert f"{hard}, A storm heard from inside, A picture" in prompt(writings[1])
    tried = {json.loads(version)["name"] for version in played.state["trials"]}
    assert "The storm heard from inside" not in tried
    assert "Sentences that slow down" in tried


def test_a_criterion_that_keywords_satisfy_is_written_again_twice_then_dropped(
    played: Played,
) -> None:
    findings = [f for f in played.state["findings"] if f.criterion_id == "k3.3"]
    assert [f.fault for f in findings] == ["exploitable"] * 3
    assert "(rubric, keywords) scores no worse than the weakest real draft" in findings[0].reason
    trials = [t for t in played.state["trials"].values() if t.criterion_id == "k3.3"]
    assert len(trials) == 3
    assert trials[0].drafts == {"d1": 9, "d2": 4, "d3": 8, "d4": 3}
    assert trials[0].probes == {"boiler-plate": 1, "injection": 1, "rubric": 6, "keywords": 6}
    (lost,) = [d for d in played.state["dropped"] if d.stage == "criteria"]
    assert (lost.reason, lost.text) == ("exploitable", "The gull from first to last")
    assert "k3.3" not in {c.id for c in played.state["criteria"]}


def test_each_repair_names_the_version_that_was_refused(played: Played) -> None:
    # the same complaint twice would be the same request, and so the same reply
    gull = [r for r in played.of("criteria_writer") if "Category: Company" in prompt(r)]
    refused = [prompt(r).partition("was refused: ")[2].partition(":")[0] for r in gull]
    assert refused == ["", "'The gull keeps company'", "'The gull in every scene'"]
    assert len({r.request_sha256 for r in gull}) == 3


def test_the_measures_of_the_study_stand_beside_its_criteria(played: Played) -> None:
    stats = played.state["criteria_set"].stats
    assert {name: stats[name] for name in stats if name != "saturation"} == {
        "coverage": 1.0,
        # 5 of the request, 4 x 3 notes
        "incidents": 17,
        "drafts": 4,
        "codes": 8,
        "categories": 4,
        # 6 criteria / 8 codes
        "parsimony": 0.75,
        "strength_share": 1.0,
        "saturated": True,
        "refused": {"duplicate": 1, "exploitable": 3},
        "dropped": {"open coding": 1, "criteria": 1},
    }
    assert [r["saturated"] for r in stats["saturation"]] == [False, False, True]


def test_every_role_is_asked_as_often_as_its_work_needs(played: Played) -> None:
    assert Counter(record.role for record in played.records) == {
        "sampler": 4,
        "observer": 4,
        # 3 coders in each of 3 rounds, one asked again, and one audit
        "coder": 11,
        "comparator": 2,
        # 1 grouping, 4 descriptions, 1 for all relations
        "axial_coder": 6,
        "selective_coder": 1,
        # 5 slots, then 2 repairs, then 1
        "criteria_writer": 8,
        # soft: 4 drafts + 4 probes; pitfall: 4 drafts. 3 x 8 + 4, then 2 x 8, then 8
        "validator": 52,
    }


def test_nobody_who_reads_a_draft_is_told_who_wrote_it(played: Played) -> None:
    for record in played.of("observer") + played.of("validator"):
        seen = "\n".join(str(message["content"]) for message in record.messages)
        assert not any(persona.voice in seen for persona in PERSONAS)
        assert "weak" not in seen
        assert "strong" not in seen


class Shuffled(ScriptedChat):
    """Answers late by a number of turns of the loop that the request decides."""

    async def _complete(self, request: ChatRequest) -> Completion:
        for _ in range(int(request.sha256[:2], 16) % 40):
            await asyncio.sleep(0)
        return await super()._complete(request)


@pytest.mark.parametrize("max_concurrency", [1, 64])
async def test_the_same_script_gives_the_same_criteria_in_whatever_order_replies_come(
    played: Played, max_concurrency: int
) -> None:
    chat = Shuffled(path=SCRIPTS / "lighthouse.yaml", max_concurrency=max_concurrency)
    state = await studied(REQUEST, lighthouse(chat))
    assert state["criteria_set"].sha256 == played.state["criteria_set"].sha256
    assert state["codes"] == played.state["codes"]


async def test_another_request_gives_another_hash(played: Played) -> None:
    state = await studied(REQUEST.replace("300", "250"), lighthouse())
    assert [c.name for c in state["criteria"]][1] == "At most 250 words"
    assert state["criteria_set"].sha256 != played.state["criteria_set"].sha256


def test_the_script_runs_from_the_command_line(played: Played, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app,
        [
            "criteria",
            *("--file", str(SCRIPTS / "lighthouse.txt")),
            *("--backend", f"scripted:{SCRIPTS / 'lighthouse.yaml'}"),
            *("--embeddings", "lexical"),
            *("--out", str(tmp_path / "run")),
            "--json",
        ],
    )
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["criteria_set"]["sha256"] == played.state["criteria_set"].sha256
    assert result["coverage"] == 1.0


class Lingering(ScriptedChat):
    """Holds its slot for many turns of the loop, so that calls can meet."""

    async def _complete(self, request: ChatRequest) -> Completion:
        for _ in range(50):
            await asyncio.sleep(0)
        return await super()._complete(request)


async def test_at_least_eight_calls_are_in_flight_at_the_peak() -> None:
    chat = Lingering(path=SCRIPTS / "lighthouse.yaml")
    await studied(REQUEST, lighthouse(chat))
    assert chat.limiter.peak >= 8
    assert chat.limiter.in_flight == 0


async def test_no_more_calls_than_the_backend_allows_are_in_flight() -> None:
    chat = Lingering(path=SCRIPTS / "lighthouse.yaml", max_concurrency=3)
    await studied(REQUEST, lighthouse(chat))
    assert chat.limiter.peak == 3


async def test_a_spent_budget_ends_the_study() -> None:
    study = lighthouse(budget=Budget(max_calls=20))
    with pytest.raises(BudgetReached, match="20 calls"):
        await studied(REQUEST, study)
    assert study.coder.budget.calls == 20
