"""What a graph starts from: plain data made into the typed values that its state declares."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.tasks import writing_task
from quillgraph.backends.errors import InputError, nearest

Graph = StateGraph[Any, Any, Any, Any] | CompiledStateGraph[Any, Any, Any, Any]

REQUEST, TASK = "request", "task"


def builder_of(graph: Graph) -> StateGraph[Any, Any, Any, Any]:
    """The graph as it was before it was compiled."""
    return graph.builder if isinstance(graph, CompiledStateGraph) else graph


def keys_of(graph: Graph) -> dict[str, Any]:
    """What the graph takes: names of its input and their types, without reducers."""
    hints = get_type_hints(builder_of(graph).input_schema, include_extras=True)
    return {name: _bare(kind) for name, kind in hints.items()}


def start_of(graph: Graph, data: Mapping[str, Any]) -> dict[str, Any]:
    """Read a graph's input from plain data, such as a JSON object.

    A `request` in words stands for the `task` of a graph that takes a `WritingTask`.

    Raises:
        InputError: On a name that the graph does not take, or a value that does not fit.
    """
    takes = keys_of(graph)
    given = dict(data)
    in_words = REQUEST not in takes and takes.get(TASK) is WritingTask
    if in_words and REQUEST in given:
        if TASK in given:
            raise InputError("expected a request or a task, got both; leave one of them out")
        given[TASK] = _task(given.pop(REQUEST))
    if unknown := sorted(set(given) - set(takes)):
        names = [*takes, REQUEST] if in_words else takes
        raise InputError(f"the graph takes no {unknown[0]!r}: {nearest(unknown[0], names)}")
    if not given:
        raise InputError(f"expected input for the graph, got none; it takes {', '.join(takes)}")
    return {name: _value(name, takes[name], value) for name, value in given.items()}


def _task(request: Any) -> WritingTask:
    if not isinstance(request, str):
        raise InputError(f"request: expected text, got {type(request).__name__}")
    return writing_task(request)


def _value(name: str, kind: Any, value: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except PydanticSchemaGenerationError:
        return value  # a type that only its graph understands
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join([name, *map(str, first["loc"])])
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{where}: {message}, got {str(first['input'])[:80]!r}") from error


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind
