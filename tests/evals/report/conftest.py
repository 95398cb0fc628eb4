"""Run folders made by hand, of the project's own values, each with known words in every place."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from quillgraph.agents.domain import (
    Category,
    Code,
    Core,
    CriteriaSet,
    Criterion,
    Draft,
    Dropped,
    Incident,
    Memo,
    Property,
    WritingTask,
)
from quillgraph.agents.judgements import Judgement, Reward, Verdict, Violation
from quillgraph.agents.memory import Lesson
from quillgraph.agents.writers import Plan, Reflection
from quillgraph.backends.calls import CallRecord
from quillgraph.graphs.episodes import Attempt, WrittenEpisode

REQUEST = "A toast to rain. No umbrella."
DRAFT = "Rain falls on the square."
FIRST = "The rain came. We drank to it."
SECOND = "The rain came late. We drank to it."


def criteria_set(words: str = "") -> CriteriaSet:
    """One hard criterion from the second clause, one soft one from the first and from a note."""
    hard = Criterion(
        id="h1", name="Without umbrella" + words, description="No umbrella." + words, kind="hard",
        tier="essential", weight=1, levels={}, category_id=None, evidence=("i2",),
    )  # fmt: skip
    soft = Criterion(
        id="k1.0", name="Rain is praised" + words, description="The text praises rain." + words,
        kind="soft", tier="important", weight=0.7, levels={"1-2": "It scolds rain." + words},
        category_id="k1", evidence=("i1", "d1.n1"),
    )  # fmt: skip
    task = WritingTask(request=REQUEST + words, language="en")
    return CriteriaSet(
        request_hash=task.request_hash, language="en", genre="toast",
        core=Core(category_id="k1", storyline="All turns on rain." + words),
        criteria=(hard, soft),
    )  # fmt: skip


def study(words: str = "") -> dict[str, Any]:
    """A study with one code; `i1` and `d1.n1` are cited, `d1.n2` lies behind the code alone."""
    incidents = [
        Incident(id="i1", source="request", doc_id="request", span=(0, 16), text=REQUEST[:16]),
        Incident(id="i2", source="request", doc_id="request", span=(17, 29), text=REQUEST[17:]),
        Incident(
            id="d1.n1", source="draft", doc_id="d1", span=(0, 10), text="Rain falls", note=words
        ),
        Incident(
            id="d1.n2", source="draft", doc_id="d1", span=(11, 24), text="on the square",
            note="A place." + words,
        ),
    ]  # fmt: skip
    code = Code(
        id="c1", label="Praise" + words, gloss="praises" + words,
        evidence=("i1", "d1.n1", "d1.n2"), coder="reader", confidence=4,
    )  # fmt: skip
    poles = Property(name="Praise" + words, low_pole="scolds", high_pole="praises")
    category = Category(
        id="k1", name="Praise of rain" + words, definition="praise" + words, code_ids=("c1",),
        properties=(poles,),
    )  # fmt: skip
    memo = Memo(stage="open coding", round=1, agent="comparator", text="one code" + words)
    return {
        "incidents": incidents,
        "drafts": [Draft(id="d1", text=DRAFT + words, strength="weak")],
        "codes": [code],
        "categories": [category],
        "memos": [memo],
        "dropped": [Dropped(stage="coding", agent="coder", reason="no code", text="?" + words)],
        "task": {"request": REQUEST},  # something that a report does not show
    }


def attempts(words: str = "") -> tuple[Attempt, ...]:
    """A draft that scores 4 and a revision that scores 7 and is accepted."""
    sha = criteria_set(words).sha256

    def found(score: float, quote: str, *broken: Violation) -> Judgement:
        verdict = Verdict(
            criterion_id="k1.0", score=score, votes=(score,), evidence="s1", quote=quote,
            reason="It toasts." + words,
        )  # fmt: skip
        return Judgement(
            criteria_sha=sha, text_sha="t", judge="me", verdicts=(verdict,), violations=broken
        )

    edit = Reflection(
        criterion_id="k1.0", criterion="Rain is praised", quote="The rain came.",
        cause="No praise." + words, fix="Praise." + words,
    )  # fmt: skip
    broken = Violation(criterion_id="h1", reason="an umbrella" + words)
    return (
        Attempt(
            number=0, parent=None, text=FIRST + words,
            judgement=found(4, "The rain came.", broken),
            reward=Reward(value=0.25, soft=0.3, length=None, repetition=1), decision="first",
        ),
        Attempt(
            number=1, parent=0, text=SECOND + words, plan=Plan(edits=(edit,), keep=()),
            lessons=("l1",), judgement=found(7, "The rain came late."),
            reward=Reward(value=0.5, soft=0.6, length=None, repetition=1), delta=0.25,
            decision="accepted", reasons=("the reward rose" + words,),
        ),
    )  # fmt: skip


def episode(words: str = "") -> WrittenEpisode:
    """Both attempts, a lesson recalled and another learned."""
    lesson = Lesson(
        id="l1", condition="When it rains " + words[:80], strategy="praise the rain", polarity="do",
        criteria=("Rain is praised",), genre="toast", language="en", gain=0.25,
    )  # fmt: skip
    return WrittenEpisode(
        task=WritingTask(request=REQUEST + words, language="en"),
        criteria_set=criteria_set(words),
        lessons=(lesson,),
        attempts=attempts(words),
        best=1,
        stopped="one round is over" + words,
        is_complete=True,
        learned=(lesson.model_copy(update={"id": "l2"}),),
    )


def call(number: int = 0, words: str = "", **changes: Any) -> CallRecord:
    """A call of the judge: 10 tokens read, 2 written, half a second, a second after the last."""
    usual = {
        "run": "rain", "graph": "round/judge", "node": "judge", "visit": 0, "step": 1,
        "call": number, "role": "judge", "attempt": 0, "request_sha256": None,
        "messages": [{"role": "user", "content": "How good is it?" + words}], "options": {},
        "reply": "7" + words, "error": None, "model": "me", "trace": None, "prompt_tokens": 10,
        "completion_tokens": 2, "requested": 1000.0 + number, "started": None, "latency_s": 0.5,
    }  # fmt: skip
    return CallRecord.model_validate(usual | changes)


def run_facts(**changes: Any) -> dict[str, Any]:
    """What run.json says of a run that is done."""
    return {
        "started": "2026-01-01T12:00:00+00:00",
        "status": "done",
        "settings": {"backend": "scripted:x", "seed": 9},
        "versions": {"quillgraph": "0.1.0"},
    } | changes


def put(folder: Path, name: str, value: object) -> None:
    """Write a file of a run: text as it is, a list as lines of JSON, else JSON."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list):
        text = "".join(_json(each) + "\n" for each in value)
    else:
        text = _json(value)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_run(folder: Path, words: str = "", calls: Iterable[CallRecord] | None = None) -> Path:
    """Make the folder of a finished `quillgraph write`, with some words in every place."""
    put(folder, "run.json", run_facts(error=words or None))
    put(folder, "request.txt", REQUEST + words)
    put(folder, "criteria.json", criteria_set(words))
    put(folder, "study.json", study(words))
    put(folder, "episode.json", episode(words))
    put(folder, "attempts.jsonl", list(attempts(words)))
    default = [call(0, words), call(1, words, error="broke" + words, reply=None)]
    put(folder, "calls.jsonl", default if calls is None else list(calls))
    return folder


def _json(value: object) -> str:
    def plain(each: object) -> Any:
        assert isinstance(each, BaseModel)
        return each.model_dump(mode="json")

    return json.dumps(value, ensure_ascii=False, default=plain)


@pytest.fixture
def hand() -> Any:
    """The functions above, which test modules cannot import."""
    return sys.modules[__name__]
