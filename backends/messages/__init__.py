"""Requests, replies, tool calls and token traces, independent of any engine."""

from quillgraph.backends.messages.finish import was_cut
from quillgraph.backends.messages.thought import opens_thinking, split_thinking
from quillgraph.backends.messages.trace import (
    BASE,
    Alternative,
    Position,
    TokenTrace,
    alternatives_of,
    goes_on,
    trace_of,
)

__all__ = [
    "BASE",
    "Alternative",
    "Position",
    "TokenTrace",
    "alternatives_of",
    "goes_on",
    "opens_thinking",
    "split_thinking",
    "trace_of",
    "was_cut",
]
