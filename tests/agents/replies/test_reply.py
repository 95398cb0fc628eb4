"""What of a reply is its text, and what stood beside it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from quillgraph.agents.replies import Aside, answer_of, reply_text
from quillgraph.agents.replies.reply import CALL_ALONE, CUT, EMPTY, NO_REPLY, THOUGHT_ALONE
from quillgraph.backends.messages import opens_thinking

FOG = "Fog sat on the wheel."
HARMONY = (
    "<|channel|>analysis<|message|>plan<|end|><|start|>assistant<|channel|>final<|message|>"
    "Fog sat on the wheel.<|return|>"
)


@pytest.mark.parametrize(
    "reply",
    [
        f"<think>plan</think>\n\n{FOG}", f"\n<THINK>plan</THINK>{FOG}",
        f"<thinking>plan</thinking>{FOG}", f"<reasoning>\nplan\n</reasoning>\n{FOG}",
        f"<reasoning>plan</reasoning><answer>{FOG}</answer>", f"<thought>plan</thought>{FOG}",
        f"<seed:think>plan</seed:think>{FOG}", f"<think_fast>plan</think_fast>{FOG}",
        f"◁think▷plan◁/think▷{FOG}", f"[THINK]plan[/THINK]{FOG}",
        "<|begin_of_thought|>plan<|end_of_thought|>\n\n<|begin_of_solution|>"
        f"{FOG}<|end_of_solution|>",
        "<|START_THINKING|>plan<|END_THINKING|><|START_RESPONSE|>"
        f"{FOG}<|END_RESPONSE|>",
        f"plan\n</think>\n\n{FOG}", f"plan</think>{FOG}", f"plan </think>\n\n{FOG}",
        f"Sure!\n<think>plan</think>{FOG}", HARMONY,
        f"analysisplanassistantfinal{FOG}", f"<|channel>thought\nplan<channel|>{FOG}",
        f"Here is my thought process: plan Here is my response: {FOG}",
    ],
)  # fmt: skip
def test_thinking_at_the_beginning_is_no_text_and_is_kept(reply: str) -> None:
    read = reply_text(reply)
    assert (read.text, read.missing, read.aside.thinking) == (FOG, None, "plan")


@pytest.mark.parametrize(
    "reply",
    [
        "<think>plan", "<think>plan\n\nFog", "[THINK]plan", "<|begin_of_thought|>plan",
        "<|channel|>analysis<|message|>plan", "analysisWe plan a fog",
        "<think>a</think><think>plan", "Here's my thought process: plan",
    ],
)  # fmt: skip
def test_thinking_that_was_cut_off_means_no_text(reply: str) -> None:
    read = reply_text(reply)
    assert (read.text, read.missing) == (None, CUT)
    assert "plan" in read.aside.thinking


@pytest.mark.parametrize(
    "story",
    [
        "He typed <think>why</think> and left.", "He typed </think> and left.",
        "The last line was `</think>`.", "“</think>” stood on the screen.",
        "The tags <think> and </think>.\n</think>\nstood in it.", "analysis is what he feared.",
        "[Thinking] Where is the boat?", "<b>Fog</b> sat.", "Thinking: he left.",
    ],
)  # fmt: skip
def test_a_text_that_quotes_such_marks_is_left_as_it_is(story: str) -> None:
    assert reply_text(story) == answer_of(story)
    assert (reply_text(story).text, reply_text(story).aside) == (story, Aside())


def test_where_the_prompt_has_opened_the_thinking_all_words_may_be_of_it() -> None:
    assert opens_thinking("<|im_start|>assistant\n<think>\n")
    assert not opens_thinking("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert not opens_thinking("Explain <think> to me.")
    assert reply_text("plan", opened=True).missing == CUT
    assert reply_text(f"plan </think> {FOG}", opened=True).text == FOG
    assert reply_text(f"A plan.</think>{FOG}").text == FOG
    assert reply_text(f"plan </think> {FOG}").text == f"plan </think> {FOG}"


def assistant(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


CALL = {"type": "function", "function": {"name": "look", "arguments": "{}"}}
TOOL = {"role": "tool", "name": "look", "content": "grey"}
USER = {"role": "user", "content": "Shorter."}


@pytest.mark.parametrize(
    ("messages", "text", "missing"),
    [
        ([assistant("I will look."), TOOL, assistant(FOG)], FOG, None),
        ([assistant(None, tool_calls=[CALL]), TOOL, assistant(FOG)], FOG, None),
        ([assistant("Look.", tool_calls=[CALL]), TOOL], None, CALL_ALONE),
        ([assistant(None, tool_calls=[CALL])], None, CALL_ALONE),
        ([assistant("Look."), TOOL, assistant("")], None, CALL_ALONE),
        ([assistant(FOG), assistant("")], FOG, None),
        ([assistant("A draft."), USER, assistant(FOG)], FOG, None),
        ([assistant("A draft."), USER, assistant("<think>plan")], None, CUT),
        ([assistant("A draft."), USER, assistant("")], "", None),
        ([assistant(FOG), USER], FOG, None),
        ([assistant(None)], None, EMPTY),
        ([USER], None, NO_REPLY),
        ([assistant("", reasoning_content="plan")], None, THOUGHT_ALONE),
        ([assistant("", reasoning_content="plan", finish_reason="length")], None, CUT),
    ],
)
def test_of_messages_the_last_answer_is_the_text(
    messages: list[Any], text: str | None, missing: str | None
) -> None:
    read = reply_text(messages)
    assert (read.text, read.missing) == (text, missing)
    assert "None" not in read.words


def test_what_was_said_and_called_on_the_way_is_kept() -> None:
    read = reply_text([assistant("I will look.", tool_calls=[CALL]), TOOL, assistant(FOG)])
    assert read.aside == Aside(preface="I will look.", tool_calls=(CALL,))


@pytest.mark.parametrize(
    "message",
    [
        AIMessage([{"type": "thinking", "thinking": "plan"}, {"type": "text", "text": FOG}]),
        AIMessage([{"type": "reasoning", "reasoning": "plan"}, {"type": "text", "text": FOG}]),
        AIMessage([{"type": "reasoning", "summary": [{"text": "plan"}]}, FOG]),
        AIMessage(FOG, additional_kwargs={"reasoning_content": "plan"}),
        AIMessage(FOG, additional_kwargs={"reasoning": {"summary": [{"text": "plan"}]}}),
        assistant(FOG, reasoning="plan", reasoning_content="plan"),
        assistant(FOG, reasoning_details=[{"type": "reasoning.text", "text": "plan"}]),
        assistant([{"type": "thinking", "thinking": [{"type": "text", "text": "plan"}]}, FOG]),
        [{"type": "thinking", "thinking": "plan"}, {"type": "output_text", "text": FOG}],
    ],
)
def test_a_models_own_reasoning_is_kept_beside_the_text(message: Any) -> None:
    read = reply_text(message)
    assert (read.text, read.aside) == (FOG, Aside(thinking="plan"))


def test_langchains_own_messages_are_read_as_their_dicts_are() -> None:
    look = {"name": "look", "args": {}, "id": "1", "type": "tool_call"}
    messages = [
        HumanMessage("Write."), AIMessage("I will look.", tool_calls=[look]),
        ToolMessage("grey", tool_call_id="1"), AIMessage(FOG),
    ]  # fmt: skip
    read = reply_text(messages)
    assert (read.text, read.aside.preface) == (FOG, "I will look.")
    assert reply_text([each.model_dump() for each in messages]).text == FOG


LETTER = (
    "Thank you for your message.\n\nThe boat leaves at nine.\n\nLet me know if you have questions."
)


def test_words_around_the_text_are_taken_off_and_kept() -> None:
    read = reply_text(f"Sure! Here is your poem:\n\n{FOG}\n\nI hope you like it!")
    assert read.text == FOG
    assert read.aside == Aside(preface="Sure! Here is your poem:", sign_off="I hope you like it!")


def test_a_letter_may_thank_and_offer_by_itself() -> None:
    asked = "Write an e-mail to a guest about the boat."
    assert reply_text(LETTER, request=asked).text == LETTER
    read = reply_text(f"Here is your e-mail:\n\n{LETTER}", request=asked)
    assert (read.text, read.aside.preface) == (LETTER, "Here is your e-mail:")
    assert reply_text(LETTER, request="Write a story about a letter.").text != LETTER


def test_nothing_but_such_words_is_left_for_the_gate() -> None:
    words = "Here is the story. I hope that you enjoy it."
    assert reply_text(words).text == words


_PIECES = st.sampled_from(
    ["<think>", "</think>", "plan ", "Fog. ", "\n", "Sure! ", "[THINK]", "[/THINK]",
     "assistantfinal", "<answer>", "</answer>", "analysis", "I hope you like it!"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=9))
def test_a_text_that_was_read_is_read_as_itself(pieces: list[str]) -> None:
    read = reply_text("".join(pieces))
    if read.text is not None:
        assert reply_text(read.text).text == read.text
