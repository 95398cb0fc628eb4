"""What a message, or a list of them, holds: words, thinking and calls, each by itself.

Messages are LangChain's, their JSON, or the dicts of OpenAI's interface and of TRL's completions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage

from quillgraph.backends.messages.finish import LENGTH, finish_in
from quillgraph.backends.messages.thought import THINKING_FIELDS

_ASSISTANT = {"assistant", "ai", "AIMessageChunk", "model"}
_TOOL = {"tool", "function", "ToolMessageChunk", "FunctionMessageChunk"}
_OTHERS = {"user", "human", "HumanMessageChunk", "system", "SystemMessageChunk", "developer"}
_KINDS = {**dict.fromkeys(_ASSISTANT, "assistant"), **dict.fromkeys(_TOOL, "tool")}

_THINKING_BLOCKS = {"thinking", "reasoning", "reasoning_content", "redacted_thinking"}
_CALL_BLOCKS = {"tool_use", "tool_call", "function_call", "server_tool_use", "server_tool_call"}


@dataclass(frozen=True, slots=True)
class MessageParts:
    """A message in parts."""

    words: str | None
    """What was said; None where the message has no place for words, such as `content: None`."""
    thinking: tuple[str, ...] = ()
    calls: tuple[dict[str, Any], ...] = field(default=())
    """The calls of tools, as the message holds them."""
    is_cut: bool = False
    """Whether it is known to have ended at the longest that it might be."""
    is_opened: bool = False
    """Whether its prompt is known to have opened the thinking."""


def is_message(value: Any) -> bool:
    """Whether this is a message, and no block of one."""
    if isinstance(value, BaseMessage):
        return True
    if not isinstance(value, Mapping):
        return False
    if "role" in value or value.get("type") in {*_KINDS, *_OTHERS, "chat"}:
        return "content" in value or "tool_calls" in value or _has_thinking(value)
    return "type" not in value and "content" in value


def role_name(message: Any) -> str:
    """Who speaks: `assistant`, `tool`, or anyone else; a dict that names nobody is a reply."""
    fields = _fields(message)
    name = fields.get("role") or fields.get("type") or "assistant"
    if name in _OTHERS or name == "remove":
        return "other"
    return _KINDS.get(name, "assistant")


def parts_of_message(message: Any) -> MessageParts:
    """Take a message apart."""
    fields = _fields(message)
    extra = fields.get("additional_kwargs") or {}
    meta = fields.get("response_metadata") or {}
    content = fields.get("content")
    several = content if isinstance(content, Sequence) else ()
    blocks = [content] if isinstance(content, str | Mapping) else list(several)
    words = [each for block in blocks if (each := _words(block)) is not None]
    own = [each for block in blocks for each in _block_thinking(block)]
    beside = [
        each
        for source in (fields, extra)
        for name in THINKING_FIELDS
        for each in _strings(source.get(name))
    ]
    return MessageParts(
        words="".join(words) if words or isinstance(content, Sequence) else None,
        # servers give the same reasoning under two names
        thinking=tuple(dict.fromkeys(each for each in (own or beside) if each.strip())),
        calls=tuple(_calls(fields, extra, blocks)),
        is_cut=LENGTH in (finish_in(meta), finish_in(fields)),
        is_opened=bool(meta.get("opened_thinking")),
    )


def _fields(message: Any) -> Mapping[str, Any]:
    if not isinstance(message, BaseMessage):
        fields: Mapping[str, Any] = message
        return fields
    return {
        "type": message.type,
        "content": message.content,
        "tool_calls": getattr(message, "tool_calls", ()),
        "invalid_tool_calls": getattr(message, "invalid_tool_calls", ()),
        "additional_kwargs": message.additional_kwargs,
        "response_metadata": message.response_metadata,
    }


def _has_thinking(fields: Mapping[str, Any]) -> bool:
    return any(fields.get(name) for name in THINKING_FIELDS)


def _words(block: Any) -> str | None:
    """The words of a block; None where it is no text."""
    if isinstance(block, str):
        return block
    if not isinstance(block, Mapping) or block.get("type", "text") not in ("text", "output_text"):
        return None
    text = block.get("text")
    return text if isinstance(text, str) else None


def _block_thinking(block: Any) -> Iterator[str]:
    if isinstance(block, Mapping) and block.get("type") in _THINKING_BLOCKS:
        for name in ("thinking", "reasoning", "reasoning_content", "summary", "text", "content"):
            if strings := list(_strings(block.get(name))):
                yield from strings
                return


def _strings(value: Any) -> Iterator[str]:
    """The strings of a field of reasoning, which may hold blocks, or summaries of them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name in ("text", "thinking", "reasoning", "summary", "content"):
            yield from _strings(value.get(name))
    elif isinstance(value, Sequence):
        for each in value:
            yield from _strings(each)


def _calls(
    fields: Mapping[str, Any], extra: Mapping[str, Any], blocks: Sequence[Any]
) -> Iterator[dict[str, Any]]:
    named = [*(fields.get("tool_calls") or ()), *(fields.get("invalid_tool_calls") or ())]
    if single := fields.get("function_call") or extra.get("function_call"):
        named.append(single)
    named = named or list(extra.get("tool_calls") or ())
    in_blocks = [
        block
        for block in blocks
        if isinstance(block, Mapping) and block.get("type") in _CALL_BLOCKS
    ]
    for each in named or in_blocks:
        yield dict(each) if isinstance(each, Mapping) else {"call": str(each)}
