"""What the errors of other packages mean in our own tree, told without importing those packages."""

import re
from collections.abc import Callable

from quillgraph.backends.errors import (
    BackendError,
    ContextOverflow,
    QuillError,
    RateLimited,
    Refused,
    ReplyError,
    ServerFailed,
    Unreachable,
)

_OVERFLOW = re.compile(
    r"context[ _](length|size|window)|maximum model length|too (long|many tokens)", re.IGNORECASE
)
_UNREAD = ("LengthFinishReason", "OutputParser")
"""Parts of class names where the model has answered, but not to the end or not in the form."""

_BY_NAME: tuple[tuple[str, type[BackendError]], ...] = (
    ("RateLimit", RateLimited),
    ("ResourceExhausted", RateLimited),
    ("Throttl", RateLimited),
    ("ContextOverflow", ContextOverflow),
    ("ContextWindow", ContextOverflow),
    ("Timeout", Unreachable),
    ("DeadlineExceeded", Unreachable),
    ("Connect", Unreachable),
    ("Unavailable", ServerFailed),
    ("InternalServer", ServerFailed),
    ("Authentication", Refused),
    ("PermissionDenied", Refused),
    ("NotFound", Refused),
    ("BadRequest", Refused),
)
"""Parts of class names, and what they tell of an error that carries no status."""


def translated(error: Exception, model: str, shown: Callable[[str], str]) -> QuillError:
    """Find the error of our tree that says what another package's error says.

    The status decides where the error carries one, else the names of its classes.

    Args:
        error: What the other package raised.
        model: Name of the model that was asked.
        shown: Takes secrets out of a text.
    """
    told = shown(" ".join(str(error).split()))[:400]
    said = f"{model}: {type(error).__name__}: {told}"
    if any(part in type(error).__name__ for part in _UNREAD):
        return ReplyError(f"a whole reply in the asked form from {model}", told)
    status = status_of(error)
    kind = _by_status(status, told) if status is not None else _by_name(error)
    return kind(said)


def status_of(error: Exception) -> int | None:
    """The HTTP status that an error carries; None if it carries none."""
    holders = (error, getattr(error, "response", None))
    for holder in holders:
        for name in ("status_code", "status", "http_status", "code"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and 400 <= status < 600:
                return status
    return None


def _by_status(status: int, told: str) -> type[BackendError]:
    if status == 429:
        return RateLimited
    if status in (408, 504):
        return Unreachable
    if status >= 500:
        return ServerFailed
    return ContextOverflow if _OVERFLOW.search(told) and status in (400, 413) else Refused


def _by_name(error: Exception) -> type[BackendError]:
    if isinstance(error, TimeoutError | ConnectionError):
        return Unreachable
    names = [kind.__name__ for kind in type(error).__mro__]
    for part, kind in _BY_NAME:
        if any(part in name for name in names):
            return kind
    return BackendError
