"""What binds a reply: a JSON schema or a call of a tool, as llguidance decodes it.

In this process and on a vLLM server that was started here.
"""

from typing import Any

from quillgraph.backends.messages.request import ChatRequest
from quillgraph.backends.messages.tools import lark

COMPACT_JSON = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""One fixed spacing: left free, a small model fills its budget with spaces and newlines."""


def is_bound(request: ChatRequest) -> bool:
    """Whether a grammar restricts the reply."""
    return request.json_schema is not None or bool(request.forced)


def spaced(schema: dict[str, Any]) -> dict[str, Any]:
    """Have a JSON schema decoded in the one spacing."""
    return {**schema, "x-guidance": COMPACT_JSON}


def call_grammar(request: ChatRequest) -> str:
    """Make the grammar of one call of one of the tools that must be called."""
    return lark(request.forced, COMPACT_JSON)
