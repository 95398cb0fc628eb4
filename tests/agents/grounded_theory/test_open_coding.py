"""The open coders."""

from collections.abc import Callable
from typing import Any

import pytest

from quillgraph.agents.domain import Code, Incident, WritingTask
from quillgraph.agents.grounded_theory.open_coding import MOST_CODES, open_code
from quillgraph.agents.lenses.lens import IDENTITIES
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings

EMBEDDINGS = LexicalEmbeddings()


def entry(**fields: Any) -> dict[str, Any]:
    defaults = {
        "label": "Salt in every scene",
        "gloss": "The sea can be tasted in each paragraph.",
        "evidence": ["i1"],
        "near": "new",
        "confidence": 4,
    }
    return defaults | fields


async def test_a_coder_names_what_incidents_show(
    task: WritingTask, incident: Callable[..., Incident], role_saying: Callable[..., Role]
) -> None:
    role = role_saying({"items": [entry(), entry(label="A slow voice", near="c3")]})
    answers = await open_code(
        task, [incident("i1"), incident("i2")], [code_of("c3")], "editor", role, EMBEDDINGS
    )
    first, second = answers.items
    assert (first.label, first.evidence, first.coder) == ("Salt in every scene", ("i1",), "editor")
    assert (first.confidence, first.near, first.lens) == (4, None, None)
    assert second.near == "c3"
    assert answers.dropped == ()


def code_of(code_id: str) -> Code:
    return Code(
        id=code_id, label="Slowness", gloss="-", evidence=("i1",), coder="reader", confidence=3
    )


async def test_the_coder_is_shown_passages_notes_known_codes_and_concepts(
    task: WritingTask,
    incident: Callable[..., Incident],
    role_saying: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    incidents = [incident("i1", "a funny thing"), incident("d1.n1", "He waited.", note="It drags.")]
    role = role_saying({"items": [entry()]})
    await open_code(task, incidents, [code_of("c3")], "reader", role, EMBEDDINGS)
    prompt = requests[0].messages[-1].content
    assert task.request in prompt
    assert 'i1: a funny thing\nd1.n1: "He waited." (a reader notes: It drags.)' in prompt
    assert "<codes>\nc3: Slowness\n</codes>" in prompt
    assert f"Code it as {IDENTITIES['reader']}. Such a reader often looks at: Humour." in prompt


async def test_without_known_codes_the_prompt_says_none(
    task: WritingTask,
    incident: Callable[..., Incident],
    role_saying: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    await open_code(
        task, [incident("i1")], [], "reader", role_saying({"items": [entry()]}), EMBEDDINGS
    )
    assert "<codes>\nnone\n</codes>" in requests[0].messages[-1].content


@pytest.mark.parametrize(("count", "most"), [(1, 1), (2, MOST_CODES)])
async def test_one_incident_gives_one_code_and_several_give_many(
    task: WritingTask,
    incident: Callable[..., Incident],
    role_saying: Callable[..., Role],
    requests: list[ChatRequest],
    count: int,
    most: int,
) -> None:
    incidents = [incident(f"i{number}") for number in range(1, count + 1)]
    role = role_saying({"items": [entry()]})
    await open_code(task, incidents, [], "reader", role, EMBEDDINGS)
    schema: Any = requests[0].json_schema
    assert schema["properties"]["items"]["maxItems"] == most


@pytest.mark.parametrize(
    "broken",
    [
        entry(evidence=["i9"]),
        entry(evidence=[]),
        entry(near="c9"),
        entry(confidence=6),
        entry(label="abc"),
        entry(gloss="short"),
        entry(more="x"),
    ],
)
async def test_a_coding_that_breaks_the_form_twice_is_dropped_alone(
    task: WritingTask,
    incident: Callable[..., Incident],
    role_saying: Callable[..., Role],
    broken: dict[str, Any],
) -> None:
    role = role_saying({"items": [entry(), broken]})
    answers = await open_code(
        task, [incident("i1"), incident("i2")], [code_of("c3")], "editor", role, EMBEDDINGS
    )
    assert [coding.label for coding in answers.items] == ["Salt in every scene"]
    assert [dropped.stage for dropped in answers.dropped] == ["open coding"]


async def test_labels_are_cut_to_seven_words_and_evidence_is_cited_once(
    task: WritingTask, incident: Callable[..., Incident], role_saying: Callable[..., Role]
) -> None:
    long = entry(label="one two three four five six seven, eight", evidence=["i2", "i2"])
    answers = await open_code(
        task,
        [incident("i1"), incident("i2")],
        [],
        "editor",
        role_saying({"items": [long]}),
        EMBEDDINGS,
    )
    [coding] = answers.items
    assert coding.label == "one two three four five six seven"
    assert coding.evidence == ("i2",)


async def test_coders_of_different_identity_have_different_seeds(
    task: WritingTask,
    incident: Callable[..., Incident],
    role_saying: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    role = role_saying({"items": [entry()]})
    for identity in IDENTITIES:
        await open_code(task, [incident("i1")], [], identity, role, EMBEDDINGS)
    assert len({request.seed for request in requests}) == len(IDENTITIES)


async def test_a_small_coder_chooses_a_reading_for_each_incident(
    task: WritingTask,
    incident: Callable[..., Incident],
    role_of: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    def reply(request: ChatRequest) -> dict[str, str]:
        schema: Any = request.json_schema
        offer = schema["properties"]["reading"]
        return {"reading": (offer.get("enum") or [offer["const"]])[0]}

    incidents = [incident("i1", "a funny story"), incident("i2", "Do not use dialogue.")]
    role = role_of(reply, chooses=True)
    answers = await open_code(task, incidents, [], "reader", role, EMBEDDINGS)
    assert [(c.evidence, c.lens) for c in answers.items] == [
        (("i1",), "humour"),
        (("i2",), "restraint"),
    ]
    assert len(requests) == 2


async def test_a_small_coder_that_chooses_nothing_is_dropped_and_counted(
    task: WritingTask,
    incident: Callable[..., Incident],
    role_saying: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    role = role_saying({"reading": "Once upon a time"}, chooses=True)
    answers = await open_code(task, [incident("i1")], [], "reader", role, EMBEDDINGS)
    assert answers.items == ()
    assert [(d.stage, d.reason) for d in answers.dropped] == [("open coding", "reply")]
    assert len(requests) == 2
