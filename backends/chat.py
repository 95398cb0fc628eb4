"""The base of all backends: a LangChain chat model that returns the tokens it sampled."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from quillgraph.backends.calls.budget import budgets_of, within
from quillgraph.backends.calls.listener import announced, direct_run
from quillgraph.backends.calls.place import Place
from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.errors import ConfigError, Refused, ServerFailed, nearest
from quillgraph.backends.messages.reply import reply_message, reply_parser
from quillgraph.backends.messages.request import OPTIONS, ChatRequest, Completion
from quillgraph.backends.messages.tools import offer
from quillgraph.backends.messages.trace import BASE
from quillgraph.backends.messages.turn import ChatTurn, half_character, turn_of
from quillgraph.backends.runtime.limits import Deadline, Limiter
from quillgraph.backends.runtime.loops import synchronous_calls

__all__ = [
    "ChatBackend",
    "ChatRequest",
    "ChatTurn",
    "Completion",
    "CompletionFn",
    "Tap",
]

CompletionFn = Callable[[ChatRequest], Awaitable[Completion]]

Tap = Callable[[ChatRequest, Place, CompletionFn], Awaitable[Completion]]
"""A function between a backend and its callers: it gets each call, and passes it on."""


@contextmanager
def _system_turns_named(request: ChatRequest) -> Iterator[None]:
    """Name what is likely the cause where a model fails at a prompt of system turns alone."""
    try:
        yield
    except (Refused, ServerFailed) as error:
        if not request.has_user and SYSTEM_ALONE not in str(error):
            error.args = (f"{error}; {SYSTEM_ALONE}", *error.args[1:])
        raise


SYSTEM_ALONE = (
    "the prompt has system turns alone, which not every model takes: add a turn of the user"
)

_NOT_OPTIONS = frozenset({*BaseChatModel.model_fields, "model", "base_url", "api_key"})
"""Fields that are no options of a spec: LangChain's own, the model and the address, which have
their own place in a spec, and the key, which stays in the environment (`api_key_env`)."""


class ChatBackend(BaseChatModel, ABC):
    """What the native backends share: request building, limiter, trace on the message.

    A subclass answers one `ChatRequest` with one `Completion` in `_complete`, raises nothing
    but `BackendError`s there, and declares its `capabilities`. Per call, `temperature`,
    `top_p`, `max_tokens`, `seed`, `stop` and `json_schema` override the fields below, `min_p` and
    `repetition_penalty` bend what is sampled from (where `Capabilities.min_p` is declared),
    `top_logprobs` asks for the alternatives to each token, and `tools` with `tool_choice` offers
    tools (`bind_tools`); any other option is refused.
    """

    model: str
    """Name of the model, as the engine knows it."""
    temperature: float = 0.7
    top_p: float = 1.0
    max_tokens: int = 512
    """Most tokens in a reply, unless the call sets its own limit."""
    max_concurrency: int = Field(default=16, gt=0)
    """Most calls in flight at a time, over all graphs that share this backend. The limit holds for
    each event loop, and once for all synchronous callers together (`Limiter`)."""
    timeout_s: float = Field(default=3600.0, gt=0)
    """Longest time of one call with all its retries, seconds. Time spent waiting for a slot or for
    the engine to start does not count. A call over its time is cancelled, in the engine too."""
    takes_address: ClassVar[bool] = False
    """Whether a spec has a place for an address: `KIND:MODEL@URL`, which becomes `base_url`."""
    takes_adapters: ClassVar[bool] = False
    """Whether a policy may name an adapter after the model: `KIND:MODEL+FOLDER`."""
    rank_option: ClassVar[str | None] = None
    """The option that sets the highest adapter rank of an engine; None if it needs none."""
    _tap: Tap | None = PrivateAttr(default=None)

    @classmethod
    def spec_options(cls) -> frozenset[str] | None:
        """Names of the options that a spec may set; None if only `from_spec` can tell."""
        return frozenset(cls.model_fields) - _NOT_OPTIONS

    @classmethod
    def from_spec(cls, model: str, base_url: str | None, options: Mapping[str, Any]) -> Self:
        """Make the backend that `KIND:MODEL[@URL][?option=value&…]` names.

        Args:
            model: The `MODEL` part of the spec.
            base_url: The address; None if there is none, or the class takes none.
            options: Options by name, as in `spec_options`. Values read from a string are strings.

        Raises:
            ConfigError: If the arguments do not fit.
        """
        address: dict[str, Any] = {"base_url": base_url} if cls.takes_address else {}
        return cls(model=model, **address, **options)

    @classmethod
    def spec_identity(cls, model: str, options: Mapping[str, Any]) -> str:
        """Name the model that a spec means, independent of its other options."""
        return model

    @cached_property
    def limiter(self) -> Limiter:
        """The slots that all callers of this backend share."""
        return Limiter(self.max_concurrency)

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this backend can do."""

    @abstractmethod
    async def _complete(self, request: ChatRequest) -> Completion:
        """Answer one request."""

    async def _complete_at(self, request: ChatRequest, place: Place) -> Completion:
        """Answer one request from a place in a graph; few backends use the place."""
        return await self._complete(request)

    async def _complete_in_time(self, request: ChatRequest, place: Place) -> Completion:
        """Answer one request within `timeout_s`.

        Raises:
            TimedOut: If no reply came in time. The call is cancelled then.
        """
        message = (
            f"model {self.model!r} gave no whole reply within {self.timeout_s:g} s (timeout_s), "
            "over all retries; raise it, or lower max_tokens"
        )
        async with Deadline(asyncio.get_running_loop().time() + self.timeout_s, message):
            return await self._complete_at(request, place)

    async def _ready(self, request: ChatRequest) -> None:
        """Start what the first call waits for; that time does not count against `timeout_s`."""

    def listen(self, tap: Tap | None) -> None:
        """Pass every call from now on through a tap; None removes it."""
        self._tap = tap

    async def start(self) -> None:
        """Load the model or start the engine now, instead of with the first call."""

    async def aclose(self) -> None:
        """Release what the backend holds: engine, threads, connections."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes use the engine too; then one process loads adapters for all."""
        return False

    def take_up_adapter(self, version: str) -> None:
        """Sample from an adapter that another process has loaded on the engine that both use.

        Args:
            version: Its name on the engine.

        Raises:
            ConfigError: If this process has the engine for itself.
        """
        raise ConfigError(
            f"backend {type(self).__name__} shares its engine with no other process; load the "
            "adapter with load_adapter"
        )

    async def load_adapter(self, path: Path | None, version: str) -> None:
        """Sample every call from now on from a LoRA adapter, and name it in the trace.

        Calls in flight keep the weights that they began with. The folder is not read again after
        this returns.

        Args:
            path: Folder of the adapter, as PEFT writes it; None for the bare model.
            version: Name of these weights in traces (`TokenTrace.weights_version`); `base` if and
                only if `path` is None.

        Raises:
            ConfigError: If the backend swaps no adapters, or this one does not fit the model. The
                weights stay as they were.
            BackendError: If the engine could not load it. The weights stay as they were.
        """
        if not self.capabilities.adapters:
            raise ConfigError(
                f"backend {type(self).__name__} swaps no adapters; use one that does, for example "
                "vllm:smollm2-135m?max_lora_rank=16"
            )
        if (path is None) != (version == BASE):
            raise ConfigError(
                f"expected a folder with a version of its own, or None with {BASE!r}; got "
                f"{path and str(path)!r} with {version!r}"
            )
        await self._load_adapter(path, version)

    async def _load_adapter(self, path: Path | None, version: str) -> None:
        raise NotImplementedError(f"{type(self).__name__} declares adapters and loads none")

    def build_request(
        self, messages: Sequence[BaseMessage], stop: Sequence[str] | None = None, **options: Any
    ) -> ChatRequest:
        """Turn messages and call options into the request that the engine gets.

        Raises:
            ConfigError: If this package does not know an option, this backend does not support
                one, or a message is not plain text.
            InputError: If a text holds half a character.
        """
        if unknown := sorted(set(options) - OPTIONS):
            raise ConfigError(f"unknown call option {unknown[0]!r}: {nearest(unknown[0], OPTIONS)}")
        if "tools" in options or "tool_choice" in options:
            options |= offer(options.get("tools", ()), options.get("tool_choice"))
        defaults = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
        }
        turns = tuple(turn_of(message) for message in messages)
        try:
            request = ChatRequest(messages=turns, stop=tuple(stop or ()), **{**defaults, **options})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            raise ConfigError(
                f"call option {name!r}: {first['msg']}, got {first['input']!r}"
            ) from error
        try:
            assert request.sha256
        except UnicodeEncodeError as error:  # in a schema or a tool
            raise half_character(error.object) from None
        if request.top_logprobs and not self.capabilities.top_logprobs:
            raise ConfigError(
                f"call option 'top_logprobs': backend {type(self).__name__} reports no "
                "alternatives; leave the option out, or use one that does, for example "
                "vllm:smollm2-135m or openai:MODEL?top_logprobs=true"
            )
        if request.is_bent and not self.capabilities.min_p:
            name = "min_p" if request.min_p else "repetition_penalty"
            raise ConfigError(
                f"call option {name!r}: backend {type(self).__name__} samples by temperature and "
                "top_p alone; leave the option out, or use one that takes it, for example "
                "vllm:smollm2-135m"
            )
        if request.tools or any(turn.is_of_tools for turn in turns):
            self._check_tools(request)
        return request

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Ask once, without LangChain's callback machinery if no outside handler listens.

        With thousands of calls in flight, that machinery costs more than the calls themselves
        (`benchmarks/client_concurrency.py`).
        """
        if (run := direct_run(self, config)) is None:
            return await super().ainvoke(input, config, stop=stop, **kwargs)
        for name in ("ls_structured_output_format", "structured_output_format"):
            kwargs.pop(name, None)  # for tracers only
        messages = self._convert_input(input).to_messages()
        options = {**self._identifying_params, "stop": stop, **kwargs}
        with announced(run, messages, options) as replies:
            message = await self._reply(messages, stop, run, **kwargs)
            message.id = message.id or f"lc_run--{run.run_id}-0"
            replies.append(message)
        return message

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = await self._reply(messages, stop, run_manager, **kwargs)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _reply(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: AsyncCallbackManagerForLLMRun | None,
        **kwargs: Any,
    ) -> AIMessage:
        request = self.build_request(messages, stop, **kwargs)
        place = Place.of(run_manager.metadata if run_manager else None)
        budgets = budgets_of(run_manager.handlers if run_manager else [])
        started = latency = 0.0

        async def answer(request: ChatRequest) -> Completion:
            nonlocal started, latency
            async with within(budgets, place.nodes), self.limiter.slot():
                await self._ready(request)
                started, clock = time.time(), time.perf_counter()
                with _system_turns_named(request):
                    completion = await self._complete_in_time(request, place)
                latency = time.perf_counter() - clock
                return completion

        completion = await (self._tap(request, place, answer) if self._tap else answer(request))
        return reply_message(
            completion, request, model=self.model, started=started, latency=latency
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # only attributes that both kinds of manager have are read
        call = self._agenerate(messages, stop, run_manager, **kwargs)  # type: ignore[arg-type]
        return synchronous_calls().submit(call).result()

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
        }

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools with every call.

        The reply's `tool_calls` holds the calls that the model makes, `invalid_tool_calls` those
        that cannot be parsed, and `content` the remaining text. The trace always holds all sampled
        tokens.

        Args:
            tools: Functions, `BaseTool`s, pydantic models or JSON schemas, as LangChain takes them.
            tool_choice: None or `auto` leaves the choice to the model, `none` forbids a call,
                `any`, `required` or True forces one, and a tool's name forces one of that tool.
            kwargs: Options of the calls.

        Raises:
            ConfigError: If an item is no tool, or this backend calls no tools.
        """
        if not self.capabilities.tools:
            raise ConfigError(self._no_tools)
        options = offer(tools, tool_choice)
        return self.bind(**{k: v for k, v in options.items() if v is not None}, **kwargs)

    def _check_tools(self, request: ChatRequest) -> None:
        if not self.capabilities.tools:
            raise ConfigError(self._no_tools)
        if request.may_call and request.json_schema is not None:
            raise ConfigError(
                "expected tools or a JSON schema, got both: a reply either calls a tool or follows "
                "the schema; ask twice, or bind the tools with tool_choice='none'"
            )

    @property
    def _no_tools(self) -> str:
        return (
            f"backend {type(self).__name__} calls no tools; let it choose from a JSON schema, "
            "or take a backend that does, for example vllm:MODEL or openai:MODEL"
        )

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Decode under a pydantic model's schema and parse the reply into it.

        With `include_raw`, the result keeps the message and its token trace under `raw`, and a
        reply that does not parse is returned with `parsing_error` instead of raised.
        """
        if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            raise ConfigError(f"expected a pydantic model class as schema, got {schema!r}")
        if kwargs:
            raise ConfigError(f"unknown option {sorted(kwargs)[0]!r} of with_structured_output")
        bound = self.bind(json_schema=schema.model_json_schema())
        return bound | RunnableLambda(reply_parser(schema, include_raw=include_raw))
