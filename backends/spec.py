"""Backends by name: turns a short string, or its fields, into a chat model."""

import importlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Self
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ConfigError, nearest

BUILT_IN = {
    "vllm": "quillgraph.backends.vllm.chat:VllmChat",
    "vllm-server": "quillgraph.backends.servers.vllm:VllmServerChat",
    "transformers": "quillgraph.backends.transformers.chat:TransformersChat",
    "openai": "quillgraph.backends.servers.openai:OpenAIChat",
    "scripted": "quillgraph.backends.scripted:ScriptedChat",
    "cassette": "quillgraph.backends.cassette.chat:CassetteChat",
    "langchain": "quillgraph.backends.langchain:ForeignChat",
}
"""Built-in kinds, each with its `module:Class`."""

GROUP = "quillgraph.backends"
"""The entry-point group for backends of other packages; the name of an entry is its kind."""


@cache
def foreign_kinds() -> Mapping[str, EntryPoint]:
    """List the kinds that other installed packages offer, without importing these packages.

    No package can replace a built-in kind.
    """
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in BUILT_IN}


def backend_kinds() -> tuple[str, ...]:
    """All kinds that a spec may name, the built-in ones first."""
    return (*BUILT_IN, *foreign_kinds())


def backend_class(kind: str) -> type[ChatBackend]:
    """Import the class of a kind, without loading an engine.

    Raises:
        ConfigError: If there is no such kind, or another package's class cannot be loaded.
    """
    if kind in foreign_kinds():
        return _foreign_class(foreign_kinds()[kind])
    module, _, name = BUILT_IN[_checked(kind)].partition(":")
    built_in: type[ChatBackend] = getattr(importlib.import_module(module), name)
    return built_in


_HOST = r"localhost|\[[\da-f:]+\]|\d+(?:\.\d+){3}|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}"
_ADDRESS = re.compile(rf"@(?=https?://|(?:{_HOST})(?:[:/,]|$)|[\w.-]+:\d+(?:[/,]|$))", re.I)
"""Where a model's name ends and its address begins; another `@` belongs to the name, as in
`claude-haiku-4-5@20251001` and `@cf/meta/llama-3.1-8b-instruct`."""


class BackendSpec(BaseModel):
    """The parts of `KIND:MODEL[@URL][?option=value&…]`, which names a backend.

    The class of the kind decides what model, address and options mean (`ChatBackend.from_spec`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """One of `backend_kinds()`."""
    model: str = Field(min_length=1)
    """Name of the model; the file, for `scripted` and `cassette`."""
    base_url: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("kind")
    @classmethod
    def _of_a_known_kind(cls, kind: str) -> str:
        return _checked(kind)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a spec such as `vllm:smollm2-135m` or `openai:qwen@http://127.0.0.1:8000/v1`.

        Raises:
            ConfigError: If the kind is unknown, the model is missing or an option is malformed.
        """
        kind, colon, rest = text.partition(":")
        if kind == "scorer":
            raise ConfigError(
                f"{text!r} gives scores and no words: a trained scorer can only be a judge, "
                "for example --judge scorer:FOLDER"
            )
        takes_address = backend_class(kind).takes_address
        place, _, query = rest.partition("?")
        found = _ADDRESS.search(place) if takes_address else None
        model, url = (place[: found.start()], place[found.end() :]) if found else (place, "")
        if not colon or not model:
            raise ConfigError(f"expected KIND:MODEL, got {text!r}; for example vllm:smollm2-135m")
        try:
            options = dict(parse_qsl(query, True, strict_parsing=True)) if query else {}
        except ValueError as error:
            raise ConfigError(f"expected option=value&option=value, got {query!r}") from error
        return cls(kind=kind, model=model, base_url=url or None, options=options)


def connect(spec: str | BackendSpec, **options: Any) -> ChatBackend:
    """Make the backend that a spec names.

    An engine starts with its first call, so nothing is loaded or called yet. Only a built-in
    model that is missing is fetched now.

    Args:
        spec: `KIND:MODEL[@URL][?option=value&…]`, or a `BackendSpec`.
        options: Further options; they override those of the spec.

    Raises:
        ConfigError: If the kind, the model or an option does not exist, or a package is missing.
    """
    parsed = BackendSpec.parse(spec) if isinstance(spec, str) else spec
    backend = backend_class(parsed.kind)
    fields = {**parsed.options, **options}
    valid = backend.spec_options()
    if valid is not None and (unknown := sorted(set(fields) - valid)):
        raise ConfigError(
            f"unknown option {unknown[0]!r} of backend {parsed.kind!r}: "
            f"{nearest(unknown[0], valid)}"
        )
    try:
        return backend.from_spec(parsed.model, parsed.base_url, fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or parsed.kind
        raise ConfigError(f"backend {parsed.kind!r}, {where}: {first['msg']}") from error


def _checked(kind: str) -> str:
    if kind not in backend_kinds():
        raise ConfigError(f"unknown backend kind {kind!r}: {nearest(kind, backend_kinds())}")
    return kind


def _foreign_class(point: EntryPoint) -> type[ChatBackend]:
    package = point.dist.name if point.dist else "its package"
    where = f"backend {point.name!r} of {package}"
    try:
        candidate = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{where} cannot be loaded from {point.value}: {error}") from error
    if not (isinstance(candidate, type) and issubclass(candidate, ChatBackend)):
        raise ConfigError(
            f"{where}: expected a subclass of quillgraph.backends.ChatBackend at {point.value}, "
            f"got {candidate!r}"
        )
    return candidate
