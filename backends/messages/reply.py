"""The LangChain message that carries an engine's reply, and replies that follow a JSON schema."""

import json
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from pydantic import BaseModel, ValidationError

from quillgraph.backends.messages.request import ChatRequest, Completion
from quillgraph.backends.messages.thought import split_thinking
from quillgraph.backends.messages.turn import message_calls

REASONING = "reasoning_content"
"""LangChain's name, among a message's `additional_kwargs`, for what the model thought."""


def reply_message(
    completion: Completion, request: ChatRequest, *, model: str, started: float, latency: float
) -> AIMessage:
    """Make the message; values without a LangChain field go into its `response_metadata`.

    Args:
        completion: The engine's reply.
        request: The request that it answers.
        model: Name of the model, as the engine knows it.
        started: When the call began, seconds since the epoch.
        latency: How long the call took, seconds, without waiting for a slot.
    """
    trace, alternatives = completion.trace, completion.alternatives
    if trace is not None and request.is_bent:
        trace = trace.model_copy(update={"is_bent": True})
    calls, broken_calls = message_calls(completion.tool_calls)
    return AIMessage(
        content=completion.text,
        # LangChain's name for it
        additional_kwargs={"reasoning_content": completion.reasoning}
        if completion.reasoning
        else {},
        tool_calls=calls,
        invalid_tool_calls=broken_calls,
        usage_metadata=_usage(completion),
        response_metadata={
            "model_name": model,
            "finish_reason": completion.finish_reason,
            "request_sha256": request.sha256,
            "started": started,
            "latency_s": latency,
            "token_trace": trace and trace.model_dump(),
            **({"opened_thinking": True} if completion.opened_thinking else {}),
            "alternatives": None
            if alternatives is None
            else [each.model_dump(mode="json") for each in alternatives],
        },
    )


def _usage(completion: Completion) -> UsageMetadata | None:
    prompt, written = completion.prompt_tokens, completion.completion_tokens
    if prompt is None or written is None:
        return None
    usage = UsageMetadata(input_tokens=prompt, output_tokens=written, total_tokens=prompt + written)
    if completion.cached_tokens is not None:
        usage["input_token_details"] = InputTokenDetails(cache_read=completion.cached_tokens)
    return usage


def schema_in_words(schema: dict[str, Any]) -> str:
    """Ask for JSON of a schema, for models that cannot decode under one."""
    return (
        "Answer with one JSON object and nothing else. It must satisfy this JSON schema:\n"
        f"{json.dumps(schema, ensure_ascii=False)}"
    )


def reply_parser(schema: type[BaseModel], *, include_raw: bool) -> Callable[[BaseMessage], Any]:
    """Make the function that parses a message into a pydantic model.

    Args:
        schema: The model's class.
        include_raw: Return `raw` (the message with its token trace), `parsed` and
            `parsing_error`, instead of raising the error of a reply that does not parse.
    """

    def parse(message: BaseMessage) -> BaseModel:
        # strict: a repaired half of a reply would pass for a whole one
        is_opened = bool(message.response_metadata.get("opened_thinking"))
        text, _ = split_thinking(str(message.content), opened=is_opened)
        return schema.model_validate_json(text or "")

    def keep(message: BaseMessage) -> dict[str, Any]:
        try:
            return {"raw": message, "parsed": parse(message), "parsing_error": None}
        except ValidationError as error:
            return {"raw": message, "parsed": None, "parsing_error": error}

    return keep if include_raw else parse
