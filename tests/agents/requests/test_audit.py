"""The auditor adds demands that the rules have missed, and only such as stand in the request."""

import json

import pytest

from quillgraph.agents.checks.count import WordCount
from quillgraph.agents.checks.words import MustInclude
from quillgraph.agents.requests.audit import audit_request
from quillgraph.agents.requests.constraints import find_constraints
from quillgraph.agents.requests.segments import segment
from quillgraph.agents.requests.task import writing_task
from quillgraph.agents.role import Role
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
    answers = await audit_request(TASK, INCIDENTS, (), auditor(demand()))
    (constraint,) = answers.items
    assert constraint.check == MustInclude(terms=("otter",))
    assert constraint.check.violation("A fish swam.") is not None
    assert constraint.check.violation("An otter swam.") is None
    assert (constraint.incident_id, constraint.quote) == ("i2", "The otter has to turn up")
    assert answers.dropped == ()


async def test_a_bound_of_zero_is_no_bound() -> None:
    demands = demand(
        incident="i1", quote="five hundred words at the outside", kind="word_count", most=500
    )
    answers = await audit_request(TASK, INCIDENTS, (), auditor(demands))
    assert [constraint.check for constraint in answers.items] == [WordCount(max=500)]


async def test_a_quote_that_is_not_there_is_dropped_and_counted() -> None:
    answers = await audit_request(TASK, INCIDENTS, (), auditor(demand(quote="a badger must dance")))
    assert answers.items == ()
    assert [entry.reason for entry in answers.dropped] == ["the quote is not in the incident"]


async def test_a_count_without_bounds_or_words_without_terms_are_dropped_with_the_reason() -> None:
    for broken in (demand(kind="line_count"), demand(terms=[])):
        answers = await audit_request(TASK, INCIDENTS, (), auditor(broken))
        assert answers.items == ()
        assert len(answers.dropped) == 1
        assert "expected" in answers.dropped[0].reason


UNSAID = "the quote does not say the words or the number"


@pytest.mark.parametrize("kind", ["must_include", "must_not_include"])
@pytest.mark.parametrize(
    ("quote", "terms", "held"),
    [
        ("a bedtime story", ["dragon"], False),
        ("a bedtime story", ["bedtime"], True),
        # the first four letters are enough, in either case
        ("a tale of Fairies", ["fairy"], True),
        ("a tale of fairies", ["Fairy"], True),
        # three are not
        ("a tale of the fall", ["fairy"], False),
        # every term must be said
        ("a fairy and a king", ["fairy", "dragon"], False),
        ("a fairy and a king", ["fairy", "king"], True),
        ("一个海獭的故事", ["海獭"], True),
        ("一个海獭的故事", ["巨龙"], False),
    ],
)
async def test_a_term_must_stand_in_the_quote(
    kind: str, quote: str, terms: list[str], held: bool
) -> None:
    # that a term stands elsewhere in the passage is not enough
    task = writing_task(f"Write {quote}, not dragon 巨龙.")
    demands = demand(incident="i1", quote=quote, kind=kind, terms=terms)
    answers = await audit_request(task, segment(task), (), auditor(demands))
    assert [constraint.quote for constraint in answers.items] == [quote] * held
    assert [entry.reason for entry in answers.dropped] == [UNSAID] * (not held)


@pytest.mark.parametrize(
    ("quote", "least", "most", "held"),
    [
        ("five hundred words at the outside", 0, 500, True),
        ("five hundred words at the outside", 0, 400, False),
        ("five hundred words at the outside", 500, 500, True),
        # a bound that is made up beside one that is said
        ("five hundred words at the outside", 100, 500, False),
        ("words at the outside", 0, 500, False),
        ("keep it under five hundred words", 0, 500, True),
        # a number counts as a whole
        ("five hundred words", 0, 5, False),
        ("3千字以内", 0, 3000, True),
        ("some 1,500 words", 0, 1500, True),
        ("a 250-word fable", 0, 250, True),
        ("twenty-five words", 25, 0, True),
        # digits within a longer number say nothing
        ("some 1,500 words", 0, 500, False),
        ("300字以内", 0, 300, True),
        ("300字以内", 0, 200, False),
        ("三百字以内", 0, 300, True),
        ("两千到三千字", 2000, 3000, True),
    ],
)
async def test_a_number_must_stand_in_the_quote_in_digits_or_in_words(
    quote: str, least: int, most: int, held: bool
) -> None:
    task = writing_task(f"Write {quote}.")
    demands = demand(
        incident="i1", quote=quote, kind="word_count", least=least, most=most, terms=[]
    )
    answers = await audit_request(task, segment(task), (), auditor(demands))
    expected = WordCount(min=least or None, max=most or None)
    assert [constraint.check for constraint in answers.items] == [expected] * held
    assert [entry.reason for entry in answers.dropped] == [UNSAID] * (not held)


@pytest.mark.parametrize("quote", ["at most 30 words each", "每则不超过30字"])
async def test_a_count_of_parts_is_no_count_of_the_text(quote: str) -> None:
    task = writing_task(f"Tweets of {quote}.")
    demands = demand(incident="i1", quote=quote, kind="word_count", most=30, terms=[])
    answers = await audit_request(task, segment(task), (), auditor(demands))
    assert answers.items == ()
    [entry] = answers.dropped
    assert entry.reason.startswith("the quote speaks of parts")


async def test_what_a_rule_has_found_is_not_overruled() -> None:
    task = writing_task("A fable that must mention the word 'badger'. The otter has to turn up.")
    incidents = segment(task)
    constraints = find_constraints(incidents)
    assert [constraint.check.type for constraint in constraints] == ["must_include"]
    answers = await audit_request(task, incidents, constraints, auditor(demand()))
    assert answers.items == ()
    assert [entry.reason for entry in answers.dropped] == ["a demand of this kind is known"]


async def test_the_auditor_is_shown_the_passages_and_what_is_known() -> None:
    seen: list[ChatRequest] = []

    def reply(request: ChatRequest) -> str:
        seen.append(request)
        return '{"items": []}'

    known = find_constraints(segment(writing_task("Use at most 300 words.")))
    answers = await audit_request(TASK, INCIDENTS, known, Role("coder", ScriptedChat(reply=reply)))
    assert answers == type(answers)((), ())
    prompt = seen[0].messages[-1].content
    assert "i2: The otter has to turn up." in prompt
    assert "Found by rule: At most 300 words" in prompt
