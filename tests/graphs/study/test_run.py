"""A search for criteria called from Python: what it gives, what it takes, how it is refused."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from quillgraph.agents.requests import writing_task
from quillgraph.backends.calls import Budget, Recorder, read_records
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import BudgetReached, ConfigError, InputError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.memory import Library
from quillgraph.graphs.study import Study, StudyRun, find_criteria, ground_criteria

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
REQUEST = (SCRIPTS / "lighthouse.txt").read_text(encoding="utf-8")
NEAR = LexicalEmbeddings()


def lighthouse() -> ScriptedChat:
    return ScriptedChat(path=SCRIPTS / "lighthouse.yaml")


async def test_a_request_in_words_gives_its_criteria() -> None:
    criteria = await find_criteria(REQUEST, lighthouse(), embeddings=NEAR)
    assert criteria.request_hash == writing_task(REQUEST).request_hash
    assert [(each.id, each.kind, each.name) for each in criteria.criteria] == [
        ("h1", "hard", "In the second person"),
        ("h2", "hard", "At most 300 words"),
        ("k1.0", "soft", "A storm heard from inside"),
        ("k4.1", "soft", "A picture as last line"),
        ("k2.2", "soft", "Sentences that slow down"),
        ("k1.pitfall1", "pitfall", "No danger to be survived"),
    ]


async def test_a_task_and_its_words_give_the_same() -> None:
    words = await find_criteria(REQUEST, lighthouse(), embeddings=NEAR)
    task = await find_criteria(writing_task(REQUEST), lighthouse(), embeddings=NEAR)
    assert task.sha256 == words.sha256


async def test_all_that_led_to_the_criteria_can_be_had() -> None:
    state = await ground_criteria(REQUEST, lighthouse(), embeddings=NEAR)
    assert len(state["drafts"]) == 4  # as many as are sampled where nobody says how many
    cited = {each for c in state["criteria_set"].criteria for each in c.evidence}
    assert cited <= {incident.id for incident in state["incidents"]}


async def test_each_call_is_recorded_in_a_file_or_by_a_recorder(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    await find_criteria(REQUEST, lighthouse(), embeddings=NEAR, record=file)
    calls = read_records(file)
    assert {"sampling", "axial_coding"} <= {call.graph.split("/")[0] for call in calls}
    with Recorder(None, "mine") as recorder:
        await find_criteria(REQUEST, lighthouse(), embeddings=NEAR, record=recorder)
        assert recorder.calls == len(calls)


async def test_a_library_in_a_file_is_opened_and_remembers(tmp_path: Path) -> None:
    file = tmp_path / "library.sqlite"
    first = await find_criteria(REQUEST, lighthouse(), embeddings=NEAR, library=file)
    again = await find_criteria(REQUEST, lighthouse(), embeddings=NEAR, library=file)
    assert first.stats["library"]["version"] == "0"  # nobody has left anything there
    assert again.stats["library"]["version"].startswith("1-")
    async with Library.open(file, NEAR) as library:
        known = await library.criteria()
    # the four that a judge is asked of; what code checks is not compared
    assert {each.name for each in known} == {c.name for c in first.criteria if c.kind != "hard"}


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"roles": {"codre": ScriptedChat(reply=str)}}, ConfigError, "did you mean 'coder'"),
        ({"drafts": -1}, ConfigError, "expected 0 or more drafts, got -1"),
        ({"budget": Budget(max_calls=2)}, BudgetReached, "2 calls"),
    ],
)
async def test_what_does_not_fit_is_refused(
    options: Any, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        await find_criteria(REQUEST, lighthouse(), embeddings=NEAR, **options)


def test_a_blank_request_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    search = find_criteria("  ", lighthouse(), embeddings=NEAR, library=tmp_path / "no.sqlite")
    with pytest.raises(InputError, match="got an empty text"):
        asyncio.run(search)
    assert list(tmp_path.iterdir()) == []


async def test_what_a_study_had_reached_when_its_budget_ended_stays() -> None:
    run, budget = StudyRun.of(writing_task(REQUEST)), Budget(max_calls=6)
    study = Study.of(lighthouse(), NEAR, budget=budget)
    with Recorder(None, "study", budget=budget) as recorder, pytest.raises(BudgetReached):
        await run.run(study, recorder)
    assert run.state["drafts"]
    assert "criteria_set" not in run.state


async def test_whoever_waits_hears_of_each_stage_in_turn() -> None:
    stages: list[str] = []
    run = StudyRun.of(writing_task(REQUEST))
    with Recorder(None, "study") as recorder:
        criteria = await run.run(Study.of(lighthouse(), NEAR), recorder, stages.append)
    assert criteria == run.state["criteria_set"]
    outer = [stage for stage in stages if stage]
    assert (outer[0], outer[-1]) == ("split", "freeze")
    assert outer.index("axial_coding") < outer.index("selective_coding")
