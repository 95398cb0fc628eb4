"""How a role is asked, and what becomes of answers that do not fit."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quillgraph.agents.domain import BRIEF_CHARS, WritingTask
from quillgraph.agents.reply import form, text
from quillgraph.agents.role import Role, ask, ask_each, lost_reply, read_reply, say, side_by_side
from quillgraph.backends.calls import Budget, CallRecord, Recorder, continuity
from quillgraph.backends.calls.lineage import trainable
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import BudgetReached, ReplyError
from quillgraph.backends.scripted import ScriptedChat

PROMPT: list[BaseMessage] = [SystemMessage("Name a colour."), HumanMessage("Of the sea?")]


class Colour(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=3)


async def test_an_answer_that_fits_is_asked_for_once_and_under_its_schema(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    answer = await ask(role_saying({"name": "blue"}), PROMPT, Colour, item="sea", temperature=0.25)
    assert answer == Colour(name="blue")
    [request] = requests
    assert request.json_schema == Colour.model_json_schema()
    assert request.temperature == 0.25
    assert [turn.content for turn in request.messages] == ["Name a colour.", "Of the sea?"]


async def test_an_answer_that_does_not_fit_is_asked_for_again_with_the_complaint(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    answer = await ask(
        role_saying({"name": "o"}, {"name": "blue"}), PROMPT, Colour, item="sea", max_tokens=99
    )
    assert answer == Colour(name="blue")
    first, second = requests
    # the conversation goes on: what was said, and what is wrong with it
    assert second.messages[:2] == first.messages
    assert [turn.role for turn in second.messages[2:]] == ["assistant", "user"]
    assert second.messages[2].content == '{"name": "o"}'
    assert second.messages[3].content == (
        "name: String should have at least 3 characters. "
        "Answer again with JSON of the asked form only."
    )
    assert second.json_schema == first.json_schema
    assert (first.max_tokens, second.max_tokens) == (99, 99)


async def test_a_complaint_about_the_whole_reply_says_so(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    await ask(role_saying("[1, 2]", {"name": "blue"}), PROMPT, Colour, item="sea")
    assert (
        requests[1].messages[3].content.startswith("the reply: Input should be a valid dictionary")
    )


async def test_the_second_misfit_is_an_error_that_carries_the_second_reply(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    with pytest.raises(ReplyError, match="Colour as JSON from role 'coder'") as caught:
        await ask(role_saying("first", "second", {"name": "blue"}), PROMPT, Colour, item="sea")
    assert caught.value.reply == "second"
    assert len(requests) == 2


async def test_the_second_attempt_has_another_seed_than_the_first(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    role = role_saying("no", {"name": "blue"})
    await ask(role, PROMPT, Colour, item="sea")
    assert [request.seed for request in requests] == [
        role.seed_for("sea/0"),
        role.seed_for("sea/1"),
    ]
    assert requests[0].seed != requests[1].seed


def role_with(seed: int, name: str = "coder") -> Role:
    return Role(name, FakeListChatModel(responses=["-"]), seed=seed)


@given(st.integers(0, 2**31), st.text())
def test_a_seed_fits_what_engines_take_and_comes_out_again(seed: int, item: str) -> None:
    assert 0 <= role_with(seed).seed_for(item) < 2**31
    assert role_with(seed).seed_for(item) == role_with(seed).seed_for(item)


def test_seeds_differ_between_runs_roles_and_items() -> None:
    seeds = {
        role_with(0).seed_for("a"),
        role_with(1).seed_for("a"),
        role_with(0, "observer").seed_for("a"),
        role_with(0).seed_for("b"),
    }
    assert len(seeds) == 4


async def test_the_seed_of_a_call_does_not_depend_on_the_order_of_calls(
    role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    async def seeds_of(items: list[str]) -> dict[str, int | None]:
        requests.clear()
        role = role_of({"name": "blue"})
        calls = (ask(role, [HumanMessage(item)], Colour, item=item) for item in items)
        await asyncio.gather(*calls)
        return {request.messages[0].content: request.seed for request in requests}

    assert await seeds_of(["a", "b", "c"]) == await seeds_of(["c", "a", "b"])


async def test_free_text_comes_back_as_it_was_said(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    role = role_saying("The sea is grey.")
    message = await say(role, PROMPT, item="draft0", temperature=1.0)
    assert message.content == "The sea is grey."
    assert requests[0].json_schema is None
    assert requests[0].seed == role.seed_for("draft0/0")


async def test_every_attempt_is_admitted_and_counted(role_saying: Callable[..., Role]) -> None:
    budget = Budget()
    role = role_saying("no", {"name": "blue"}, budget=budget)
    await ask(role, [HumanMessage("?")], Colour, item="sea")
    # a scripted token is up to four bytes, and turns are joined by newlines. First "?" and "no",
    # a token each. Then the complaint has 67 bytes ("the reply: Input should be a valid dictionary
    # or instance of Colour") and 48 (". Answer again with JSON of the asked form only."), so the
    # prompt of "?", "no" and the complaint has 1 + 1 + 2 + 1 + 115 = 120 bytes, 30 tokens; and
    # '{"name": "blue"}' has 16 bytes, 4 tokens
    assert (budget.calls, budget.tokens) == (2, (1 + 1) + (30 + 4))


async def test_a_spent_budget_ends_the_asking_before_the_model_hears_of_it(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    role = role_saying("no", {"name": "blue"}, budget=Budget(max_calls=1))
    with pytest.raises(BudgetReached):
        await ask(role, PROMPT, Colour, item="sea")
    assert len(requests) == 1


# --- replies that are cut ---------------------------------------------------------------------

CUT_FORM = form("Cut", name=text(4, 50), levels=form("Levels", low=text(8, 90), high=text(8, 90)))
WHOLE = (
    '{"name": "Salt", "levels": {"low": "The text is dry.", "high": "The text drips with salt."}}'
)


async def test_a_reply_cut_in_mid_string_is_asked_for_again_with_twice_the_room(
    role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    # WHOLE has 92 bytes, 23 tokens; 20 tokens are 80 bytes, and end within the last string
    assert len(WHOLE) == 92
    assert WHOLE[:80].endswith('"high": "The text drips w')
    # mended, the part would pass for the whole
    assert read_reply(WHOLE[:80], CUT_FORM).model_dump()["levels"]["high"] == "The text drips w"
    answer = await ask(role_of(WHOLE), PROMPT, CUT_FORM, item="sea", max_tokens=20)
    assert answer == CUT_FORM.model_validate_json(WHOLE)
    assert [request.max_tokens for request in requests] == [20, 40]
    assert requests[1].messages[2].content == WHOLE[:80]
    assert "Answer again with JSON" in requests[1].messages[3].content


async def test_a_reply_that_is_cut_twice_is_an_error_and_not_mended(
    role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    # 22 tokens are 88 bytes, which could be mended too
    assert read_reply(WHOLE[:88], CUT_FORM)
    with pytest.raises(ReplyError) as caught:
        await ask(role_of(WHOLE), PROMPT, CUT_FORM, item="sea", max_tokens=11)
    assert caught.value.reply == WHOLE[:88]
    assert [request.max_tokens for request in requests] == [11, 22]


def role_cut_at_its_end(*replies: str) -> Role:
    """A role whose engine says of every reply that it was cut."""
    cut = {"finish_reason": "length"}
    messages = [AIMessage(reply, response_metadata=cut) for reply in replies]
    return Role("coder", GenericFakeChatModel(messages=iter(messages)))


async def test_a_reply_that_is_whole_where_the_room_ends_is_taken() -> None:
    answer = await ask(role_cut_at_its_end(WHOLE), PROMPT, CUT_FORM, item="sea", max_tokens=23)
    assert answer == CUT_FORM.model_validate_json(WHOLE)


async def test_a_reply_cut_at_the_engines_own_limit_is_asked_for_again() -> None:
    role = role_cut_at_its_end(WHOLE[:80], WHOLE)
    assert await ask(role, PROMPT, CUT_FORM, item="sea") == CUT_FORM.model_validate_json(WHOLE)


SAYS = form("Says", score=int, reason=str)
REASON = 'score is 1,} good, ] or {"score": 2}, "so"'
SAID = json.dumps({"score": 7, "reason": REASON})


@pytest.mark.parametrize(
    "reply",
    [
        SAID,
        f"```json\n{SAID}\n```",
        f"{SAID[:-1]},}}",
        f"```\n{SAID[:-1]},\n}}\n```\n",
        SAID[:-1] + "\n,\n}",
    ],
)
def test_a_string_stays_as_it_is_where_a_comma_too_many_is_mended(reply: str) -> None:
    assert read_reply(reply, SAYS).model_dump() == {"score": 7, "reason": REASON}


@pytest.mark.parametrize(
    "end",
    [
        # within a string, and before the value or the key that must follow
        '"reason": "It holds until the la',
        '"reason": "It says \\"no',
        '"reason": ',
        '"reason": "So.",',
        '"reason": "It holds until\n```',
    ],
)
async def test_a_reply_that_breaks_off_is_asked_for_again_though_the_server_says_it_stopped(
    role_saying: Callable[..., Role], requests: list[ChatRequest], end: str
) -> None:
    role = role_saying('{"score": 7, ' + end, SAID)
    answer = await ask(role, PROMPT, SAYS, item="sea", max_tokens=20)
    assert answer.model_dump() == {"score": 7, "reason": REASON}
    assert [request.max_tokens for request in requests] == [20, 40]


@pytest.mark.parametrize(
    "reply",
    [
        '{"score": 7, "reason": "So."',
        '{"score": 7, "reason": "So."}',
        'Here it is: {"score": 7, "reason": "So."} I hope it helps:',
        '```json\n{"score": 7, "reason": "So."\n```',
    ],
)
async def test_a_reply_with_all_of_its_values_is_asked_for_once(
    role_saying: Callable[..., Role], requests: list[ChatRequest], reply: str
) -> None:
    answer = await ask(role_saying(reply), PROMPT, SAYS, item="sea")
    assert answer.model_dump() == {"score": 7, "reason": "So."}
    assert len(requests) == 1


async def test_of_a_list_that_breaks_off_twice_the_last_item_is_dropped(
    role_saying: Callable[..., Role],
) -> None:
    cut = '{"items": [{"score": 7, "reason": "So."}, {"score": 1, "reason": "It is n'
    answers = await ask_each(
        role_saying(cut, cut), PROMPT, SAYS, item="sea", stage="judging", at_most=4
    )
    assert [item.model_dump() for item in answers.items] == [{"score": 7, "reason": "So."}]
    assert [entry.reason for entry in answers.dropped] == ["cut short"]


class Overheard(AsyncCallbackHandler):
    """Keeps the metadata of each call."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, Any]] = []

    async def on_chat_model_start(self, *_: Any, metadata: Any = None, **__: Any) -> None:
        self.metadata.append(metadata)


