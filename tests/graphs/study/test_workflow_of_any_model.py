"""The whole workflow on models that only choose, and on models that do not answer as asked."""

import hashlib
import typing
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quillgraph.agents.requests import writing_task
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ReplyError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.study import provenance
from quillgraph.graphs.study import workflow as criteria
from quillgraph.graphs.study.state import Grounding, Study

REQUEST = (
    "Write a bedtime story that takes place in a lighthouse. Tell it in the second person. "
    "The storm outside should feel safe. Do not end with a moral."
)

REQUESTS = (
    REQUEST,
    "poem",
    "写诗",
    "Write a haiku about frost.",
    "I lost my job last spring, and since then my brother has been calling every Sunday.",
    "In exactly 14 lines, in English, without any dialogue.",
    'Use at most 100 words. Write in the first person. Include the word "amber".',
    "Write a eulogy for my grandfather, a welder who never spoke of the war; funny, then quiet.",
    "写一篇关于外婆的散文，不少于800字，语言朴实，不要用华丽的辞藻。",
    "请以“最后一班地铁”为题写一个悬疑短篇小说。要求：1. 第一人称；2. 结尾有反转；3. 不要出现警察。",
    "Draft the opening of a gothic novel set in a drowned village. "
    + "The narrator, a surveyor, keeps finding her own handwriting in the parish ledgers. " * 8
    + "\n\nRequirements:\n- past tense\n- no dialogue\n- end with a question\n- mention the bell",
    "???",
)
"""English and Chinese, one word and long, nothing but constraints and none at all."""


SEED = 2


async def studied(request: str, study: Study, into: Grounding | None = None) -> Grounding:
    """Run the workflow; what it reaches is kept in `into` even if it fails."""
    state = Grounding() if into is None else into
    graph = criteria.build().compile()
    start: Any = {"task": writing_task(request)}
    async for values in graph.astream(start, context=study, stream_mode="values"):
        state.update(typing.cast("Grounding", values))
    return state


def document(state: Grounding, doc_id: str) -> str:
    texts = {draft.id: draft.text for draft in state["drafts"]}
    return state["task"].request if doc_id == "request" else texts[doc_id]


def assert_it_holds(state: Grounding) -> None:
    """What every finished study keeps to, whatever its model said."""
    criteria = state["criteria"]
    names = [criterion.name.casefold() for criterion in criteria]
    assert len(names) == len(set(names))
    incidents = {incident.id: incident for incident in state["incidents"]}
    for incident in incidents.values():
        start, end = incident.span
        assert document(state, incident.doc_id)[start:end] == incident.text
    assert {i for criterion in criteria for i in criterion.evidence} <= set(incidents)
    graph = provenance.trace(state)
    for criterion in criteria:
        assert provenance.words_behind(graph, criterion.id)


# Models too small to write: whatever they choose, the study holds


@pytest.mark.parametrize("drafts", [2, 0])
@pytest.mark.parametrize("request_text", REQUESTS)
async def test_a_model_that_only_chooses_gives_five_to_ten_criteria(
    request_text: str, drafts: int, choosing_chat: Callable[..., ScriptedChat]
) -> None:
    # a validator who scores at random refuses some criteria; none that the request needs here
    chat = choosing_chat(seed=SEED)
    state = await studied(
        request_text, cast(Study, chat, embeddings=LexicalEmbeddings(), drafts=drafts)
    )
    assert 5 <= len(state["criteria"]) <= 10
    assert state["criteria_set"].stats["coverage"] >= 0.9
    assert state["criteria_set"].language == writing_task(request_text).language
    assert_it_holds(state)


async def test_always_the_first_or_the_last_choice_is_as_good_as_any(
    pick: Callable[[str, int], int], choosing_chat: Callable[..., ScriptedChat]
) -> None:
    state = await studied(REQUEST, cast(Study, choosing_chat(pick), embeddings=LexicalEmbeddings()))
    assert 5 <= len(state["criteria"]) <= 10
    assert state["criteria_set"].stats["coverage"] == 1.0
    assert_it_holds(state)


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from(REQUESTS), st.integers(0, 2**31), st.sampled_from([0, 1, 4]), st.integers(0, 9)
)
async def test_whatever_a_model_chooses_the_study_holds(
    choosing_chat: Callable[..., ScriptedChat], request_text: str, seed: int, drafts: int, run: int
) -> None:
    chat = choosing_chat(seed=seed)
    study = cast(Study, chat, embeddings=LexicalEmbeddings(), seed=run, drafts=drafts)
    state = await studied(request_text, study)
    assert 5 <= len(state["criteria"]) <= 10
    # a validator who scores at random may refuse the only criterion on some part of the request
    refused = [d for d in state["dropped"] if d.stage == "criteria"]
    assert refused or state["criteria_set"].stats["coverage"] >= 0.9
    assert {d.stage for d in state["dropped"]} <= {"sampling", "criteria"}
    assert_it_holds(state)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(REQUESTS), st.integers(0, 2**31), st.sampled_from([0, 1, 4]))
async def test_whatever_a_writing_model_says_the_study_holds(
    choosing_chat: Callable[..., ScriptedChat], request_text: str, seed: int, drafts: int
) -> None:
    chat = choosing_chat(seed=seed, items_per_call=8)
    state = await studied(
        request_text, cast(Study, chat, embeddings=LexicalEmbeddings(), drafts=drafts)
    )
    assert 1 <= len(state["criteria"]) <= 10
    assert_it_holds(state)


