"""Which tools a call offers, and which of them it must call."""

from typing import Any

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.messages.tools import forced, lark, offer, parameters, split_calls


@tool
def look(place: str) -> str:
    """Look at a place."""
    return place


class Wait(BaseModel):
    """Let hours pass."""

    hours: int = Field(ge=1)


def names(functions: list[dict[str, Any]]) -> list[str]:
    return [each["name"] for each in functions]


def test_what_langchain_takes_for_a_tool_is_one() -> None:
    schema = {"title": "sing", "description": "Sing.", "type": "object", "properties": {}}
    offered = offer([look, Wait, schema])["tools"]
    assert names([each["function"] for each in offered]) == ["look", "Wait", "sing"]
    assert offer(offered)["tools"] == offered


@pytest.mark.parametrize(
    ("choice", "expected", "must"),
    [
        (None, None, []),
        ("auto", None, []),
        ("none", "none", []),
        ("any", "required", ["look", "Wait"]),
        (True, "required", ["look", "Wait"]),
        ("required", "required", ["look", "Wait"]),
        ("look", "look", ["look"]),
        ({"type": "function", "function": {"name": "Wait"}}, "Wait", ["Wait"]),
    ],
)
def test_a_choice_says_what_must_be_called(
    choice: Any, expected: str | None, must: list[str]
) -> None:
    offered = offer([look, Wait], choice)
    assert offered["tool_choice"] == expected
    assert names(forced(**offered)) == must


@pytest.mark.parametrize("choice", ["lok", {"type": "function", "function": {"name": "lok"}}, 3])
def test_a_choice_that_is_not_offered_is_refused(choice: Any) -> None:
    with pytest.raises(ConfigError, match=r"is no tool that is offered.*valid: any, auto, look"):
        offer([look], choice)


def test_two_tools_of_one_name_and_a_name_that_is_a_choice_are_refused() -> None:
    with pytest.raises(ConfigError, match="got 'look' twice"):
        offer([look, look])
    with pytest.raises(ConfigError, match="'auto'"):
        offer([{"type": "function", "function": {"name": "auto", "parameters": {}}}])


@pytest.mark.parametrize("thing", [3, "look", {"properties": {}}, None])
def test_what_is_no_tool_is_refused(thing: Any) -> None:
    with pytest.raises(ConfigError, match="expected as a tool"):
        offer([thing])


def test_arguments_that_a_tool_does_not_have_are_ruled_out() -> None:
    assert parameters({"name": "f"})["additionalProperties"] is False
    open_ended = {"type": "object", "additionalProperties": True}
    assert parameters({"name": "f", "parameters": open_ended}) == open_ended


def test_the_grammar_has_a_rule_for_each_tool_that_may_be_called() -> None:
    functions = [each["function"] for each in offer([look, Wait])["tools"]]
    lines = lark(functions, {"whitespace_flexible": False}).splitlines()
    assert lines[0] == "start: call_0 | call_1"
    assert lines[1] == (
        r'call_0: "<tool_call>\n{\"name\": \"look\", \"arguments\": " json_0 "}\n</tool_call>"'
    )
    assert lines[2].startswith('json_0: %json {"additionalProperties": false, "properties"')


def test_the_id_of_a_call_follows_from_request_and_reply() -> None:
    text = '<tool_call>{"name": "look", "arguments": {}}</tool_call>'
    rest, calls = split_calls(text * 2, "a" * 64)
    assert rest == ""
    assert [each.name for each in calls] == ["look", "look"]
    assert len({each.id for each in calls}) == 2
    assert split_calls(text * 2, "a" * 64) == (rest, calls)
    assert split_calls(text * 2, "b" * 64)[1][0].id != calls[0].id
