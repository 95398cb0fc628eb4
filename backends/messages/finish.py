"""Why a reply ended: one set of words for what engines and providers call by many names."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage

LENGTH, FILTER, FAILED, UNKNOWN = "length", "content_filter", "error", "unknown"

SPELLINGS = (
    "finish_reason",
    "stop_reason",
    "done_reason",
    "finishReason",
    "stopReason",
    "completion_reason",
    "status",
)
"""Names under which a reply carries the reason, the first that holds one counts."""

_WORDS = {
    LENGTH: (
        "length", "max_tokens", "max_length", "max_output_tokens", "max_completion_tokens",
        "max_new_tokens", "model_length", "model_context_window_exceeded", "context_length",
        "context_window_exceeded", "token_limit", "limit", "incomplete", "truncated",
    ),
    FILTER: (
        "content_filter", "content_filtered", "safety", "recitation", "blocklist", "spii",
        "prohibited_content", "image_safety", "refusal", "sensitive", "guardrail_intervened",
        "error_toxic",
    ),
    FAILED: (
        "error", "abort", "aborted", "failed", "insufficient_system_resource",
        "malformed_function_call", "engine_overloaded",
    ),
    "stop": (
        "stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "complete",
        "completed", "finished", "finish_reason_stop",
    ),
    "tool_calls": ("tool_calls", "tool_call", "tool_use", "function_call"),
    UNKNOWN: ("", "none", "null", "unknown", "other", "finish_reason_unspecified"),
}  # fmt: skip
_MEANING = {word: meaning for meaning, words in _WORDS.items() for word in words}


def finish_of(reason: object) -> str:
    """Name why a reply ended.

    Args:
        reason: The provider's word, an enum of it, or an object with a `type` (SGLang).

    Returns:
        `stop`, `length` (cut short), `content_filter`, `error`, `tool_calls`, `unknown` if there
        is no reason, or a word that is not known here, in lower case.
    """
    if isinstance(reason, Mapping):
        reason = reason.get("type") or reason.get("reason")
    if reason is None:
        return UNKNOWN
    word = str(getattr(reason, "value", reason)).rpartition(".")[2].strip().lower()
    word = word.replace("-", "_").replace(" ", "_")
    return UNKNOWN if word.isdigit() else _MEANING.get(word, word)


def was_cut(message: BaseMessage) -> bool:
    """Whether a reply was cut short, by any provider's word for it."""
    return finish_in(message.response_metadata) == LENGTH


def finish_in(meta: Mapping[str, Any]) -> str:
    """Name why a reply ended, from fields that may carry the reason under any spelling."""
    if details := meta.get("incomplete_details"):  # OpenAI's Responses
        return finish_of(details)
    reasons = (finish_of(meta[name]) for name in SPELLINGS if meta.get(name) is not None)
    return next((reason for reason in reasons if reason != UNKNOWN), UNKNOWN)
