"""Errors that servers and gateways send under a status that says all is well.

OpenRouter, LiteLLM, Cloudflare, MiniMax and proxies in front of vLLM answer 200 with a body that
is an error. Here it gets the status that it stands for, so that it is retried, or not, as that
status is.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from quillgraph.backends.messages.finish import FAILED, finish_in


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in the body of a reply."""

    status: int
    """The HTTP status that it stands for; 500 if nothing says which."""
    words: str
    """The server's message."""
    kind: str
    """Its code, type and parameter, in one string."""


_MARKS = (b'"error"', b'"errors"', b'"base_resp"', b'"abort"')

_STATUSES = (
    (429, r"rate.?limit|too.?many.?requests|resource.?exhausted|throttl|quota|\btpm\b|\brpm\b"),
    (400, r"context.?(length|window|size)|maximum model length|content.?(filter|policy)|\bsafety"),
    (401, r"unauthori[sz]ed|authenticat|invalid.{0,3}api.?key|incorrect api key"),
    (402, r"insufficient.(credit|balance|fund)|payment|billing"),
    (403, r"permission|forbidden|access.?denied"),
    (404, r"not.?found|does not exist|no such model"),
    (503, r"overload|unavailable|capacity"),
    (504, r"time.?d?.?out|deadline"),
    (400, r"invalid|bad.?request|badrequest|validation|unprocessable"),
)
"""The status that words stand for, the first that fits."""


def fault_in(body: bytes) -> Fault | None:
    """The error in a body that came with a status below 400; None if it holds none."""
    if b'"choices"' in body and not any(mark in body for mark in _MARKS):
        return None  # nearly all replies: they are read once, elsewhere
    for answer in _objects(body):
        if (error := _error_of(answer)) is not None:
            return _fault(error, answer)
    return None


def is_event_stream(body: str) -> bool:
    """Whether a body is a stream of events, which was not asked for."""
    return body.lstrip()[:6].startswith(("data:", "event:"))


def _objects(body: bytes) -> Iterator[dict[str, Any]]:
    text = body.decode(errors="replace").strip()
    lines = text.splitlines() if is_event_stream(text) else [text]
    for line in lines:
        try:
            value = json.loads(line.removeprefix("data:"))
        except (ValueError, RecursionError):
            continue
        for each in value if isinstance(value, list) else [value]:  # Gemini sends a list of one
            if isinstance(each, dict):
                yield each


def _error_of(answer: dict[str, Any]) -> Any:
    """The part of an answer that is an error; None if no part is."""
    for name in ("error", "errors"):
        if error := answer.get(name):
            return error[0] if isinstance(error, list) else error
    state = answer.get("base_resp")  # MiniMax
    if isinstance(state, dict) and state.get("status_code"):
        return {"code": state["status_code"], "message": state.get("status_msg")}
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict):
        message = first.get("message")
        inner = message.get("error") if isinstance(message, dict) else None
        if error := first.get("error") or inner:
            return error
        if finish_in(first) == FAILED:
            return {"message": "gave up in the middle of a reply", "code": 500}
        return None
    words = answer.get("detail") or answer.get("message") or answer.get("msg")
    if words and not answer.get("data"):
        return words if isinstance(words, dict) else {**answer, "message": words}
    return None


def _fault(error: Any, answer: dict[str, Any]) -> Fault:
    if not isinstance(error, dict):
        error = {"message": error, "code": answer.get("code"), "type": answer.get("type")}
    message = error.get("message") or error.get("msg") or error.get("detail")
    words = message if isinstance(message, str) else json.dumps(message or error)
    kind = f"{error.get('code')} {error.get('type')} {error.get('param')}"
    return Fault(_status(error, f"{kind} {error.get('status')}", words), words, kind)


def _status(error: dict[str, Any], kind: str, words: str) -> int:
    for name in ("code", "status", "status_code", "http_status"):
        code = str(error.get(name) or "")
        if re.fullmatch(r"[45]\d\d", code):
            return int(code)
    for text in (kind, words):  # the code says more than the message
        for status, pattern in _STATUSES:
            if re.search(pattern, text, re.IGNORECASE):
                return status
    return 500
