"""Which model plays which role in a graph, and which names a role can have there.

Who plays in a graph: its run-time context, made from chat models and measures by its schema.
"""

import dataclasses
import inspect
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

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

TRAINS = ("token_ids", "logprobs")
"""What a backend must give for its calls to become rows."""


class CastModel(RunnableBinding[Any, Any]):
    """A chat model in a role: every call that is made through it carries the role's name.

    It is a binding and no copy, so the model's engine and limiter stay the ones that all share.
    """

    @property
    def role(self) -> str:
        """Name of the role."""
        return str((self.config.get("metadata") or {})["role"])

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        # these two make a new runnable of the bare model, which would know nothing of the role
        if name not in ("bind_tools", "with_structured_output"):
            return found
        return lambda *args, **options: found(*args, **options).with_config(self.config)


def cast(model: BaseChatModel, role: str) -> CastModel:
    """Put a model into a role."""
    return CastModel(bound=model, config=RunnableConfig(metadata={"role": role}))


def context_of(
    graph: Pregel[Any, Any, Any, Any],
    roles: Mapping[str, BaseChatModel],
    context: Any,
) -> Any:
    """Hand each role's model to the graph, in the field of its run-time context of that name.

    A field of type `Role` gets a `Role`, any other a `CastModel`.

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
            f"the graph takes no context, so nothing can play {', '.join(sorted(roles))}: give it "
            "a context_schema with a field for each role, or leave `roles` out and name the nodes "
            "that are to be trained"
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
        name: Role(name, model) if fields.get(name) is Role else cast(model, name)
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
    """Refuse to train a role whose backend is known to give no token ids or log-probs.

    Raises:
        ConfigError: Naming the role, the backend and what it lacks.
    """
    models = dict(_players(context))
    for name in trainable:
        if name in models:
            require(models[name], name, *TRAINS)


def names_in(graph: Pregel[Any, Any, Any, Any], context: Any) -> frozenset[str]:
    """The names that a role can be known by before the graph has run: roles and nodes."""
    graphs = [graph, *(inner for _, inner in graph.get_subgraphs(recurse=True))]
    nodes = {
        name for each in graphs for name in getattr(each, "nodes", ()) if not name.startswith("__")
    }
    return frozenset(nodes | {name for name, _ in _players(context)})


def _players(context: Any) -> Iterator[tuple[str, BaseChatModel]]:
    """The models that a context is seen to hold, with the roles that they play."""
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
    """Name to type of the fields of a context class."""
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


@dataclass(frozen=True, slots=True)
class Ensemble:
    """What a context can be made of."""

    model: BaseChatModel
    """Plays every role that is not named in `roles`."""
    embeddings: Embeddings
    roles: Mapping[str, BaseChatModel] = field(default_factory=dict)
    judges: Mapping[str, Judge] = field(default_factory=dict)
    """Trained scorers, by the role that they stand for."""
    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    memory: Memory | None = None
    measures: Mapping[str, int] = field(default_factory=dict)
    """Numbers by name, such as `rounds` and `text_tokens`; a context takes those that it has."""

    def part(self, kind: Any, name: str) -> Any:
        """What a field of this type and name gets; None if the ensemble has nothing like it."""
        model = self.roles.get(name, self.model)
        if kind is Role:
            return Role(name, model, self.seed, self.budget)
        if kind is Judge and name in self.judges:
            return self.judges[name]
        if kind is Judge:
            role = Role(name, model, self.seed, self.budget)
            return PromptedJudge((role,), self.measures.get("samples", SAMPLES))
        if _is_chat(kind):
            return cast(model, name)
        if kind is Embeddings:
            return self.embeddings
        return self.measures.get(name)


def roles_of(schema: Any) -> tuple[str, ...]:
    """Names of the parts of a context that a chat model plays."""
    return tuple(
        name for name, kind in _hints(schema).items() if kind in (Role, Judge) or _is_chat(kind)
    )


def judges_of(schema: Any) -> tuple[str, ...]:
    """Names of those parts that a trained scorer can stand for."""
    return tuple(name for name, kind in _hints(schema).items() if kind is Judge)


def context_for(schema: Any, ensemble: Ensemble) -> Any:
    """Make the context that a graph declares.

    A class that says how it is made, by a class method `of` like those of `Study` and
    `Workshop`, is made so. Else each field of type `Role`, `Judge`, `BaseChatModel` or
    `Embeddings` gets what it asks for, under its own name; a field named like a measure gets that.

    Args:
        schema: The graph's `context_schema`: a dataclass, a pydantic model or a TypedDict; None
            for a graph that takes no context.
        ensemble: What there is.

    Returns:
        A value of the schema, or None where there is none.

    Raises:
        ConfigError: On a role that the context does not have, or a field that nothing fits.
    """
    _refuse_unknown_roles(schema, ensemble)
    if schema is None:
        return None
    if callable(maker := getattr(schema, "of", None)):
        offers = {**ensemble.measures, **{f.name: getattr(ensemble, f.name) for f in _FIELDS}}
        takes = inspect.signature(maker).parameters
        return maker(**{name: value for name, value in offers.items() if name in takes})
    given = {}
    for name, kind in _hints(schema).items():
        if (part := ensemble.part(kind, name)) is not None:
            given[name] = part
        elif name in _required(schema):
            raise ConfigError(
                f"the graph's context {schema.__name__} needs {name!r} of type {kind}, which a "
                "run cannot give; give it a default, or a type among Role, Judge, BaseChatModel "
                "and Embeddings"
            )
    return schema(**given)


_FIELDS = dataclasses.fields(Ensemble)


def _is_chat(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseChatModel)


def _hints(schema: Any) -> dict[str, Any]:
    return {} if schema is None else get_type_hints(schema)


def _refuse_unknown_roles(schema: Any, ensemble: Ensemble) -> None:
    known = roles_of(schema)
    for name in sorted(set(ensemble.roles) - set(known)):
        if not known:
            raise ConfigError(f"unknown role {name!r}: the graph's context has no roles")
        raise ConfigError(f"unknown role {name!r}: {nearest(name, known)}")
