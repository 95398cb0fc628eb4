"""Other packages' errors in our own tree."""

from typing import Any

import pytest

from quillgraph.backends.errors import (
    BackendError,
    ContextOverflow,
    RateLimited,
    Refused,
    ServerFailed,
    Unreachable,
)
from quillgraph.backends.langchain import status_of, translated


def error(name: str, said: str = "no", **fields: Any) -> Exception:
    """An error of another package, of a class of this name."""
    made: Exception = type(name, (Exception,), fields)(said)
    return made


class _Answer:
    status_code = 503


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (error("APIError", status_code=429), RateLimited),
        (error("APIError", status=401), Refused),
        (error("HTTPError", response=_Answer()), ServerFailed),
        (error("ApiError", code=408), Unreachable),
        (error("APIError", status_code=504), Unreachable),
        (error("APIError", "the model's context length is 9", status_code=400), ContextOverflow),
        (error("APIError", "prompt is too long: 9 tokens", status_code=413), ContextOverflow),
        (error("APIError", "the text is too long", status_code=422), Refused),
        # the status says more than the name
        (error("RateLimitError", status_code=500), ServerFailed),
        (error("RateLimitError"), RateLimited),
        (error("ReadTimeout"), Unreachable),
        (error("APIConnectionError"), Unreachable),
        (error("ConnectError"), Unreachable),
        (error("AuthenticationError"), Refused),
        (error("ServiceUnavailable"), ServerFailed),
        (TimeoutError("no"), Unreachable),
        (ConnectionRefusedError("no"), Unreachable),
        # a status that is none, and a name that says nothing
        (error("APIError", code="invalid_request", status_code=200), BackendError),
        (ValueError("no"), BackendError),
    ],
    ids=repr,
)
def test_an_error_is_told_by_its_status_or_else_by_its_names(
    raised: Exception, kind: type[BackendError]
) -> None:
    told = translated(raised, "m", str)
    assert type(told) is kind
    assert str(told) == f"m: {type(raised).__name__}: {raised}"


def test_names_of_base_classes_count_too() -> None:
    base = type("RateLimitError", (Exception,), {})
    assert type(translated(type("Quota", (base,), {})("no"), "m", str)) is RateLimited


def test_only_whole_numbers_from_400_to_599_are_statuses() -> None:
    assert [status_of(error("E", code=each)) for each in (399, 400, 599, 600, "429")] == [
        None, 400, 599, None, None,
    ]  # fmt: skip


def test_long_words_are_cut_after_the_secret_is_gone() -> None:
    told = translated(error("E", "x" * 398 + " key"), "m", lambda text: text.replace("key", "***"))
    assert str(told) == f"m: E: {'x' * 398} *"  # 400 characters: 398, a space, and one star
