"""The blind observer."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quillgraph.agents.domain import Draft, Incident, WritingTask
from quillgraph.agents.grounded_theory.observer import MOST_NOTES, MOST_SENTENCES, observe
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.scripted import ScriptedChat

DRAFT = Draft(
    id="d2",
    text="The lamp turned.  “Stay,” said nobody!\n\nHe counted the waves. It was very nice.",
    strength="weak",
)


def note(sentence: str, said: str = "It makes the reader wait.") -> dict[str, str]:
    return {"sentence": sentence, "note": said}


def assert_verbatim(incidents: tuple[Incident, ...], draft: Draft) -> None:
    for number, incident in enumerate(incidents, 1):
        assert incident.id == f"{draft.id}.n{number}"
        assert (incident.source, incident.doc_id) == ("draft", draft.id)
        assert incident.text == draft.text[slice(*incident.span)] == incident.text.strip()
        assert incident.text


async def test_notes_become_incidents_that_quote_their_sentence(
    task: WritingTask, role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    role = role_saying({"items": [note("s3", "He is alone."), note("s1"), note("s4")]})
    answers = await observe(task, DRAFT, role, LexicalEmbeddings())
    assert_verbatim(answers.items, DRAFT)
    assert [(incident.text, incident.note) for incident in answers.items] == [
        ("He counted the waves.", "He is alone."),
        ("The lamp turned.", "It makes the reader wait."),
        ("It was very nice.", "It makes the reader wait."),
    ]
    prompt = requests[0].messages[-1].content
    assert "s1: The lamp turned.\ns2: “Stay,” said nobody!\ns3: He counted the waves.\ns4" in prompt


async def test_the_observer_does_not_learn_how_able_the_writer_was(
    task: WritingTask, role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    await observe(task, DRAFT, role_saying({"items": [note("s1")]}), LexicalEmbeddings())
    whole = "\n".join(turn.content for request in requests for turn in request.messages)
    assert "weak" not in whole
    assert "d2" not in whole


async def test_a_sentence_that_is_not_there_cannot_be_noted(
    task: WritingTask, role_saying: Callable[..., Role]
) -> None:
    role = role_saying({"items": [note("s1"), note("s9"), note("s2")]}, name="observer")
    answers = await observe(task, DRAFT, role, LexicalEmbeddings())
    assert [incident.text for incident in answers.items] == [
        "The lamp turned.",
        "“Stay,” said nobody!",
    ]
    [dropped] = answers.dropped
    assert (dropped.stage, dropped.agent, "s9" in dropped.text) == ("observation", "observer", True)


async def test_of_two_notes_on_a_sentence_the_first_is_kept_in_its_place(
    task: WritingTask, role_saying: Callable[..., Role]
) -> None:
    items = [note("s1", "The first."), note("s2"), note("s1", "The second.")]
    answers = await observe(task, DRAFT, role_saying({"items": items}), LexicalEmbeddings())
    assert [(incident.id, incident.note) for incident in answers.items] == [
        ("d2.n1", "The first."),
        ("d2.n2", "It makes the reader wait."),
    ]


@pytest.mark.parametrize(("sentences", "fewest", "most"), [(1, 1, 1), (2, 2, 2), (30, 3, 8)])
async def test_a_longer_draft_gets_more_notes_up_to_the_most(
    task: WritingTask,
    role_saying: Callable[..., Role],
    requests: list[ChatRequest],
    sentences: int,
    fewest: int,
    most: int,
) -> None:
    draft = Draft(id="d1", text="The lamp turned. " * sentences, strength="strong")
    await observe(task, draft, role_saying({"items": []}), LexicalEmbeddings())
    schema: Any = requests[0].json_schema
    assert schema["properties"]["items"]["minItems"] == fewest
    assert schema["properties"]["items"]["maxItems"] == most
    assert most <= MOST_NOTES
    prompt = requests[0].messages[-1].content.count("The lamp turned.")
    assert prompt == min(sentences, MOST_SENTENCES)


async def test_a_draft_without_a_sentence_is_not_asked_about(
    task: WritingTask, role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    draft = Draft(id="d1", text="… !! —", strength="strong")
    for chooses in (False, True):
        role = role_saying("-", chooses=chooses)
        answers = await observe(task, draft, role, LexicalEmbeddings())
        assert (answers.items, answers.dropped) == ((), ())
    assert requests == []


def first_offered(request: ChatRequest) -> dict[str, str]:
    schema: Any = request.json_schema
    return {part: offer["enum"][0] for part, offer in schema["properties"].items()}


async def test_a_small_observer_chooses_a_sentence_in_each_third(
    task: WritingTask, role_of: Callable[..., Role]
) -> None:
    role = role_of(first_offered, chooses=True)
    answers = await observe(task, DRAFT, role, LexicalEmbeddings())
    assert_verbatim(answers.items, DRAFT)
    # 4 sentences in thirds: cuts at round(4/3) = 1 and round(8/3) = 3
    assert [incident.text for incident in answers.items] == [
        "The lamp turned.",
        "“Stay,” said nobody!",
        "It was very nice.",
    ]
    assert all(incident.note for incident in answers.items)


async def test_a_small_observer_that_chooses_nothing_is_dropped_and_counted(
    task: WritingTask, role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    role = role_saying("Once upon a time", chooses=True, name="observer")
    answers = await observe(task, DRAFT, role, LexicalEmbeddings())
    assert answers.items == ()
    assert [(d.stage, d.agent, d.reason, d.text) for d in answers.dropped] == [
        ("observation", "observer", "reply", "Once upon a time")
    ]
    assert len(requests) == 2


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["He saw it. ", "海上有灯。", "\n", "  ", "“No!” ", "…"])))
async def test_whatever_the_draft_both_observers_quote_it_verbatim(
    task: WritingTask, pieces: list[str]
) -> None:
    def reply(request: ChatRequest) -> str:
        schema: Any = request.json_schema
        if "items" not in schema["properties"]:
            return json.dumps(first_offered(request))
        offers = schema["$defs"]["Note"]["properties"]["sentence"]
        ids = offers.get("enum") or [offers["const"]]
        return json.dumps({"items": [note(i) for i in ids[:MOST_NOTES]]})

    draft = Draft(id="d1", text="".join(pieces), strength="weak")
    for items in (1, 8):
        role = Role("observer", ScriptedChat(reply=reply, items_per_call=items))
        answers = await observe(task, draft, role, LexicalEmbeddings())
        assert_verbatim(answers.items, draft)
        assert answers.dropped == ()
        assert bool(answers.items) == any(piece[0].isalnum() or "N" in piece for piece in pieces)
