"""Sources of criteria, each through the calls that it makes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from quillgraph.agents.domain import LEVELS
from quillgraph.agents.role import Role
from quillgraph.backends.calls import Budget, CallRecord, Recorder
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import BudgetReached, ConfigError, ServerFailed
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.evals.criteria.sources import (
    elicit,
    generic_source,
    human_source,
    one_shot_source,
    study_source,
)
from quillgraph.evals.data.records import HumanCriterion, RubricRequest
from quillgraph.graphs.study import Study

ASKED = RubricRequest(id="r", request="A toast for two rival bakers.")


def shot(request: ChatRequest) -> str:
    levels = {band: f"level {band}" for band in LEVELS}
    items = [
        {"name": f"Quality {n}", "description": f"It has quality {n}.", "levels": levels}
        for n in range(5)
    ]
    return json.dumps({"items": items})


def role(reply: Callable[[ChatRequest], str], **more: Any) -> Role:
    return Role("one_shot", ScriptedChat(reply=reply), **more)


async def test_one_prompt_is_one_call_which_is_counted_here_and_heard_elsewhere() -> None:
    records: list[CallRecord] = []
    source = one_shot_source([role(shot), role(shot, seed=5)])
    recorder = Recorder(None, "run", records.append)
    first, second = [await elicit(source, ASKED, run, [recorder]) for run in (0, 1)]
    assert first.found is not None
    assert len(first.found.criteria) == 5
    assert (first.calls, first.run, second.run) == (1, 0, 1)
    assert [call.role for call in records] == ["one_shot", "one_shot"]
    assert first.tokens == records[0].prompt_tokens + records[0].completion_tokens > 0
    # another run has a seed of its own
    assert records[0].options["seed"] != records[1].options["seed"]


async def test_a_model_that_cannot_answer_has_a_reason_without_its_words() -> None:
    source = one_shot_source([role(lambda _: "I would rather tell a story.")])
    elicited = await elicit(source, ASKED, 0, [])
    assert (elicited.found, elicited.reason) == (None, "ReplyError: expected criteria as JSON")
    assert elicited.calls == 2


async def test_a_server_that_broke_is_a_reason_and_a_budget_that_is_spent_ends_the_work() -> None:
    def broken(request: ChatRequest) -> str:
        raise ServerFailed("it broke")

    elicited = await elicit(one_shot_source([role(broken)]), ASKED, 0, [])
    assert elicited.reason == "ServerFailed: it broke"
    with pytest.raises(BudgetReached):
        await elicit(one_shot_source([role(shot, budget=Budget(max_calls=0))]), ASKED, 0, [])


async def test_a_study_tells_what_it_cited_and_what_it_dropped() -> None:
    study = Study.of(ScriptedChat(reply=lambda _: "No."), LexicalEmbeddings(), drafts=0)
    elicited = await elicit(study_source([study]), ASKED, 0, [])
    assert elicited.reason == "ReplyError: expected at least one code from the open coders"
    # three coders and the auditor, each asked twice
    assert elicited.calls == 8


async def test_the_fixed_rubric_and_peoples_criteria_cost_nothing() -> None:
    fixed = await elicit(generic_source(), ASKED, 0, [])
    assert fixed.found is not None
    assert (len(fixed.found.criteria), fixed.calls, fixed.tokens) == (5, 0, 0)
    people = human_source()
    criterion = HumanCriterion(name="Warmth", description="It is warm.", levels={"1": "cold"})
    request = ASKED.model_copy(update={"criteria": (criterion,)})
    own = await elicit(people, request, 0, [])
    assert own.found is not None
    assert [(c.id, c.name, c.levels["1-2"]) for c in own.found.criteria] == [
        ("p1", "Warmth", "cold")
    ]
    none = await elicit(people, ASKED, 0, [])
    assert none.reason == "InputError: people wrote no criteria for this request"


def test_a_source_is_named_after_what_it_leaves_out() -> None:
    assert study_source([]).name == "ours"
    assert study_source([], ["axial"]).name == "without axial"
    with pytest.raises(ConfigError, match="no stage 'coding'"):
        study_source([], ["coding"])
