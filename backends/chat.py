"""The seam of the package: a backend is a LangChain chat model that says what it sampled."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.messages.reply import reply_message, reply_parser
from quillgraph.backends.messages.request import OPTIONS, ChatRequest, Completion
from quillgraph.backends.messages.tools import offer
from quillgraph.backends.messages.trace import BASE
from quillgraph.backends.messages.turn import ChatTurn, turn_of
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
"""Stands between a backend and its callers: hears each call, and has it answered."""

_NOT_OPTIONS = frozenset({*BaseChatModel.model_fields, "model", "base_url", "api_key"})
"""Fields that a spec does not set: LangChain's own, those it has a place for, and the key, which
stays in the environment (`api_key_env`)."""


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
    """Most tokens in a reply, unless the call says otherwise."""
    max_concurrency: int = Field(default=16, gt=0)
    """Calls in flight at a time, over all graphs that share this backend. Each event loop has as
    many, and so have all synchronous callers together (`Limiter`)."""
    timeout_s: float = Field(default=3600.0, gt=0)
    """Longest time of one call with all its tries, seconds. Waiting for its turn, and for an
    engine to start, is no part of it. What is over its time is called off, where it runs too."""
    takes_address: ClassVar[bool] = False
    """Whether a spec has a place for an address: `KIND:MODEL@URL`, which becomes `base_url`."""
    takes_adapters: ClassVar[bool] = False
    """Whether a policy may name an adapter beside the model: `KIND:MODEL+FOLDER`."""
    rank_option: ClassVar[str | None] = None
    """The option by which an engine is started for adapters up to a rank; None if it needs none."""
    _tap: Tap | None = PrivateAttr(default=None)

    @classmethod
    def spec_options(cls) -> frozenset[str] | None:
        """Names of the options that a spec may set; None if only `from_spec` can tell."""
        return frozenset(cls.model_fields) - _NOT_OPTIONS

    @classmethod
    def from_spec(cls, model: str, base_url: str | None, options: Mapping[str, Any]) -> Self:
        """Make the backend that `KIND:MODEL[@URL][?option=value&…]` names.

        Args:
            model: What stands for the model.
            base_url: The address; None if there is none, or the class takes none.
            options: Options, with names out of `spec_options`; values from a string are strings.

        Raises:
            ConfigError: If these do not fit.
        """
        address: dict[str, Any] = {"base_url": base_url} if cls.takes_address else {}
        return cls(model=model, **address, **options)

    @classmethod
    def spec_identity(cls, model: str, options: Mapping[str, Any]) -> str:
        """What a spec calls the model, whatever its other options are."""
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
        """Answer one request; where in a graph it was asked matters to few backends."""
        return await self._complete(request)

    async def _complete_in_time(self, request: ChatRequest, place: Place) -> Completion:
        """Answer one request within `timeout_s`.

        Raises:
            TimedOut: If that could not be done. It was cancelled then.
        """
        message = (
            f"model {self.model!r} gave no whole reply within {self.timeout_s:g} s (timeout_s), "
            "over all tries; raise it, or lower max_tokens"
        )
        async with Deadline(asyncio.get_running_loop().time() + self.timeout_s, message):
            return await self._complete_at(request, place)

    async def _ready(self, request: ChatRequest) -> None:
        """Start what the first call has to wait for; its time does not count."""

    def listen(self, tap: Tap | None) -> None:
        """Have a tap hear every call from now on; None takes it away."""
        self._tap = tap

    async def start(self) -> None:
        """Get ready now rather than with the first call: load the model, start the engine."""

    async def aclose(self) -> None:
        """Give back what the backend holds: engine, threads, connections."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes use the engine too, so that one loads an adapter for all."""
        return False

    def take_up_adapter(self, version: str) -> None:
        """Sample from an adapter that another process has loaded on the engine that both use.

        Args:
            version: What it is called there.

        Raises:
            ConfigError: If this process has the engine for itself.
        """
        raise ConfigError(
            f"backend {type(self).__name__} shares its engine with no other process; load the "
            "adapter with load_adapter"
        )

    async def load_adapter(self, path: Path | None, version: str) -> None:
        """Have every call from now on sample from a LoRA adapter, and say so in its trace.

        Calls in flight keep the weights that they began with. Once this returns, the folder is
        not read again.

        Args:
            path: Folder of the adapter, as PEFT writes it; None for the bare model.
            version: What traces call these weights (`TokenTrace.weights_version`); `base` if and
                only if `path` is None.

        Raises:
            ConfigError: If the backend swaps no adapters, or this one does not fit the model;
                nothing has changed then.
            BackendError: If the engine failed to take it; the weights are the earlier ones.
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
            ConfigError: On an option that this package does not know or this backend cannot
                meet, or a message that is not plain text.
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
        """Ask once; what LangChain does around a call is left out where nobody would notice.

        Announcing a call costs more than making it, at thousands in flight
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

        async def answer(sent: ChatRequest) -> Completion:
            nonlocal started, latency
            async with within(budgets, place.nodes), self.limiter.slot():
                await self._ready(sent)
                started, clock = time.time(), time.perf_counter()
                completion = await self._complete_in_time(sent, place)
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
        # of the manager only what both kinds have is read
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

        What the model calls is in the reply's `tool_calls`. What was to be a call and cannot be
        read is in `invalid_tool_calls`, and all else that it said is in `content`. The trace holds
        the tokens that were sampled, whatever was read from them.

        Args:
            tools: Functions, `BaseTool`s, pydantic models or JSON schemas, as LangChain takes them.
            tool_choice: None or `auto` leaves the model the choice, `none` forbids a call, `any`,
                `required` or True wants one, and a tool's name wants one of that tool.
            kwargs: Options of the calls.

        Raises:
            ConfigError: If something is no tool, or this backend calls none.
        """
        if not self.capabilities.tools:
            raise ConfigError(self._no_tools)
        offered = offer(tools, tool_choice)
        return self.bind(**{k: v for k, v in offered.items() if v is not None}, **kwargs)

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

        The message, and with it the token trace, is kept under `raw` when `include_raw` is set;
        a reply that does not parse is then returned with `parsing_error` instead of lost.
        """
        if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            raise ConfigError(f"expected a pydantic model class as schema, got {schema!r}")
        if kwargs:
            raise ConfigError(f"unknown option {sorted(kwargs)[0]!r} of with_structured_output")
        bound = self.bind(json_schema=schema.model_json_schema())
        return bound | RunnableLambda(reply_parser(schema, include_raw=include_raw))
