"""From what an engine answered to the LangChain message that carries it."""

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata

from quillgraph.backends.messages.request import ChatRequest, Completion
from quillgraph.backends.messages.turn import message_calls


def reply_message(
    completion: Completion, request: ChatRequest, *, model: str, started: float, latency: float
) -> AIMessage:
    """Make the message; what LangChain has no field for is in its `response_metadata`.

    Args:
        completion: What the engine answered.
        request: What it was asked.
        model: Its name, as the engine knows it.
        started: When the call began, seconds since the epoch.
        latency: How long it took, seconds, without waiting for its turn.
    """
    alternatives = completion.alternatives
    calls, broken_calls = message_calls(completion.tool_calls)
    return AIMessage(
        content=completion.text,
        tool_calls=calls,
        invalid_tool_calls=broken_calls,
        usage_metadata=_usage(completion),
        response_metadata={
            "model_name": model,
            "finish_reason": completion.finish_reason,
            "request_sha256": request.sha256,
            "started": started,
            "latency_s": latency,
            "token_trace": completion.trace and completion.trace.model_dump(),
            "alternatives": None
            if alternatives is None
            else [each.model_dump(mode="json") for each in alternatives],
        },
    )


def _usage(completion: Completion) -> UsageMetadata:
    usage = UsageMetadata(
        input_tokens=completion.prompt_tokens,
        output_tokens=completion.completion_tokens,
        total_tokens=completion.prompt_tokens + completion.completion_tokens,
    )
    if completion.cached_tokens is not None:
        usage["input_token_details"] = InputTokenDetails(cache_read=completion.cached_tokens)
    return usage