async def test_two_runs_of_one_seed_agree_and_another_seed_asks_anew(
    choosing_chat: Callable[..., ScriptedChat],
) -> None:
    async def digest(seed: int) -> str:
        study = cast(
            Study, choosing_chat(seed=1), embeddings=LexicalEmbeddings(), seed=seed, drafts=1
        )
        return (await studied(REQUESTS[3], study))["criteria_set"].sha256

    # the seed is part of each request, from which this model picks
    zero = await digest(0)
    assert await digest(0) == zero
    assert await digest(1) != zero


# Models that do not answer in the asked form


def refusing(items_per_call: int = 1) -> ScriptedChat:
    text = "I would rather tell a story about a lighthouse. It was old and very tall."
    return ScriptedChat(reply=lambda _: text, items_per_call=items_per_call)


@pytest.mark.parametrize("items_per_call", [1, 8])
async def test_a_model_that_never_answers_in_the_asked_form_ends_the_study_and_leaves_its_traces(
    items_per_call: int,
) -> None:
    study = cast(Study, refusing(items_per_call), embeddings=LexicalEmbeddings())
    state = Grounding()
    with pytest.raises(ReplyError, match="no code at all"):
        await studied(REQUEST, study, into=state)
    assert len(state["drafts"]) == 4
    assert state["codes"] == ()
    # 4 drafts of one reading each; 3 coders for 3 incidents, in 3 calls each or in one, and the
    # 3 incidents, of which nothing is known then; the audit
    large = items_per_call == 8
    assert Counter((d.stage, d.reason) for d in state["dropped"]) == {
        ("observation", "reply"): 4,
        ("open coding", "reply"): 3 if large else 9,
        ("open coding", "no coder named it"): 3,
        **({("audit", "reply"): 1} if large else {}),
    }
    assert "criteria_set" not in state


@pytest.mark.parametrize(
    ("role", "stage", "least"),
    [
        ("observer", "observation", 4),
        ("validator", "trial", 5),
    ],
)
async def test_a_study_survives_one_role_that_cannot_answer_and_counts_what_was_lost(
    role: str, stage: str, least: int, choosing_chat: Callable[..., ScriptedChat]
) -> None:
    study = cast(
        Study, choosing_chat(seed=3), embeddings=LexicalEmbeddings(), roles={role: refusing()}
    )
    state = await studied(REQUEST, study)
    assert 5 <= len(state["criteria"]) <= 10
    assert state["criteria_set"].stats["dropped"].get(stage, 0) >= least
    assert {d.agent for d in state["dropped"] if d.stage == stage} <= {role}
    assert_it_holds(state)


async def test_a_validator_that_cannot_answer_refuses_no_criterion(
    choosing_chat: Callable[..., ScriptedChat],
) -> None:
    study = cast(
        Study,
        choosing_chat(seed=3),
        embeddings=LexicalEmbeddings(),
        roles={"validator": refusing()},
    )
    state = await studied(REQUEST, study)
    assert {f.fault for f in state["findings"]} <= {"duplicate"}
    assert "so its scores refused none" in state["memos"][-1].text
    assert state["criteria_set"].stats["strength_share"] is None


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("coder", "no code at all"),
        ("axial_coder", "no category at all"),
        ("selective_coder", "CoreChoice as JSON from role 'selective_coder'"),
        ("criteria_writer", "no criterion at all"),
    ],
)
async def test_a_study_cannot_do_without_the_roles_that_carry_it(
    role: str, expected: str, choosing_chat: Callable[..., ScriptedChat]
) -> None:
    # a writer of 8 items a call words its criteria; one that chooses needs no reply for some
    others = {role: refusing(8 if role == "criteria_writer" else 1)}
    study = cast(
        Study, choosing_chat(seed=3), embeddings=LexicalEmbeddings(), roles=dict(others), drafts=1
    )
    with pytest.raises(ReplyError, match=expected):
        await studied(REQUEST, study)


def half_deaf(chat: ScriptedChat, title: str) -> ScriptedChat:
    """Answers half of the requests of one form, and all others, in the asked form."""

    def reply(request: ChatRequest) -> str:
        schema = (request.json_schema or {}).get("title")
        digest = hashlib.sha256(request.messages[-1].content.encode()).digest()
        assert chat.reply is not None
        return "No." if schema == title and digest[0] % 2 else chat.reply(request)

    return ScriptedChat(reply=reply, items_per_call=1)


async def test_categories_that_nobody_described_are_counted_and_the_others_go_on(
    choosing_chat: Callable[..., ScriptedChat],
) -> None:
    chat = half_deaf(choosing_chat(seed=3), "CategoryChoice")
    state = await studied(REQUEST, cast(Study, chat, embeddings=LexicalEmbeddings()))
    lost = [d for d in state["dropped"] if d.stage == "axial coding"]
    assert [(d.agent, d.reason, d.text) for d in lost] == [("axial_coder", "reply", "No.")] * len(
        lost
    )
    assert lost
    assert state["criteria_set"].stats["dropped"]["axial coding"] == len(lost)
    assert_it_holds(state)