async def test_the_record_of_a_call_says_whose_it_is_and_which_attempt() -> None:
    heard = Overheard()
    replies = iter(["no", '{"name": "blue"}'])
    model = ScriptedChat(reply=lambda _: next(replies), callbacks=[heard])
    await ask(Role("observer", model), PROMPT, Colour, item="sea")
    named = [(each["role"], each["attempt"]) for each in heard.metadata]
    assert named == [("observer", 0), ("observer", 1)]


async def each_colour(role: Role, at_most: int = 3, at_least: int = 1) -> Any:
    return await ask_each(
        role, PROMPT, Colour, item="sea", stage="looking", at_most=at_most, at_least=at_least
    )


async def test_a_list_that_fits_is_kept_whole(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    answers = await each_colour(role_saying({"items": [{"name": "blue"}, {"name": "grey"}]}))
    assert [item.name for item in answers.items] == ["blue", "grey"]
    assert answers.dropped == ()
    assert len(requests) == 1
    schema = requests[0].json_schema
    assert schema is not None
    assert schema["properties"]["items"]["minItems"] == 1
    assert schema["properties"]["items"]["maxItems"] == 3


def objects(schema: Any) -> list[dict[str, Any]]:
    """Every object in a JSON schema, definitions included."""
    if isinstance(schema, list):
        return [found for each in schema for found in objects(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") == "object" else []
    return own + [found for each in schema.values() for found in objects(each)]


async def test_every_object_of_a_list_has_all_its_keys_and_no_other(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    role = role_saying(f'{{"items": [{WHOLE}]}}')
    answers = await ask_each(role, PROMPT, CUT_FORM, item="sea", stage="looking", at_most=3)
    assert answers.items == (CUT_FORM.model_validate_json(WHOLE),)
    found = objects(requests[0].json_schema)
    assert {each["title"] for each in found} == {"CutList", "Cut", "Levels"}
    for each in found:
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"])


async def test_a_list_with_a_key_beside_it_is_asked_for_again(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    items = [{"name": "blue"}]
    answers = await each_colour(role_saying({"items": items, "hue": 3}, {"items": items}))
    assert [item.name for item in answers.items] == ["blue"]
    assert len(requests) == 2
    assert requests[1].messages[3].content.startswith("hue: Extra inputs are not permitted")


async def test_items_that_break_the_form_twice_are_dropped_one_by_one(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    answers = await each_colour(
        role_saying({"items": [{"name": "blue"}, {"name": "x"}, {"hue": 3}]})
    )
    assert [item.name for item in answers.items] == ["blue"]
    assert len(requests) == 2
    assert [(d.stage, d.agent, d.text) for d in answers.dropped] == [
        ("looking", "coder", "{'name': 'x'}"),
        ("looking", "coder", "{'hue': 3}"),
    ]
    assert answers.dropped[0].reason.startswith("Colour: name: String should have at least 3")
    assert answers.dropped[1].reason.startswith("Colour: name: Field required")


async def test_items_above_the_most_are_dropped_and_counted(
    role_saying: Callable[..., Role],
) -> None:
    names = ["blue", "grey", "green", "black", "white"]
    answers = await each_colour(role_saying({"items": [{"name": name} for name in names]}))
    assert [item.name for item in answers.items] == ["blue", "grey", "green"]
    assert [dropped.text for dropped in answers.dropped] == ["name='black'", "name='white'"]
    assert {dropped.reason for dropped in answers.dropped} == {
        "Colour: more than the 3 that were asked for"
    }


async def test_a_list_that_stays_too_short_is_kept_as_far_as_it_goes(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    answers = await each_colour(role_saying({"items": [{"name": "blue"}]}), at_least=2)
    assert [item.name for item in answers.items] == ["blue"]
    assert answers.dropped == ()
    assert len(requests) == 2


@pytest.mark.parametrize("reply", ["I would rather not.", "", '{"items": []}', '{"items": 3}'])
async def test_a_reply_without_a_usable_item_is_dropped_as_a_whole(
    role_saying: Callable[..., Role], reply: str
) -> None:
    answers = await each_colour(role_saying(reply))
    assert answers.items == ()
    assert [(d.reason, d.text) for d in answers.dropped] == [("reply", reply)]


async def test_a_budget_that_ends_in_a_list_is_not_taken_for_a_bad_reply(
    role_saying: Callable[..., Role],
) -> None:
    with pytest.raises(BudgetReached):
        await each_colour(role_saying("no", budget=Budget(max_calls=1)))


@pytest.mark.parametrize(
    "reply",
    [
        '{"name": "blue"}',
        '```json\n{"name": "blue"}\n```',
        'Sure! {"name": "blue"} I hope this helps.',
        "{'name': 'blue',}",
        '{"name": "blue',
    ],
)
def test_fences_chatter_and_broken_syntax_are_forgiven(reply: str) -> None:
    assert read_reply(reply, Colour) == Colour(name="blue")


@pytest.mark.parametrize(
    "reply", ["", "blue", "null", '{"name": "b"}', '{"name": "blue", "hue": 3}', '["blue"]']
)
def test_what_is_wrong_beyond_syntax_is_not_forgiven(reply: str) -> None:
    with pytest.raises(ValidationError):
        read_reply(reply, Colour)


@pytest.mark.parametrize("stutter", ["[" * 5_000, '{"name":' * 3_000])
async def test_brackets_without_end_are_a_misfit_and_no_crash(
    role_saying: Callable[..., Role], stutter: str
) -> None:
    with pytest.raises(ValidationError):
        read_reply(stutter, Colour)
    answers = await each_colour(role_saying(stutter))
    assert [dropped.text for dropped in answers.dropped] == [stutter[:200]]


@given(st.text(max_size=80))
def test_no_reply_whatever_raises_anything_but_a_misfit(reply: str) -> None:
    with contextlib.suppress(ValidationError):
        assert len(read_reply(reply, Colour).name) >= 3


def test_a_lost_reply_is_recorded_with_its_beginning() -> None:
    lost = lost_reply("looking", role_with(0), ReplyError("a colour", "b" * 300))
    assert (lost.stage, lost.agent, lost.reason, lost.text) == (
        "looking",
        "coder",
        "reply",
        "b" * 200,
    )


def test_a_role_takes_its_backend_at_its_word_on_how_much_it_can_do(
    role_of: Callable[..., Role],
) -> None:
    assert (role_of("-").items_per_call, role_of("-").chooses) == (8, False)
    assert (role_of("-", chooses=True).items_per_call, role_of("-", chooses=True).chooses) == (
        1,
        True,
    )
    # a foreign model declares nothing and is taken for a small one
    assert role_with(0).chooses


def test_only_a_small_model_is_shown_a_long_request_cut(role_of: Callable[..., Role]) -> None:
    task = WritingTask(request="x" * 2_000, language="en")
    assert role_of("-").brief(task) == task.request
    assert role_of("-", chooses=True).brief(task) == "x" * BRIEF_CHARS + " […]"


async def test_the_last_item_of_a_reply_that_was_cut_twice_is_dropped() -> None:
    class Label(BaseModel):
        label: str

    # 12 tokens are 48 bytes, and 24 in the second asking 96: both end inside the second label
    reply = '{"items": [{"label": "calm"}, {"label": "' + "green as grass " * 20 + '"}]}'
    role = Role("coder", ScriptedChat(reply=lambda _: reply))
    answers = await ask_each(
        role, [HumanMessage("?")], Label, item="a", stage="open coding", at_most=4, max_tokens=12
    )
    assert [item.label for item in answers.items] == ["calm"]
    assert [entry.reason for entry in answers.dropped] == ["cut short"]


async def test_the_reply_that_was_asked_for_again_is_told_from_the_one_that_was_used() -> None:
    def reply(request: ChatRequest) -> str:
        prompt = request.messages[-1].content
        return (
            '{"name": "blue"}' if "Answer again" in prompt or prompt == "fine" else '{"name": "o"}'
        )

    records: list[CallRecord] = []
    with Recorder(None, "r", records.append) as recorder:
        role = Role("painter", ScriptedChat(reply=reply, callbacks=[recorder]))
        # at once, so that neither order nor place tells which asking belongs to which
        await asyncio.gather(
            *(ask(role, [HumanMessage(said)], Colour, item=said) for said in ("sea", "fine", "sky"))
        )
    first = {record.call: record for record in records if record.attempt == 0}
    again = [record for record in records if record.attempt == 1]
    assert len(records) == 5
    assert {first[each.supersedes or 0].messages[0]["content"] for each in again} == {"sea", "sky"}
    for each in again:
        assert each.supersedes is not None
        before = first[each.supersedes]
        assert each.messages[0] == before.messages[0]
        assert each.messages[1]["content"] == before.reply
    chosen = [record.messages[0]["content"] for record in trainable(records)]
    assert sorted(chosen) == ["fine", "sea", "sky"]
    assert all("blue" in str(record.reply) for record in trainable(records))
    assert continuity(records).missing == 0


async def test_calls_side_by_side_come_to_their_end_before_one_that_failed_is_told() -> None:
    ended: list[str] = []

    async def fail() -> str:
        raise BudgetReached("spent")

    async def answer(after_s: float) -> str:
        await asyncio.sleep(after_s)
        ended.append("answered")
        return "fine"

    with pytest.raises(BudgetReached, match="spent"):
        await side_by_side([answer(0.01), fail(), answer(0.02)])
    assert ended == ["answered", "answered"]
    assert await side_by_side([answer(0.01), answer(0)]) == ["fine", "fine"]


async def test_calls_side_by_side_are_cancelled_together() -> None:
    cancelled = []

    async def hang() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await side_by_side([hang(), hang()])
    assert cancelled == [True, True]


async def test_what_is_asked_for_as_json_may_come_behind_thinking(
    role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    reply = '<think>{"name": "red"}? No.</think>{"name": "blue"}'
    assert (await ask(role_saying(reply), PROMPT, Colour, item="sea")).name == "blue"
    assert len(requests) == 1


async def test_json_that_thinking_left_no_room_for_is_an_error_that_says_so(
    role_saying: Callable[..., Role],
) -> None:
    role = role_saying('<think>{"name": "red"}', '<think>{"name": "red"}')
    with pytest.raises(ReplyError, match="the thinking, which was cut short"):
        await ask(role, PROMPT, Colour, item="sea")


class Score(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str
    score: int


AMBIGUOUS = [
    '{"reason": "He says "yes" to it", "score": 9}',
    '{"reason": "gives "score": 2 to it", "score": 9}',
    '{"reason": "says ", "score": 2, "and", "score": 9}',
    '{"reason": "x", "score": 1", "score": 9}',
    '{"reason": "x", "score": 2, "reason": "y", "score": 9}',
    '{"reason": "uses ", " twice", "score": 3}',
    '```json\n{"reason": "a "score": 1", "score": 9}\n```',
    "{'reason': 'it's \"fog\", so', 'score': 2}",
    '{"reason": "x", "score": 1',  # of 1, 10 or 14
    '{"reason": "x" "score": 2} {"reason": "y", "score": 9}',
]


@pytest.mark.parametrize("reply", AMBIGUOUS)
def test_a_reply_that_can_be_read_in_two_ways_is_not_read(reply: str) -> None:
    with pytest.raises(ValidationError):
        read_reply(reply, Score)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"reason": "He says \\"yes\\" to it", "score": 9}', 9),
        ('{"reason": "two\nlines", "score": 9,}', 9),
        ('Here:\n```json\n{"reason": "x", "score": 7}\n```\nDone.', 7),
        ('{"reason": "x" "score": 7}', 7),
        ("{reason: 'x', score: 7}", 7),
        ('{"reason": "x", "score": "7"}', 7),
        ('{"reason": "x", "score": 7, ', 7),
    ],
)
def test_wrong_marks_around_right_values_are_forgiven(reply: str, score: int) -> None:
    assert read_reply(reply, Score).score == score


@given(reason=st.text(max_size=30), score=st.integers(0, 14), data=st.data())
def test_a_reply_with_quotes_that_nobody_escaped_never_gives_another_score(
    reason: str, score: int, data: st.DataObject
) -> None:
    inside = data.draw(st.sampled_from(['"', '", "', '": ', '"score": 3', '", "score": 3, "', "}"]))
    place = data.draw(st.integers(0, len(reason)))
    words = reason[:place] + inside + reason[place:]
    with contextlib.suppress(ValidationError):
        assert read_reply(f'{{"reason": "{words}", "score": {score}}}', Score).score == score


@pytest.mark.parametrize("reply", AMBIGUOUS)
async def test_a_reply_that_can_be_read_in_two_ways_is_asked_for_again(reply: str) -> None:
    replies = iter([AIMessage(reply), AIMessage('{"reason": "clear", "score": 4}')])
    role = Role("judge", GenericFakeChatModel(messages=replies))
    assert (await ask(role, PROMPT, Score, item="a")).score == 4


THOUGHTS: list[dict[str, Any]] = [
    {"content": "", "additional_kwargs": {"reasoning_content": "First, fog."}},
    {"content": "<think>First, fog."},
]


@pytest.mark.parametrize("thought", THOUGHTS)
@pytest.mark.parametrize("ending", [{"finish_reason": "length"}, {"done_reason": "length"}])
async def test_thinking_that_was_cut_twice_asks_for_room_to_think(
    thought: dict[str, Any], ending: dict[str, str]
) -> None:
    def role() -> Role:
        messages = [AIMessage(**thought, response_metadata=ending) for _ in range(2)]
        return Role("judge", GenericFakeChatModel(messages=iter(messages)))

    with pytest.raises(ReplyError, match="after the thinking, which was cut short") as caught:
        await ask(role(), PROMPT, Score, item="a")
    assert "thinking_tokens" in caught.value.remedy
    answers = await ask_each(role(), PROMPT, Score, item="a", stage="judging", at_most=4)
    (dropped,) = answers.dropped
    assert (dropped.reason, "thinking_tokens" in dropped.text) == ("thinking cut short", True)
