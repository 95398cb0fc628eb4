"""The cast of a graph: its run-time context, built from chat models and measures by its schema."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import Ge
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding, RunnableConfig
from langgraph.pregel import Pregel
from pydantic import BaseModel

from quillgraph.agents.judges import SAMPLES, Judge, PromptedJudge
from quillgraph.agents.role import Role
from quillgraph.backends.calls import Budget
from quillgraph.backends.capabilities import require
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.graphs.memory.memory import Memory

C = TypeVar("C")

TRAINS = ("token_ids", "logprobs")
"""Capabilities that a backend needs for its calls to become training rows."""


class CastModel(RunnableBinding[Any, Any]):
    """A chat model in a role: every call through it carries the role's name.

    It is a binding, not a copy, so all roles share the model's engine and limiter.
    """

    @property
    def role(self) -> str:
        """Name of the role."""
        return str((self.config.get("metadata") or {})["role"])

    def __getattr__(self, name: str) -> Any:
        attribute = super().__getattr__(name)
        # these two make a new runnable from the bare model, which would lose the role
        if name not in ("bind_tools", "with_structured_output"):
            return attribute
        return lambda *args, **options: attribute(*args, **options).with_config(self.config)


def in_role(model: BaseChatModel, role: str) -> CastModel:
    """Put a model into a role."""
    return CastModel(bound=model, config=RunnableConfig(metadata={"role": role}))


def with_roles(
    graph: Pregel[Any, Any, Any, Any],
    roles: Mapping[str, BaseChatModel],
    context: Any,
) -> Any:
    """Put each role's model into the field of the graph's run-time context with the role's name.

    A field of type `Role` gets a `Role`; any other field gets a `CastModel`.

    Args:
        graph: The compiled graph.
        roles: Role to model.
        context: The other fields of the context, as a dict or as the graph's context class.

    Raises:
        ConfigError: If the graph's context has no such field.
    """
    schema, fields = graph.context_schema, _fields(graph.context_schema)
    if roles and schema is None:
        raise ConfigError(
            f"the graph takes no context, so no model can play {', '.join(sorted(roles))}: give it "
            "a context_schema with a field for each role, or leave `roles` out and name the nodes "
            "to train"
        )
    if fields and (unknown := sorted(set(roles) - set(fields))):
        raise ConfigError(
            f"unknown role {unknown[0]!r}: {nearest(unknown[0], fields)}. A role is a field of the "
            f"graph's context, {getattr(schema, '__name__', schema)}"
        )
    for name, model in roles.items():
        if not isinstance(model, BaseChatModel):
            hint = f"; connect({model!r}) makes one" if isinstance(model, str) else ""
            raise ConfigError(
                f"expected a chat model for role {name!r}, got {type(model).__name__}{hint}"
            )
    parts = {
        name: Role(name, model) if fields.get(name) is Role else in_role(model, name)
        for name, model in roles.items()
    }
    if context is not None and not isinstance(context, Mapping):
        return dataclasses.replace(context, **parts) if parts else context
    if missing := sorted(_required(schema) - {*(context or {}), *parts}):
        raise ConfigError(
            f"the graph's context, {getattr(schema, '__name__', schema)}, needs "
            f"{', '.join(missing)}: give them in roles= or context="
        )
    return {**(context or {}), **parts} if context or parts else None


def check_trainable(trainable: Iterable[str], context: Any) -> None:
    """Refuse to train a role whose backend gives no token ids or log-probs.

    Raises:
        ConfigError: Naming the role, the backend and what it lacks.
    """
    models = dict(_players(context))
    for name in trainable:
        if name in models:
            require(models[name], name, *TRAINS)


def names_in(graph: Pregel[Any, Any, Any, Any], context: Any) -> frozenset[str]:
    """Names of roles that are known before the graph runs: cast roles and nodes."""
    graphs = [graph, *(inner for _, inner in graph.get_subgraphs(recurse=True))]
    nodes = {
        name for each in graphs for name in getattr(each, "nodes", ()) if not name.startswith("__")
    }
    return frozenset(nodes | {name for name, _ in _players(context)})


def _players(context: Any) -> Iterator[tuple[str, BaseChatModel]]:
    """The models in a context, each with its role."""
    if isinstance(context, Role):
        yield context.name, context.model
    elif isinstance(context, Mapping):
        for value in context.values():
            yield from _players(value)
    elif isinstance(context, list | tuple):
        for value in context:
            yield from _players(value)
    elif isinstance(context, CastModel):
        yield context.role, typing.cast(BaseChatModel, context.bound)
    elif dataclasses.is_dataclass(context) and not isinstance(context, type):
        for field in dataclasses.fields(context):
            yield from _players(getattr(context, field.name))


def _fields(schema: Any) -> dict[str, Any]:
    """Fields of a context class: name to type."""
    return {} if schema in (None, dict) else typing.get_type_hints(schema)


def _required(schema: Any) -> set[str]:
    """The fields of a context class that have no default."""
    if typing.is_typeddict(schema):
        return set(schema.__required_keys__)
    if dataclasses.is_dataclass(schema):
        return {
            each.name
            for each in dataclasses.fields(schema)
            if each.default is each.default_factory is dataclasses.MISSING
        }
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return {name for name, each in schema.model_fields.items() if each.is_required()}
    return set()


def roles_of(schema: Any) -> tuple[str, ...]:
    """Names of the context fields that a chat model plays."""
    return tuple(name for name, kind in _hints(schema).items() if _is_played(kind))


def judges_of(schema: Any) -> tuple[str, ...]:
    """Names of the context fields that a trained scorer can play."""
    return tuple(name for name, kind in _hints(schema).items() if kind is Judge)


def measures_of(schema: Any) -> tuple[str, ...]:
    """Names of the other context fields: numbers such as `rounds`, and a judge's `samples`."""
    if maker := _maker(schema):
        return tuple(name for name in inspect.signature(maker).parameters if name not in _PLAYERS)
    fields = _hints(schema).items()
    own = [n for n, kind in fields if not _is_played(kind) and kind not in (Embeddings, Memory)]
    return (*own, "samples") if judges_of(schema) else tuple(own)


