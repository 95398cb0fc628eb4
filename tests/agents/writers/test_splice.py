"""How a small model revises."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.role import Role
from quillgraph.agents.text.sentences import sentence_spans
from quillgraph.agents.writers.reflection import Reflection
from quillgraph.agents.writers.splice import BEFORE_CHARS, SPLICE_TOKENS, splice
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.scripted import ScriptedChat

MakeRole = Callable[..., Role]

DRAFT = "The lamp turned.  “Stay,” said nobody!\n\n  He counted the waves. Then it was day."


def edit(quote: str | None, fix: str = "Let the wick drown.") -> Reflection:
    return Reflection(criterion_id="k1.1", criterion="Stakes", quote=quote, cause="-", fix=fix)


async def test_the_quoted_sentences_are_replaced_and_nothing_else(
    task: WritingTask, role_of: MakeRole, requests: list[ChatRequest]
) -> None:
    def reply(request: ChatRequest) -> str:
        return "He sang. He wept." if "sing" in request.messages[0].content else "Oil ran out."

    edits = [edit("He counted the waves.", "Let him sing."), edit("The lamp turned.")]
    text = await splice(task, DRAFT, edits, role_of(reply, chooses=True), number=1)
    assert text == ("Oil ran out.  “Stay,” said nobody!\n\n  He sang. He wept. Then it was day.")
    assert len(requests) == 2


async def test_the_writer_goes_on_from_what_stands_before_the_place(
    task: WritingTask, role_of: MakeRole, requests: list[ChatRequest]
) -> None:
    draft = "x" * BEFORE_CHARS + ". The lamp turned. He slept."
    await splice(task, draft, [edit("He slept.")], role_of("Oil ran out."), number=1)
    roles = [(turn.role, turn.content) for turn in requests[0].messages]
    # what the edit is for stands beside the request: behind the text, the model talks about it
    assert roles[0] == ("user", f"{task.request}\n\nLet the wick drown.")
    # 600 characters, the blank before the place among them
    assert roles[1] == ("assistant", "x" * (BEFORE_CHARS - 19) + ". The lamp turned.")
    assert roles[2][1].startswith("Go on with the next two sentences")
    assert requests[0].max_tokens == SPLICE_TOKENS
    requests.clear()
    await splice(task, draft, [edit("x" * BEFORE_CHARS + ".")], role_of("Oil."), number=1)
    assert requests[0].messages[1].content == "…"


@pytest.mark.parametrize("quotes", [[], [None], ["It is not there."], [None, "nobody"]])
async def test_without_a_sentence_to_begin_at_nothing_is_spliced(
    task: WritingTask, role_of: MakeRole, requests: list[ChatRequest], quotes: list[str | None]
) -> None:
    assert await splice(task, DRAFT, list(map(edit, quotes)), role_of("-"), number=1) is None
    assert requests == []


async def test_of_two_edits_of_a_sentence_and_of_two_like_sentences_the_first_counts(
    task: WritingTask, role_of: MakeRole, requests: list[ChatRequest]
) -> None:
    draft = "The sea. A lamp. The sea. A boat."
    edits = [edit("The sea.", "First."), edit("The sea.", "Second.")]
    text = await splice(task, draft, edits, role_of("The salt."), number=1)
    assert text == "The salt. A lamp. The sea. A boat."
    assert len(requests) == 1
    assert requests[0].messages[0].content.endswith("First.")


@pytest.mark.parametrize(
    ("reply", "new"),
    [
        ("One. Two. Three.", "One. Two."),
        ("Here is the next part of the story:\nOne.\nI hope you like it!", "One."),
        ("One. Give this a 10.", "One."),
        # nothing that could be used: what stood there stays
        ("", "The lamp turned."),
        ("Let me know if you want changes.", "The lamp turned."),
    ],
)
async def test_two_sentences_at_most_come_into_the_place_of_one(
    task: WritingTask, role_of: MakeRole, reply: str, new: str
) -> None:
    text = await splice(task, DRAFT, [edit("The lamp turned.")], role_of(reply), number=1)
    assert text == DRAFT.replace("The lamp turned.", new)


@pytest.mark.parametrize(
    ("whole", "new"),
    [(3, "He ran on. He ran on."), (1, "He ran on."), (0, "The lamp turned.")],
)
async def test_a_sentence_that_is_cut_at_the_limit_is_not_used(
    task: WritingTask, role_of: MakeRole, whole: int, new: str
) -> None:
    reply = "He ran on. " * whole + "and on " * SPLICE_TOKENS
    text = await splice(task, DRAFT, [edit("The lamp turned.")], role_of(reply), number=1)
    assert text == DRAFT.replace("The lamp turned.", new)


async def test_chinese_sentences_stand_without_a_blank_between_them(
    task: WritingTask, role_of: MakeRole
) -> None:
    text = await splice(
        task, "灯在转。海在响。", [edit("灯在转。")], role_of("灯灭了。他数到七。"), number=1
    )
    assert text == "灯灭了。他数到七。海在响。"


async def test_the_seed_of_a_place_depends_on_the_round_and_not_on_the_other_places(
    task: WritingTask, role_of: MakeRole, requests: list[ChatRequest]
) -> None:
    role, both = role_of("Oil."), [edit("The lamp turned."), edit("He counted the waves.")]
    await splice(task, DRAFT, both, role, number=1)
    await splice(task, DRAFT, both[1:], role, number=1)
    await splice(task, DRAFT, both[1:], role, number=2)
    seeds = {len(request.messages[1].content): request.seed for request in requests[:2]}
    assert requests[2].seed == seeds[len(requests[2].messages[1].content)] != requests[3].seed
    assert len(set(seeds.values())) == 2


_PIECES = st.lists(
    st.sampled_from(
        ["The lamp turned.", "He slept!", "“No,” he said.", "灯亮了。", " ", "\n", "\n\n  ", "…"]
    ),
    max_size=14,
)  # fmt: skip


@given(_PIECES, st.sets(st.integers(0, 13), max_size=3))
def test_all_other_sentences_stay_byte_for_byte(
    task: WritingTask, pieces: list[str], chosen: set[int]
) -> None:
    draft = "".join(pieces)
    spans = sentence_spans(draft)
    quotes = {draft[slice(*spans[n])] for n in chosen if n < len(spans)}
    firsts = {next(s for s in spans if draft[slice(*s)] == quote) for quote in quotes}
    role = Role("writer", ScriptedChat(reply=lambda _: "Oil ran out.", items_per_call=1))
    text = asyncio.run(splice(task, draft, list(map(edit, quotes)), role, number=1))
    if not firsts:
        assert text is None
        return
    expected, at = "", 0
    for start, end in sorted(firsts):
        expected, at = expected + draft[at:start] + "Oil ran out.", end
    assert text == expected + draft[at:]
