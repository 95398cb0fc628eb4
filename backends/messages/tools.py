"""Tools that a call offers to a model, which of them it must call, and what a reply calls."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_tool

from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.messages import hermes
from quillgraph.backends.messages.turn import ToolCall

FREE, NONE, REQUIRED = None, "none", "required"
"""Values of a request's `tool_choice` that name no tool: the model chooses; no call; one call."""

_MEANINGS = {"auto": FREE, "none": NONE, "any": REQUIRED, "required": REQUIRED}


def offer(tools: Sequence[Any], tool_choice: Any = None) -> dict[str, Any]:
    """Convert tools and the choice of a tool to the format of a request.

    Args:
        tools: Tools as LangChain takes them: functions, `BaseTool`s, pydantic models, schemas.
        tool_choice: `auto` or None, `none`, `any`, `required` or True, the name of a tool, or
            OpenAI's form of it.

    Returns:
        The options `tools` and `tool_choice` of a call.

    Raises:
        ConfigError: If an item is no tool, two have one name, or `tool_choice` names none of them.
    """
    descriptions = [_description(tool) for tool in tools]
    names = [str(tool["function"]["name"]) for tool in descriptions]
    if twice := sorted({name for name in names if names.count(name) > 1 or name in _MEANINGS}):
        raise ConfigError(
            f"expected tools with names of their own, got {twice[0]!r} twice, or for a tool what "
            f"is a word of tool_choice ({', '.join(_MEANINGS)})"
        )
    return {"tools": descriptions, "tool_choice": _choice(tool_choice, names)}


def _description(tool: Any) -> dict[str, Any]:
    try:
        description = convert_to_openai_tool(tool)
        if not isinstance(description["function"]["name"], str):
            raise TypeError(description["function"]["name"])
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ConfigError(
            "expected as a tool a function with types and docstring, a BaseTool, a pydantic model "
            f"or a JSON schema with a title, got {tool!r}: {error}"
        ) from error
    return description


def _choice(tool_choice: Any, names: Sequence[str]) -> str | None:
    if isinstance(tool_choice, dict):
        tool_choice = (tool_choice.get("function") or {}).get("name", tool_choice)
    if not tool_choice:
        return FREE
    if tool_choice is True:
        return REQUIRED
    if isinstance(tool_choice, str) and tool_choice in _MEANINGS:
        return _MEANINGS[tool_choice]
    if tool_choice not in names:
        raise ConfigError(
            f"tool_choice {tool_choice!r} is no tool that is offered: "
            f"{nearest(str(tool_choice), [*names, *_MEANINGS])}"
        )
    return str(tool_choice)


def forced(tools: Sequence[dict[str, Any]], tool_choice: str | None) -> list[dict[str, Any]]:
    """Select the functions of which one must be called; empty if no call is required."""
    functions = [tool["function"] for tool in tools]
    if tool_choice in (FREE, NONE):
        return []
    return [each for each in functions if tool_choice in (REQUIRED, each["name"])]


def parameters(function: dict[str, Any]) -> dict[str, Any]:
    """Make the JSON schema of a function's arguments, which allows no further arguments."""
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return {"additionalProperties": False, **schema}


def lark(functions: Sequence[dict[str, Any]], json_options: dict[str, Any]) -> str:
    """Make the grammar of one call of one of the functions, in llguidance's format.

    Args:
        functions: As `forced` gives them.
        json_options: How the arguments are spaced (`x-guidance` of llguidance).
    """
    rules = [f"start: {' | '.join(f'call_{number}' for number in range(len(functions)))}"]
    for number, function in enumerate(functions):
        begin, end = json.dumps(hermes.opening(function["name"])), json.dumps(hermes.CLOSING)
        schema = json.dumps({**parameters(function), "x-guidance": json_options})
        rules += [f"call_{number}: {begin} json_{number} {end}", f"json_{number}: %json {schema}"]
    return "\n".join(rules) + "\n"


def split_calls(text: str, request_sha256: str) -> tuple[str, tuple[ToolCall, ...]]:
    """Separate the text of a reply from its tool calls.

    Ids of calls are hashes of request and reply, so that equal runs continue with equal requests.
    """
    rest, calls = hermes.parse_calls(text)
    return rest, tuple(
        ToolCall(id=f"call_{_digest(request_sha256, text, number)}", name=name, arguments=arguments)
        for number, (name, arguments) in enumerate(calls)
    )


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]
