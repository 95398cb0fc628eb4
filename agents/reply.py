"""Forms of replies, made for one call: a reply can cite only the ids of its call.

Evidence is cited by id. The allowed ids are an enum in the JSON schema, so that even a small model
cannot cite what does not exist.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a number, got {value}")
    return value


NO_BOOLEAN = BeforeValidator(_no_boolean)
"""Refuses booleans as a number: pydantic reads `true` as 1, the worst score from 1 to 10.

Bounds stand before it in the annotation: after it they leave the JSON schema."""


def form(title: str, /, **fields: Any) -> type[BaseModel]:
    """Make a pydantic model of required fields that refuses any other."""
    required: dict[str, Any] = {
        field: kind if isinstance(kind, tuple) else (kind, ...) for field, kind in fields.items()
    }
    return create_model(title, __config__=ConfigDict(extra="forbid"), **required)


def one_of(choices: Iterable[str]) -> Any:
    """The type of one of these strings."""
    return Literal[tuple(choices)]


def some_of(choices: Iterable[str], most: int | None = None) -> Any:
    """The type of a list of at least one of these strings, and at most `most`."""
    allowed = tuple(choices)
    listed: Any = list[Literal[allowed]]  # type: ignore[valid-type]  # values of this call
    return Annotated[
        listed, Field(min_length=1, max_length=min(most or len(allowed), len(allowed)))
    ]


def text(least: int, most: int) -> Any:
    """The type of a string of `least` to `most` characters."""
    return Annotated[str, Field(min_length=least, max_length=most)]


def whole_number(least: int, most: int) -> Any:
    """The type of a whole number from `least` to `most`; a boolean is none."""
    return Annotated[int, Field(ge=least, le=most), NO_BOOLEAN]
