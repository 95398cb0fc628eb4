"""Forms of replies, made for one call: a reply can cite only the ids of its call.

Evidence is cited by id. The allowed ids are an enum in the JSON schema, so that even a small model
cannot cite what does not exist.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import json_repair
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


def mended(reply: str, *, is_part: bool = False) -> Any:
    """Read JSON whose syntax is broken, if mending changes no value of it.

    Fences, chatter around it, quotes of the other kind, commas and brackets may be wrong. Where a
    mended value is not what the reply spells (an unescaped quote ends a string early, a key comes
    twice), nobody can say which is meant.

    Args:
        reply: The text.
        is_part: Whether the last value may be incomplete, since the caller drops it.

    Returns:
        The value; None if there is none, or more than one reading.
    """
    # json_repair may end a string at a comma before a bracket
    reply = fenced[1] if (fenced := _FENCED.fullmatch(reply)) else reply
    strict = _COMMA_TOO_MANY.sub(lambda match: match[1] or "", reply)
    if has_one_reading(strict):
        return json.loads(strict)
    try:
        value = json_repair.loads(reply)
    except (RecursionError, ValueError):  # endless brackets, which small models may write
        return None
    spelled, is_closed = _spelled(reply)
    values = list(_scalars(value))
    if is_closed or not spelled:
        return value if spelled and values == spelled else None
    if not is_part and reply.rstrip()[-1].isdigit():
        return None  # half a number is another number
    whole = len(spelled) - is_part
    fits = values[:whole] == spelled[:whole] and len(values) <= len(spelled) + 1
    return value if fits else None


def has_one_reading(reply: str) -> bool:
    """Whether no object of a JSON text has a key twice, of which readers take the last."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            raise ValueError("a key comes twice")
        return members

    try:
        json.loads(reply, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return False
    return True


def breaks_off(reply: str) -> bool:
    """Whether JSON ends within a string, or before the value or bracket that must follow.

    A reply that lacks only its last brackets does not break off: all of its values are there.
    """
    rest = _STRINGS.sub('""', fenced[1] if (fenced := _FENCED.fullmatch(reply)) else reply)
    rest = rest.rstrip("` \n")
    is_open = rest.count("{") + rest.count("[") > rest.count("}") + rest.count("]")
    return is_open and (rest.count('"') % 2 == 1 or not rest.endswith(('"', "}", "]")))


_STRING = r'"(?:[^"\\]|\\.)*+"'
_STRINGS = re.compile(_STRING, re.DOTALL)
_FENCED = re.compile(r"\s*```\w*\s*\n(.*?)\s*```\s*", re.DOTALL)
_COMMA_TOO_MANY = re.compile(rf"({_STRING})|,(?=\s*[\]}}])", re.DOTALL)
_TOKEN = re.compile(
    r"""\s+|(?P<open>[{\[])|(?P<close>[}\]])|[,:]
    |"(?P<double>(?:[^"\\]|\\.)*)(?:"|$)|'(?P<single>(?:[^'\\]|\\.)*)(?:'|$)
    |(?P<number>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])|(?P<word>[^\W\d]\w*)""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}


def _spelled(reply: str) -> tuple[list[Any], bool]:
    """The strings, numbers and words of the first JSON value in a text, in order.

    Returns:
        What it spells, and whether the value is closed; nothing if there is no value, or something
        in it is no part of one.
    """
    spelled: list[Any] = []
    start, depth = re.search(r"[{\[]", reply), 0
    place = start.start() if start else len(reply)
    while place < len(reply):
        if (token := _TOKEN.match(reply, place)) is None:
            return [], False
        place, kind = token.end(), token.lastgroup
        if kind in ("open", "close"):
            depth += 1 if kind == "open" else -1
            if depth == 0:
                return spelled, True
        elif kind in ("double", "single"):
            is_whole = len(token[0]) == len(token[kind]) + 2
            spelled.append(_string(token[kind], is_whole=is_whole))
        elif kind == "number":
            spelled.append(json.loads(token["number"]))
        elif kind == "word":
            spelled.append(_WORDS.get(token["word"], token["word"]))
    return spelled, False


def _string(body: str, *, is_whole: bool) -> str:
    try:
        value = str(json.loads(f'"{body}"', strict=False))
    except ValueError:
        value = body
    return value if is_whole else value.rstrip()


def _scalars(value: Any) -> Iterator[Any]:
    """The keys and values of a JSON value, in the order in which they are written."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from _scalars(member)
    elif isinstance(value, list):
        for member in value:
            yield from _scalars(member)
    else:
        yield value