def fitting(schema: Any, measures: Mapping[str, Any]) -> dict[str, Any]:
    """Select the measures that a context takes; a command has options for all graphs."""
    known = measures_of(schema)
    return {name: value for name, value in measures.items() if name in known}


def cast(
    schema: Callable[..., C] | None,
    model: BaseChatModel,
    *,
    roles: Mapping[str, BaseChatModel] | None = None,
    judges: Mapping[str, Judge] | None = None,
    embeddings: Embeddings | None = None,
    memory: Memory | None = None,
    seed: int = 0,
    budget: Budget | None = None,
    **measures: Any,
) -> C:
    """Make the context that a graph declares, such as a `Study` or a `Workshop`.

    Each field of type `Role`, `Judge`, `BaseChatModel`, `Embeddings` or `Memory` gets a value of
    that type, under its own name; any other field gets the measure of its name. Notes in
    `Annotated` are enforced: `Ge(2)` on a number, `Needs("json_schema")` on the model of a role. A
    class with a class method `of` is made by that method.

    Args:
        schema: The graph's `context_schema`: a dataclass, a pydantic model or a TypedDict; None
            for a graph that takes no context.
        model: Plays every role that is not named in `roles`.
        roles: Role to another model.
        judges: Role to a trained scorer that plays it in place of a model.
        embeddings: For the field of that type.
        memory: For the field of that type.
        seed: Common seed; each role derives its own from it.
        budget: Limit on what all roles spend together; None sets no limit.
        measures: The other fields, by name, and `samples`, the votes of a judge that is a model.

    Returns:
        A value of the schema; None without a schema.

    Raises:
        ConfigError: On a role or measure that the context does not have, a measure out of range, a
            field that no value fits, or a model that lacks a capability its role needs.
    """
    _refuse_unknown("role", roles or {}, roles_of(schema))
    _refuse_unknown("measure", measures, measures_of(schema))
    if schema is None:
        return None  # type: ignore[return-value]  # a graph without a context runs with None
    offers = {
        "model": model, "roles": roles or {}, "judges": judges or {}, "embeddings": embeddings,
        "memory": memory, "seed": seed, "budget": budget or Budget(),
    }  # fmt: skip
    if maker := _maker(schema):
        takes = inspect.signature(maker).parameters
        context: C = maker(
            **{name: value for name, value in offers.items() if name in takes}, **measures
        )
        return context
    ensemble = _Ensemble(**offers, measures=measures)  # type: ignore[arg-type]
    return schema(**_parts(schema, ensemble))


