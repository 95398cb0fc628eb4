"""Any other LangChain chat model, for the roles that are not trained.

This module turns errors of other packages into those of our own tree, without importing these
packages.
"""

import importlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from pydantic import Field, PrivateAttr, ValidationError

from quillgraph.backends.calls.redaction import Redaction, is_secret
from quillgraph.backends.calls.scope import silence
from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion
from quillgraph.backends.errors import (
    BackendError,
    ConfigError,
    ContextOverflow,
    QuillError,
    RateLimited,
    Refused,
    ReplyError,
    ServerFailed,
    Unreachable,
    nearest,
)
from quillgraph.backends.messages.fault import fault_in
from quillgraph.backends.messages.finish import FAILED, FILTER, finish_in
from quillgraph.backends.messages.reply import schema_in_words
from quillgraph.backends.messages.turn import calls_in, message_of, whole_characters
from quillgraph.moved import advice

logger = logging.getLogger(__name__)

SAMPLING = ("temperature", "top_p", "max_tokens", "seed")
"""Call options that are set on the model, if its class has fields of these names."""


class ForeignChat(ChatBackend):
    """A LangChain chat model of another package, wrapped as a backend of this package.

    It declares only the capabilities that its options ask for, and tools if its class takes them.
    Without a `schema_mode` it serves only roles that write free text. It returns no token ids, so
    a role that it plays cannot be trained. It does not retry: the wrapped model does that itself.

    Args:
        chat: The model.
        schema_mode: How to ask it for JSON: `native` uses its own structured output, `prompt`
            puts the schema into the prompt, None does not ask.
        items_per_call: How many items a role may put into one call; above 1, roles let it write
            in its own words (`Capabilities`).
        context_tokens: Its window in tokens; None if unknown.
        own_sampling: Keep the model's own temperature and top-p.

    Raises:
        ConfigError: If `schema_mode` is `native` and the class has no structured output.
    """

    model: str = ""
    chat: BaseChatModel
    schema_mode: Literal["native", "prompt"] | None = None
    items_per_call: int = Field(default=1, ge=1)
    context_tokens: int | None = Field(default=None, gt=0)
    own_sampling: bool = False
    _redaction: Redaction = PrivateAttr(default_factory=Redaction)
    _warned: set[str] = PrivateAttr(default_factory=set)

    def __init__(self, **fields: Any) -> None:
        chat = fields.get("chat")
        for name in ("temperature", "top_p", "max_tokens"):
            if (own := getattr(chat, name, None)) is not None:
                fields.setdefault(name, own)
        super().__init__(**fields)
        model_name = getattr(self.chat, "model_name", None) or getattr(self.chat, "model", None)
        self.model = str(model_name or type(self.chat).__name__)
        self._redaction.learn(self.chat)
        kind = type(self.chat)
        if self.schema_mode == "native" and (
            kind.with_structured_output is BaseChatModel.with_structured_output
            and kind.bind_tools is BaseChatModel.bind_tools
        ):
            raise ConfigError(
                f"{kind.__name__} has no structured output of its own; expected schema_mode "
                "'prompt', got 'native'"
            )

    @classmethod
    def spec_options(cls) -> frozenset[str] | None:
        """None: the class that the spec names has options too, and `foreign_model` checks them."""
        return None

    @classmethod
    def from_spec(cls, model: str, base_url: str | None, options: Mapping[str, Any]) -> Self:
        """Make the chat model of `langchain:package.Class?argument=value`."""
        arguments = {name: each for name, each in options.items() if name not in OWN_OPTIONS}
        own = {name: each for name, each in options.items() if name in OWN_OPTIONS}
        return cls(chat=foreign_model(model, arguments), **own)

    @classmethod
    def spec_identity(cls, model: str, options: Mapping[str, Any]) -> str:
        """The class and its `model` argument."""
        return f"{model}:{options.get('model', '')}"

    @property
    def capabilities(self) -> Capabilities:
        """What its options ask for, and tools if the class takes them."""
        return Capabilities(
            json_schema=self.schema_mode is not None,
            tools=type(self.chat).bind_tools is not BaseChatModel.bind_tools,
            items_per_call=self.items_per_call,
            context_tokens=self.context_tokens,
        )

    @property
    def _llm_type(self) -> str:
        return f"quillgraph-langchain-{self.chat._llm_type}"

    async def _complete(self, request: ChatRequest) -> Completion:
        try:
            with silence():  # the call around is heard
                message, text = await self._ask(request)
        except QuillError:
            raise
        except Exception as error:  # noqa: BLE001  # other packages' errors have no common root
            # not `from error`: an SDK's error holds its request, and with it the key
            raise translated(error, self.model, self._redaction) from None
        return self._completion(message, text, request)

    def _completion(self, message: AIMessage, text: str, request: ChatRequest) -> Completion:
        reason = finish_in(message.response_metadata)
        if reason == FILTER:
            raise Refused(f"a content filter cut the reply of {self.model}; change the request")
        if reason == FAILED:
            raise ServerFailed(f"{self.model} gave up in the middle of a reply")
        calls = calls_in(message) if request.tools else ()
        if not (text or calls or request.has_user):
            raise Refused(f"{self.model} answered with an empty text")
        # some classes for tests answer with other kinds of message
        usage = getattr(message, "usage_metadata", None)
        if usage is None:
            self._warn_once("usage", "%s reports no usage: its tokens are unknown", self.model)
        return Completion(
            text=whole_characters(text),
            reasoning=whole_characters(_reasoning(message)),
            finish_reason=reason,
            prompt_tokens=usage["input_tokens"] if usage else None,
            completion_tokens=usage["output_tokens"] if usage else None,
            cached_tokens=usage.get("input_token_details", {}).get("cache_read") if usage else None,
            tool_calls=calls,
        )

    async def _ask(self, request: ChatRequest) -> tuple[AIMessage, str]:
        settings = self._settings(request)
        if self.chat.cache is None:  # the call around has looked there
            settings["cache"] = False
        chat = self.chat.model_copy(update=settings)
        messages = [message_of(turn) for turn in request.messages]
        # no handler gets the inner call: it would be recorded and paid for twice
        quiet: Any = {"callbacks": []}
        stop = {"stop": list(request.stop)} if request.stop else {}
        if request.tools:
            choice = {"tool_choice": request.tool_choice} if request.tool_choice else {}
            bound = chat.bind_tools(list(request.tools), **choice)
            message = await bound.ainvoke(messages, quiet, **stop)
            return message, str(message.text)
        if request.json_schema is None:
            message = await chat.ainvoke(messages, quiet, **stop)
            return message, str(message.text)
        if self.schema_mode == "native":
            schema = {"title": "reply", **request.json_schema}
            structured = chat.with_structured_output(schema, include_raw=True)
            answer: Any = await structured.ainvoke(messages, quiet)
            raw: AIMessage = answer["raw"]
            if answer["parsed"] is not None and not str(raw.text):  # it came as a tool call
                return raw, json.dumps(answer["parsed"], ensure_ascii=False)
            return raw, str(raw.text)
        # at the end of the last message: not every model takes two turns of one role in a row
        messages[-1] = type(messages[-1])(
            f"{messages[-1].content}\n\n{schema_in_words(request.json_schema)}"
        )
        message = await chat.ainvoke(messages, quiet, **stop)
        return message, str(message.text)

    def _settings(self, request: ChatRequest) -> dict[str, Any]:
        """The options of a call that the model supports."""
        settings = {name: getattr(request, name) for name in SAMPLING}
        if self.own_sampling:
            del settings["temperature"], settings["top_p"]
        accepted = {
            name: each for name, each in settings.items() if name in type(self.chat).model_fields
        }
        for name in sorted(set(settings) - set(accepted)):
            self._warn_once(
                name, "%s takes no %s; it samples as it is set up itself", self.model, name
            )
        return accepted

    def _warn_once(self, subject: str, template: str, *about: str) -> None:
        """Warn about a subject, once."""
        if subject not in self._warned:
            self._warned.add(subject)
            logger.warning(template, *about)


