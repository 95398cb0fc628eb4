"""From what a model gives to the text that is judged, and what stands beside it."""

from quillgraph.agents.replies.message import is_message
from quillgraph.agents.replies.reply import (
    CUT,
    NOTHING_ASIDE,
    Aside,
    ReplyText,
    answer_of,
    reply_text,
)

__all__ = [
    "CUT",
    "NOTHING_ASIDE",
    "Aside",
    "ReplyText",
    "answer_of",
    "is_message",
    "reply_text",
]
