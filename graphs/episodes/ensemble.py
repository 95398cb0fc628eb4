"""Who plays in a graph: its run-time context, made from chat models and measures by its schema."""

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints, is_typeddict

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel

from quillgraph.agents.judges.prompted import SAMPLES, Judge, PromptedJudge
from quillgraph.agents.role import Role
from quillgraph.backends.calls.budget import Budget
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.graphs.episodes.cast import cast
from quillgraph.graphs.memory.memory import Memory


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


def _required(schema: Any) -> set[str]:
    if is_typeddict(schema):
        return set(schema.__required_keys__)
    if issubclass(schema, BaseModel):
        return {name for name, each in schema.model_fields.items() if each.is_required()}
    missing = dataclasses.MISSING
    return {
        each.name
        for each in dataclasses.fields(schema)
        if each.default is missing and each.default_factory is missing
    }


def _refuse_unknown_roles(schema: Any, ensemble: Ensemble) -> None:
    known = roles_of(schema)
    for name in sorted(set(ensemble.roles) - set(known)):
        if not known:
            raise ConfigError(f"unknown role {name!r}: the graph's context has no roles")
        raise ConfigError(f"unknown role {name!r}: {nearest(name, known)}")
