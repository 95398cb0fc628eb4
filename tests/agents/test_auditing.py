"""The auditor adds demands that the rules have missed, and only such as stand in the request."""

import json

from quillgraph.agents.asking import Role
from quillgraph.agents.auditing import audit
from quillgraph.agents.checkers import MustInclude
from quillgraph.agents.constraints import find_constraints
from quillgraph.agents.counts import WordCount
from quillgraph.agents.segmenting import segment
from quillgraph.agents.tasks import writing_task
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.scripted import ScriptedChat

TASK = writing_task("A fable of five hundred words at the outside. The otter has to turn up.")
INCIDENTS = segment(TASK)


def demand(**changes: object) -> dict[str, object]:
    found: dict[str, object] = {
        "incident": "i2",
        "quote": "The otter has to turn up",
        "kind": "must_include",
        "least": 0,
        "most": 0,
        "terms": ["otter"],
    }
    return {**found, **changes}


def auditor(*items: dict[str, object]) -> Role:
    return Role("coder", ScriptedChat(reply=lambda _: json.dumps({"items": items})))


async def test_a_demand_becomes_a_constraint_with_a_check_and_its_words() -> None:
    answers = await audit(TASK, INCIDENTS, (), auditor(demand()))
    (constraint,) = answers.items
    assert constraint.check == MustInclude(terms=("otter",))
    assert constraint.check.violation("A fish swam.") is not None
    assert constraint.check.violation("An otter swam.") is None
    assert (constraint.incident_id, constraint.quote) == ("i2", "The otter has to turn up")
    assert answers.dropped == ()


async def test_a_bound_of_zero_is_no_bound() -> None:
    asked = demand(
        incident="i1", quote="five hundred words at the outside", kind="word_count", most=500
    )
    answers = await audit(TASK, INCIDENTS, (), auditor(asked))
    assert [constraint.check for constraint in answers.items] == [WordCount(max=500)]


async def test_a_quote_that_is_not_there_is_dropped_and_counted() -> None:
    answers = await audit(TASK, INCIDENTS, (), auditor(demand(quote="a badger must dance")))
    assert answers.items == ()
    assert [entry.reason for entry in answers.dropped] == ["the quote is not in the incident"]


async def test_a_count_without_bounds_or_words_without_terms_are_dropped_with_the_reason() -> None:
    for broken in (demand(kind="line_count"), demand(terms=[])):
        answers = await audit(TASK, INCIDENTS, (), auditor(broken))
        assert answers.items == ()
        assert len(answers.dropped) == 1
        assert "expected" in answers.dropped[0].reason


async def test_what_a_rule_has_found_is_not_overruled() -> None:
    task = writing_task("A fable that must mention the word 'otter'. The otter has to turn up.")
    incidents = segment(task)
    found = find_constraints(incidents)
    assert [constraint.check.type for constraint in found] == ["must_include"]
    answers = await audit(task, incidents, found, auditor(demand(terms=["badger"])))
    assert answers.items == ()
    assert [entry.reason for entry in answers.dropped] == ["a demand of this kind is known"]


async def test_the_auditor_is_shown_the_passages_and_what_is_known() -> None:
    seen: list[ChatRequest] = []

    def reply(request: ChatRequest) -> str:
        seen.append(request)
        return '{"items": []}'

    known = find_constraints(segment(writing_task("Use at most 300 words.")))
    answers = await audit(TASK, INCIDENTS, known, Role("coder", ScriptedChat(reply=reply)))
    assert answers == type(answers)((), ())
    asked = seen[0].messages[-1].content
    assert "i2: The otter has to turn up." in asked
    assert "Found by rule: At most 300 words" in asked
