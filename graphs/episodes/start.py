"""What a graph starts from: plain data made into the typed values that its state declares."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.requests import writing_task
from quillgraph.backends.errors import InputError, nearest
from quillgraph.graphs.episodes.episode import WAYS
from quillgraph.graphs.episodes.source import Graph


@dataclass(frozen=True, slots=True)
class TaskStart:
    """What one run of a graph begins with."""

    task: WritingTask
    rest: dict[str, Any]
    """The other parts of the graph's input."""


def schema_of(graph: Graph, kind: str) -> Any:
    """The `input_schema` or `context_schema` that a graph was declared with; None without one."""
    return getattr(getattr(graph, "builder", graph), kind, None)


def parts_of(graph: Graph, kind: str) -> dict[str, Any]:
    """Names and types, without reducers, of a graph's `input_schema` or `output_schema`."""
    hints = get_type_hints(schema_of(graph, kind), include_extras=True)
    return {name: _bare(each) for name, each in hints.items()}


def start_of(graph: Graph, data: Mapping[str, Any]) -> TaskStart:
    """Read what a graph starts from out of plain data, such as a JSON object.

    `request` holds the request in words, whichever way the graph takes it; the other names are
    those of the graph's input. Of a graph that takes no request in any way, the data are the task.

    Raises:
        InputError: On a name that the graph does not take, or a value that does not fit.
    """
    takes = parts_of(graph, "input_schema")
    rest = {name: value for name, value in data.items() if name != "request"}
    if unknown := sorted(set(rest) - set(takes)):
        guess = nearest(unknown[0], {*takes, "request"} - {"task"})
        raise InputError(f"the graph takes no {unknown[0]!r}: {guess}")
    typed = {name: _value(name, takes[name], value) for name, value in rest.items()}
    task = typed.pop("task", None)
    if isinstance(task, WritingTask) and "request" not in data:
        return TaskStart(task, typed)
    if "request" in data:
        return TaskStart(_task(data["request"]), typed)
    if set(takes) & set(WAYS) - set(typed) or not data:
        raise InputError("expected a request, got none; give it as `request`")
    return TaskStart(writing_task(json.dumps(data, ensure_ascii=False, default=str)), typed)


def complete_start(graph: Graph, data: Mapping[str, Any]) -> TaskStart:
    """Read a start as `start_of` does, and check that nothing is missing which the graph needs.

    A graph says what it needs by an input schema of its own: a `TypedDict` with required keys. A
    schema that is the whole state says nothing, as most of a state is made on the way.

    Raises:
        InputError: As `start_of` does, and naming the fields that are missing.
    """
    start = start_of(graph, data)
    schema = schema_of(graph, "input_schema")
    if schema is schema_of(graph, "state_schema"):
        return start
    needed: frozenset[str] = getattr(schema, "__required_keys__", frozenset())
    if missing := sorted(set(needed) - set(WAYS) - set(start.rest)):
        example = ", ".join(f'"{name}": …' for name in ("request", *missing))
        raise InputError(
            f"expected the graph's input to have {', '.join(missing)} beside the request, got "
            f"{', '.join(sorted(start.rest)) or 'the request alone'}; give {_them(missing)} in a "
            f"JSON object, with --input FILE.json: {{{example}}}"
        )
    return start


def _them(missing: list[str]) -> str:
    return "it" if len(missing) == 1 else "them"


def _task(request: Any) -> WritingTask:
    if not isinstance(request, str):
        raise InputError(f"request: expected text, got {type(request).__name__}")
    return writing_task(request)


def _bare(kind: Any) -> Any:
    """The type without its reducer, and without the word on whether it must be there."""
    while get_origin(kind) in (Annotated, NotRequired, Required):
        kind = get_args(kind)[0]
    return kind


def _value(name: str, kind: Any, value: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except PydanticUserError:
        return value  # a type that only its graph understands
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join([name, *map(str, first["loc"])])
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{where}: {message}, got {str(first['input'])[:80]!r}") from error