def _reasoning(message: AIMessage) -> str:
    """What the model thought, where its class keeps it apart."""
    blocks = message.content_blocks
    return "".join(str(each.get("reasoning", "")) for each in blocks if each["type"] == "reasoning")


OWN_OPTIONS = ("schema_mode", "items_per_call", "context_tokens", "own_sampling", "max_concurrency")
"""Options of a spec that are ours; all others are arguments of the model's class."""


def foreign_model(name: str, arguments: Mapping[str, Any]) -> BaseChatModel:
    """Make the chat model that `langchain:package.Class?arg=value` names.

    Args:
        name: The class, as `package.Class` or `package.module.Class`.
        arguments: Arguments of the class.

    Raises:
        ConfigError: If there is no such class, it is no chat model, or an argument does not fit.
    """
    kind = _class_of(name)
    fields = _fields_of(kind)
    for key, value in arguments.items():
        if key not in fields:
            raise ConfigError(
                f"unknown option {key!r} of backend 'langchain' and of {name}: "
                f"{nearest(key, {*fields, *OWN_OPTIONS})}"
            )
        if is_secret(key) or Redaction()(str(value)) != str(value):
            raise ConfigError(
                f"option {key!r} of {name} holds a secret, which would be recorded; leave it in "
                "the environment variable that the class reads, or make the object in Python"
            )
    try:
        return kind(**arguments)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or name
        raise ConfigError(f"{name}, {where}: {first['msg']}") from error
    except Exception as error:  # noqa: BLE001  # each SDK has its own error for a missing key
        raise ConfigError(f"{name} cannot be made: {Redaction()(str(error))[:400]}") from None


