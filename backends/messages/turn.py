"""The messages of a request as engines take them: roles, texts and tool calls."""

import json
import operator
from collections.abc import Iterable
from typing import Any, Literal

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
)
from langchain_core.messages import ToolCall as MessageCall
from langchain_core.messages.tool import invalid_tool_call, tool_call
from pydantic import BaseModel, ConfigDict, Field

from quillgraph.backends.errors import ConfigError, InputError
from quillgraph.backends.messages import hermes


class ToolCall(BaseModel):
    """A tool call, as the model wrote it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str | None
    """The tool; None if the call names none."""
    arguments: str
    """A JSON object, possibly broken; without a name, the whole text of the call."""


class ChatTurn(BaseModel):
    """One message of a request, as plain text.

    Dumps leave out the tool fields if they are empty. So the hashes of requests without tools, and
    with them cassettes and seeds, are the same as before there were tools.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = Field(default=(), exclude_if=operator.not_)
    """The assistant's tool calls, each with a name and a JSON object."""
    tool_call_id: str | None = Field(default=None, exclude_if=operator.not_)
    """The call that this turn of a tool answers."""

    @property
    def is_of_tools(self) -> bool:
        """Whether it calls a tool or answers a call."""
        return self.role == "tool" or bool(self.tool_calls)


_ROLES: dict[type[BaseMessage], Literal["system", "user", "assistant"]] = {
    SystemMessage: "system",
    HumanMessage: "user",
}


def turn_of(message: BaseMessage) -> ChatTurn:
    """Read a LangChain message.

    Calls whose arguments could not be read go back into the text, as the model wrote them, because
    no template and no server has another place for them.

    Raises:
        ConfigError: If the message is not plain text with tool calls.
        InputError: If its text holds half a character.
    """
    turn = _turn_of(message)
    for text in (turn.content, *(call.arguments for call in turn.tool_calls)):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise half_character(text) from None
    return turn


def half_character(text: str) -> InputError:
    """Say where a text holds half a character, which no server and no file takes."""
    place = next((n for n, letter in enumerate(text) if "\ud800" <= letter <= "\udfff"), 0)
    around = ascii(text[max(0, place - 20) : place + 20])
    return InputError(
        f"the prompt holds half a character (U+{ord(text[place]):04X}) at character {place + 1}, "
        f"in {around}: a text was cut inside a character, or read as UTF-8 and is none; replace it"
    )


def whole_characters(text: str) -> str:
    """Join the halves of characters in a text; half a character alone becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _turn_of(message: BaseMessage) -> ChatTurn:
    if isinstance(message.content, str) and (role := _ROLES.get(type(message))):
        return ChatTurn(role=role, content=message.content)  # what it is in nearly all calls
    plain = convert_to_openai_messages(message)
    name, content = plain["role"], plain["content"] or ""
    if name not in ("system", "user", "assistant", "tool") or not isinstance(content, str):
        raise ConfigError(
            f"expected a plain-text system, human, AI or tool message, got "
            f"{type(message).__name__} with role {name!r}; images are not carried by this backend"
        )
    if isinstance(message, ToolMessage):
        return ChatTurn(role="tool", content=content, tool_call_id=message.tool_call_id)
    if not isinstance(message, AIMessage):
        return ChatTurn(role=name, content=content)
    broken = [hermes.format_call(each["name"], each["args"]) for each in message.invalid_tool_calls]
    return ChatTurn(
        role="assistant",
        content="\n".join(part for part in (content, *broken) if part),
        tool_calls=_valid_calls(message),
    )


def message_of(turn: ChatTurn) -> BaseMessage:
    """Convert a turn to LangChain's message."""
    if turn.role == "tool":
        return ToolMessage(turn.content, tool_call_id=turn.tool_call_id)
    if turn.role == "assistant":
        valid, invalid = message_calls(turn.tool_calls)
        return AIMessage(turn.content, tool_calls=valid, invalid_tool_calls=invalid)
    return SystemMessage(turn.content) if turn.role == "system" else HumanMessage(turn.content)


def calls_in(message: BaseMessage) -> tuple[ToolCall, ...]:
    """List the tool calls of a LangChain message, including those that could not be read."""
    if not isinstance(message, AIMessage):
        return ()
    broken = (
        ToolCall(id=each["id"] or f"broken_{n}", name=each["name"], arguments=each["args"] or "")
        for n, each in enumerate(message.invalid_tool_calls)
    )
    return (*_valid_calls(message), *broken)


def _valid_calls(message: AIMessage) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(
            id=each["id"] or f"call_{number}",
            name=each["name"],
            arguments=json.dumps(each["args"], ensure_ascii=False),
        )
        for number, each in enumerate(message.tool_calls)
    )


def openai_form(turn: ChatTurn) -> dict[str, Any]:
    """Convert a turn to the format of servers and chat templates; arguments are JSON text."""
    form: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.tool_calls:
        form["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in turn.tool_calls
        ]
    if turn.tool_call_id is not None:
        form["tool_call_id"] = turn.tool_call_id
    return form


def as_openai_dict(message: BaseMessage) -> dict[str, Any]:
    """Convert any message to OpenAI's format, including the calls that could not be read."""
    form: dict[str, Any] = convert_to_openai_messages(message)
    if isinstance(message, AIMessage) and message.invalid_tool_calls:
        form["invalid_tool_calls"] = [dict(each) for each in message.invalid_tool_calls]
    return form


def called(message: BaseMessage) -> dict[str, Any]:
    """Select the tool calls of a reply, in the format of `as_openai_dict`; empty if none."""
    if not isinstance(message, AIMessage) or not (message.tool_calls or message.invalid_tool_calls):
        return {}
    form = as_openai_dict(message)
    return {name: form.get(name, []) for name in ("tool_calls", "invalid_tool_calls")}


def message_calls(
    calls: Iterable[ToolCall],
) -> tuple[list[MessageCall], list[InvalidToolCall]]:
    """Convert calls to LangChain's format: the valid ones, and the invalid ones."""
    valid: list[MessageCall] = []
    invalid: list[InvalidToolCall] = []
    for call in calls:
        arguments = _object(call.arguments)
        if call.name and arguments is not None:
            valid.append(tool_call(name=call.name, args=arguments, id=call.id))
        else:
            what = "the name of a tool and" if not call.name else f"for tool {call.name!r}"
            problem = f"expected {what} a JSON object as arguments, got {call.arguments[:200]!r}"
            invalid.append(
                invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=problem)
            )
    return valid, invalid


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object in a text; None if there is none, or it cannot be written as JSON again."""
    try:
        value = json.loads(text or "{}")
        json.dumps(
            value, ensure_ascii=False, allow_nan=False
        ).encode()  # no NaN, no half characters
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
