"""Messages of LangChain become turns of a request, and calls become messages."""

import json

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.messages.turn import (
    ChatTurn,
    ToolCall,
    as_openai_dict,
    called,
    calls_in,
    message_calls,
    message_of,
    openai_form,
    turn_of,
)

ASKED = AIMessage(
    "Let me look.",
    tool_calls=[{"name": "look", "args": {"place": "第"}, "id": "c1"}],
    invalid_tool_calls=[
        {"name": None, "args": "{broken", "id": "c2", "error": "so", "type": "invalid_tool_call"}
    ],
)
CALL = ToolCall(id="c1", name="look", arguments='{"place": "第"}')


def test_a_call_stands_in_its_turn_and_a_broken_one_in_its_text() -> None:
    turn = turn_of(ASKED)
    assert turn.tool_calls == (CALL,)
    assert turn.content == "Let me look.\n<tool_call>\n{broken\n</tool_call>"


def test_a_result_names_the_call_that_it_answers() -> None:
    turn = turn_of(ToolMessage([{"type": "text", "text": "Calm."}], tool_call_id="c1"))
    assert turn == ChatTurn(role="tool", content="Calm.", tool_call_id="c1")
    assert turn.is_of_tools
    assert not turn_of(HumanMessage("hi")).is_of_tools


def test_a_turn_without_tools_is_written_as_if_there_were_none() -> None:
    assert turn_of(AIMessage("Aye.")).model_dump() == {"role": "assistant", "content": "Aye."}


def test_servers_get_arguments_as_text() -> None:
    assert openai_form(ChatTurn(role="assistant", content="", tool_calls=(CALL,))) == {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "look", "arguments": '{"place": "第"}'},
            }
        ],
    }
    answered = ChatTurn(role="tool", content="Calm.", tool_call_id="c1")
    assert openai_form(answered) == {"role": "tool", "content": "Calm.", "tool_call_id": "c1"}


@pytest.mark.parametrize(
    "message",
    [SystemMessage("s"), HumanMessage("h"), AIMessage("a"), ToolMessage("t", tool_call_id="c1")],
)
def test_a_turn_becomes_the_message_that_it_was(message: BaseMessage) -> None:
    assert message_of(turn_of(message)) == message


def test_the_calls_of_a_turn_become_those_of_its_message() -> None:
    message = message_of(ChatTurn(role="assistant", content="", tool_calls=(CALL,)))
    assert isinstance(message, AIMessage)
    assert message.tool_calls == ASKED.tool_calls


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("look", '{"place": "s'),
        ("look", "[1]"),
        ("look", '{"n": NaN}'),  # JSON has no NaN, and the record of the call is JSON
        ("look", '{"place": "\\ud800"}'),
        ("look", "[" * 100_000),
        (None, '{"place": "sea"}'),
    ],
)
def test_a_call_that_cannot_be_made_is_an_invalid_one(name: str | None, arguments: str) -> None:
    valid, (invalid,) = message_calls([ToolCall(id="c1", name=name, arguments=arguments)])
    assert valid == []
    assert (invalid["name"], invalid["args"], invalid["id"]) == (name, arguments, "c1")
    assert "a JSON object as arguments, got" in str(invalid["error"])
    json.dumps(invalid, ensure_ascii=False).encode()


def test_a_call_without_arguments_has_none() -> None:
    ((valid,), invalid) = message_calls([ToolCall(id="c1", name="wait", arguments="")])
    assert (valid["args"], invalid) == ({}, [])


def test_all_calls_of_a_message_are_found() -> None:
    broken = ToolCall(id="c2", name=None, arguments="{broken")
    assert calls_in(ASKED) == (CALL, broken)
    assert calls_in(HumanMessage("hi")) == ()


def test_a_record_holds_broken_calls_too() -> None:
    assert as_openai_dict(ASKED)["invalid_tool_calls"][0]["args"] == "{broken"
    assert called(ASKED) == {
        name: as_openai_dict(ASKED)[name] for name in ("tool_calls", "invalid_tool_calls")
    }
    assert called(AIMessage("Aye.")) == {}


def test_an_image_is_refused() -> None:
    image = ToolMessage(
        [{"type": "image_url", "image_url": {"url": "http://h/a.png"}}], tool_call_id="c1"
    )
    with pytest.raises(ConfigError, match="plain-text"):
        turn_of(image)