def _fields_of(kind: type[BaseChatModel]) -> set[str]:
    """Names of the arguments that a class's constructor takes."""
    fields = kind.model_fields.items()
    names = {*(name for name, _ in fields), *(f.alias for _, f in fields if f.alias)}
    return names - {"callbacks", "cache", "rate_limiter", "custom_get_token_ids"}


def _class_of(name: str) -> type[BaseChatModel]:
    module, dot, attribute = name.rpartition(".")
    if not dot:
        raise ConfigError(
            f"expected langchain:package.Class, got {name!r}; for example "
            "langchain:langchain_openai.ChatOpenAI?model=gpt-5-mini"
        )
    try:
        candidate = getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        package = module.split(".")[0].replace("_", "-")
        remedy = advice(module) or f"is it installed? pip install {package}"
        raise ConfigError(f"cannot import {module} ({error}); {remedy}") from error
    if not (isinstance(candidate, type) and issubclass(candidate, BaseChatModel)):
        raise ConfigError(f"expected a LangChain chat model class at {name}, got {candidate!r}")
    return candidate


_OVERFLOW = re.compile(
    r"context[ _](length|size|window)|maximum model length|too (long|many tokens)", re.IGNORECASE
)
_UNREAD = ("LengthFinishReason", "OutputParser")
"""Parts of class names of errors that mean a reply is incomplete or in the wrong format."""

_BY_NAME: tuple[tuple[str, type[BackendError]], ...] = (
    ("RateLimit", RateLimited),
    ("ResourceExhausted", RateLimited),
    ("Throttl", RateLimited),
    ("ContextOverflow", ContextOverflow),
    ("ContextWindow", ContextOverflow),
    ("Timeout", Unreachable),
    ("DeadlineExceeded", Unreachable),
    ("Connect", Unreachable),
    ("Unavailable", ServerFailed),
    ("InternalServer", ServerFailed),
    ("Authentication", Refused),
    ("PermissionDenied", Refused),
    ("NotFound", Refused),
    ("BadRequest", Refused),
)
"""Parts of class names, with our error class for an error that carries no status."""


def translated(error: Exception, model: str, redact: Callable[[str], str]) -> QuillError:
    """Translate an error of another package into our own tree.

    The HTTP status decides if the error carries one, else the names of its classes.

    Args:
        error: The error that the other package raised.
        model: Name of the model that was called.
        redact: Removes secrets from a text.
    """
    words = redact(" ".join(str(error).split()))[:400]
    message = f"{model}: {type(error).__name__}: {words}"
    if any(part in type(error).__name__ for part in _UNREAD):
        return ReplyError(f"a whole reply in the asked form from {model}", words)
    status = status_of(error)
    kind = _by_status(status, words) if status is not None else _by_name(error)
    return kind(message)


def status_of(error: Exception) -> int | None:
    """Read the HTTP status off an error; None if it carries none."""
    holders = (error, getattr(error, "response", None))
    if error.args and isinstance(error.args[0], dict):  # ChatOpenAI, of an error under status 200
        fault = fault_in(json.dumps({"error": error.args[0]}, default=str).encode())
        return fault.status if fault else None
    for holder in holders:
        for name in ("status_code", "status", "http_status", "code"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and 400 <= status < 600:
                return status
    return None


def _by_status(status: int, words: str) -> type[BackendError]:
    if status == 429:
        return RateLimited
    if status in (408, 504):
        return Unreachable
    if status >= 500:
        return ServerFailed
    return ContextOverflow if _OVERFLOW.search(words) and status in (400, 413) else Refused


def _by_name(error: Exception) -> type[BackendError]:
    if isinstance(error, TimeoutError | ConnectionError):
        return Unreachable
    names = [kind.__name__ for kind in type(error).__mro__]
    for part, kind in _BY_NAME:
        if any(part in name for name in names):
            return kind
    return BackendError
