"""Replies that follow a JSON schema: asked for in words, and read into a pydantic model."""

import json
from collections.abc import Callable
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ValidationError


def schema_in_words(schema: dict[str, Any]) -> str:
    """Ask for JSON of a schema, for models that cannot decode under one."""
    return (
        "Answer with one JSON object and nothing else. It must satisfy this JSON schema:\n"
        f"{json.dumps(schema, ensure_ascii=False)}"
    )


def reply_parser(schema: type[BaseModel], *, include_raw: bool) -> Callable[[BaseMessage], Any]:
    """Make what reads a message into a pydantic model.

    Args:
        schema: The model's class.
        include_raw: Whether it gives the message with its token trace as `raw` beside `parsed`,
            and with what does not parse a `parsing_error`, instead of raising that.
    """

    def parse(message: BaseMessage) -> BaseModel:
        # strictly: a repaired half of a reply would pass for the whole of it
        return schema.model_validate_json(str(message.content))

    def keep(message: BaseMessage) -> dict[str, Any]:
        try:
            return {"raw": message, "parsed": parse(message), "parsing_error": None}
        except ValidationError as error:
            return {"raw": message, "parsed": None, "parsing_error": error}

    return keep if include_raw else parse
