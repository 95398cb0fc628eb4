"""Backends by name: a short string, or its fields, become a chat model."""

import importlib
from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import parse_qsl

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.langchain import OWN_OPTIONS, foreign_model
from quillgraph.backends.weights.builtin import resolve

BackendKind = Literal[
    "vllm", "vllm-server", "transformers", "openai", "scripted", "cassette", "langchain"
]

CLASSES: dict[str, tuple[str, str]] = {
    "vllm": ("quillgraph.backends.vllm.chat", "VllmChat"),
    "vllm-server": ("quillgraph.backends.servers.vllm", "VllmServerChat"),
    "transformers": ("quillgraph.backends.transformers.chat", "TransformersChat"),
    "openai": ("quillgraph.backends.servers.openai", "OpenAIChat"),
    "scripted": ("quillgraph.backends.scripted", "ScriptedChat"),
    "cassette": ("quillgraph.backends.cassette.chat", "CassetteChat"),
    "langchain": ("quillgraph.backends.langchain", "ForeignChat"),
}

SERVED = ("openai", "vllm-server")
"""Kinds whose spec has a place for an address: `KIND:MODEL@URL`."""

NOT_OPTIONS = {*BaseChatModel.model_fields, "model", "base_url", "path", "reply", "api_key", "chat"}
"""Fields that a spec does not set: LangChain's own, those it has a place for, and the key, which
stays in the environment (`api_key_env`)."""


class BackendSpec(BaseModel):
    """Which backend: `KIND:MODEL[@URL][?option=value&…]`, taken apart.

    The options are the fields of the backend's class; `connect` refuses any other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: BackendKind
    model: str = Field(min_length=1)
    """Name of the model; the file, for `scripted` and `cassette`."""
    base_url: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a spec such as `vllm:smollm2-135m` or `openai:qwen@http://127.0.0.1:8000/v1`.

        Raises:
            ConfigError: On an unknown kind, a missing model or a broken option.
        """
        kind, colon, rest = text.partition(":")
        if kind == "scorer":
            raise ConfigError(
                f"{text!r} gives scores and no words: a trained scorer can be a judge and nothing "
                "else, for example --judge scorer:FOLDER"
            )
        if kind not in get_args(BackendKind):
            raise ConfigError(
                f"unknown backend kind {kind!r}: {nearest(kind, get_args(BackendKind))}"
            )
        named, _, query = rest.partition("?")
        model, _, url = named.partition("@") if kind in SERVED else (named, "", "")
        if not colon or not model:
            raise ConfigError(f"expected KIND:MODEL, got {text!r}; for example vllm:smollm2-135m")
        try:
            options = dict(parse_qsl(query, True, strict_parsing=True)) if query else {}
        except ValueError as error:
            raise ConfigError(f"expected option=value&option=value, got {query!r}") from error
        return cls(kind=kind, model=model, base_url=url or None, options=options)  # type: ignore[arg-type]  # checked above


def connect(spec: str | BackendSpec, **options: Any) -> ChatBackend:
    """Make the backend that a spec names.

    Nothing is loaded or called yet, but for a built-in model that has to be fetched first: an
    engine starts with its first call.

    Args:
        spec: `KIND:MODEL[@URL][?option=value&…]`, or a `BackendSpec`.
        options: Further options; they win over those of the spec.

    Raises:
        ConfigError: If the kind, the model or an option does not exist, or a package is missing.
    """
    parsed = BackendSpec.parse(spec) if isinstance(spec, str) else spec
    module, name = CLASSES[parsed.kind]
    kind: type[ChatBackend] = getattr(importlib.import_module(module), name)
    fields = {**parsed.options, **options}
    arguments: dict[str, Any] = {}
    if parsed.kind == "langchain":
        arguments = {name: each for name, each in fields.items() if name not in OWN_OPTIONS}
        fields = {name: each for name, each in fields.items() if name in OWN_OPTIONS}
    known = set(kind.model_fields) - NOT_OPTIONS
    if unknown := sorted(set(fields) - known):
        raise ConfigError(
            f"unknown option {unknown[0]!r} of backend {parsed.kind!r}: "
            f"{nearest(unknown[0], known)}"
        )
    try:
        return kind(**_place(parsed, arguments), **fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or parsed.kind
        raise ConfigError(f"backend {parsed.kind!r}, {where}: {first['msg']}") from error


def _place(spec: BackendSpec, arguments: dict[str, Any]) -> dict[str, Any]:
    if spec.kind == "langchain":
        return {"chat": foreign_model(spec.model, arguments)}
    if spec.kind in ("scripted", "cassette"):
        return {"path": Path(spec.model)}
    if spec.kind == "openai" or spec.base_url:
        return {"model": spec.model, "base_url": spec.base_url}
    return {"model": resolve(spec.model)}