_PLAYERS = ("model", "roles", "judges", "embeddings", "memory", "seed", "budget")


@dataclass(frozen=True, slots=True)
class Needs:
    """Capabilities that a role needs of its model, as a note on the field."""

    capability: str


StructuredRole = Annotated[Role, Needs("json_schema")]
"""A role whose replies follow a JSON schema."""

StructuredJudge = Annotated[Judge, Needs("json_schema")]


@dataclass(frozen=True, slots=True)
class _Ensemble:
    """The parts that a context can be made from."""

    model: BaseChatModel
    roles: Mapping[str, BaseChatModel]
    judges: Mapping[str, Judge]
    embeddings: Embeddings | None
    memory: Memory | None
    seed: int
    budget: Budget
    measures: Mapping[str, Any]

    def part(self, kind: Any, name: str, notes: tuple[Any, ...]) -> Any:
        """The value for a field of this type and name; None if the ensemble has none."""
        if kind is Judge and name in self.judges:
            return self.judges[name]
        if _is_played(kind):
            return self._player(kind, name, notes)
        if kind is Embeddings:
            return self.embeddings
        if kind is Memory:
            return self.memory
        value = self.measures.get(name)
        _check_least(name, value, *(note.ge for note in notes if isinstance(note, Ge)))
        return value

    def _player(self, kind: Any, name: str, notes: tuple[Any, ...]) -> Any:
        model = self.roles.get(name, self.model)
        for note in notes:
            if isinstance(note, Needs):
                require(model, name, note.capability)
        if kind is Role:
            return Role(name, model, self.seed, self.budget)
        if kind is Judge:
            samples = self.measures.get("samples", SAMPLES)
            _check_least("samples", samples, 1)
            return PromptedJudge((Role(name, model, self.seed, self.budget),), samples)
        return in_role(model, name)


def _parts(schema: Any, ensemble: _Ensemble) -> dict[str, Any]:
    parts = {}
    for name, annotated in get_type_hints(schema, include_extras=True).items():
        kind, notes = _bare(annotated)
        if (part := ensemble.part(kind, name, notes)) is not None:
            parts[name] = part
        elif name in _required(schema):
            raise ConfigError(
                f"the graph's context {schema.__name__} needs {name!r} of type {kind}, which a "
                "run cannot make; give it a default, or a type among Role, Judge, BaseChatModel, "
                "Embeddings and Memory"
            )
    return parts


def _maker(schema: Any) -> Callable[..., Any] | None:
    maker = getattr(schema, "of", None)
    return maker if callable(maker) else None


def _bare(annotated: Any) -> tuple[Any, tuple[Any, ...]]:
    """A field's type, without `Annotated` and `| None`, and its notes."""
    kind, *notes = get_args(annotated) if get_origin(annotated) is Annotated else (annotated,)
    if get_origin(kind) in (typing.Union, UnionType):
        kinds = [each for each in get_args(kind) if each is not type(None)]
        kind = kinds[0] if len(kinds) == 1 else kind
    return kind, tuple(notes)


def _hints(schema: Any) -> dict[str, Any]:
    hints = {} if schema is None else get_type_hints(schema, include_extras=True)
    return {name: _bare(each)[0] for name, each in hints.items()}


def _is_chat(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseChatModel)


def _is_played(kind: Any) -> bool:
    return kind in (Role, Judge) or _is_chat(kind)


def _check_least(name: str, value: Any, *least: Any) -> None:
    for bound in least:
        if value is not None and value < bound:
            raise ConfigError(f"expected {name} of {bound} or more, got {value}")


def _refuse_unknown(what: str, names: Iterable[str], known: tuple[str, ...]) -> None:
    for name in sorted(set(names) - set(known)):
        if not known:
            raise ConfigError(f"unknown {what} {name!r}: the graph's context has no {what}s")
        raise ConfigError(f"unknown {what} {name!r}: {nearest(name, known)}")
