"""The seam of the package: a backend is a LangChain chat model that says what it sampled."""

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from quillgraph.backends.budgets import budgets_of, within
from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.limits import Limiter
from quillgraph.backends.listeners import direct_run, told
from quillgraph.backends.loops import BackgroundLoop
from quillgraph.backends.places import Place
from quillgraph.backends.traces import BASE, Position, TokenTrace


class ChatTurn(BaseModel):
    """One message of a request, as plain text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(BaseModel):
    """All that decides what an engine is asked; equal requests have equal hashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: tuple[ChatTurn, ...]
    json_schema: dict[str, Any] | None = None
    """JSON schema that the reply must satisfy; None for free text."""
    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    max_tokens: int = Field(gt=0)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int = Field(default=0, ge=0, le=20)
    """How many of the most probable tokens to report for each token of the reply. 20 is the most
    that OpenAI, and vLLM as it is set up, give."""

    @cached_property
    def sha256(self) -> str:
        """Hash of the canonical JSON form."""
        canonical = json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


class Completion(BaseModel):
    """One reply of an engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    """Tokens of the prompt that the engine had in its prefix cache; None if it does not say."""
    trace: TokenTrace | None = None
    alternatives: tuple[Position, ...] | None = None
    """One per token of the completion, in order; None unless `top_logprobs` asked for them."""


Answer = Callable[[ChatRequest], Awaitable[Completion]]

Tap = Callable[[ChatRequest, Place, Answer], Awaitable[Completion]]
"""Stands between a backend and its callers: hears each call, and has it answered."""


class ChatBackend(BaseChatModel, ABC):
    """What the native backends share: request building, limiter, trace on the message.

    A subclass answers one `ChatRequest` with one `Completion` in `_complete`, raises nothing
    but `BackendError`s there, and declares its `capabilities`. Per call, `temperature`,
    `top_p`, `max_tokens`, `seed`, `stop` and `json_schema` override the fields below, and
    `top_logprobs` asks for the alternatives to each token; any other option is refused.
    """

    model: str
    """Name of the model, as the engine knows it."""
    temperature: float = 0.7
    top_p: float = 1.0
    max_tokens: int = 512
    """Most tokens in a reply, unless the call says otherwise."""
    max_concurrency: int = Field(default=16, gt=0)
    """Calls in flight at a time, over all graphs that share this backend."""
    _tap: Tap | None = PrivateAttr(default=None)

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

    def listen(self, tap: Tap | None) -> None:
        """Have a tap hear every call from now on; None takes it away."""
        self._tap = tap

    async def start(self) -> None:
        """Get ready now rather than with the first call: load the model, start the engine."""

    async def aclose(self) -> None:
        """Give back what the backend holds: engine, threads, connections."""

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
        known = {"json_schema", "temperature", "top_p", "max_tokens", "seed", "top_logprobs"}
        if unknown := sorted(set(options) - known):
            raise ConfigError(f"unknown call option {unknown[0]!r}: {nearest(unknown[0], known)}")
        defaults = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
        }
        turns = tuple(_turn(message) for message in messages)
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
            kwargs.pop(name, None)  # told to tracers only
        messages = self._convert_input(input).to_messages()
        options = {**self._identifying_params, "stop": stop, **kwargs}
        with told(run, messages, options) as replies:
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
        budgets = budgets_of(run_manager.handlers) if run_manager else []
        started = latency = 0.0

        async def answer(asked: ChatRequest) -> Completion:
            nonlocal started, latency
            async with within(budgets, place.nodes), self.limiter.slot():
                started, clock = time.time(), time.perf_counter()
                completion = await self._complete_at(asked, place)
                latency = time.perf_counter() - clock
                return completion

        completion = await (self._tap(request, place, answer) if self._tap else answer(request))
        alternatives = completion.alternatives
        return AIMessage(
            content=completion.text,
            usage_metadata=_usage(completion),
            response_metadata={
                "model_name": self.model,
                "finish_reason": completion.finish_reason,
                "request_sha256": request.sha256,
                "started": started,
                "latency_s": latency,
                "token_trace": completion.trace and completion.trace.model_dump(),
                "alternatives": None
                if alternatives is None
                else [each.model_dump(mode="json") for each in alternatives],
            },
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
        return _synchronous_calls().submit(call).result()

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
        }

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """Refuse tools, which would be left out of the prompt.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            f"backend {type(self).__name__} carries no tool calls; let a role choose from a JSON "
            "schema, or give the role a LangChain chat model that calls tools"
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
        asked = self.bind(json_schema=schema.model_json_schema())

        def parse(message: BaseMessage) -> BaseModel:
            # strictly: a repaired half of a reply would pass for the whole of it
            return schema.model_validate_json(str(message.content))

        def keep(message: BaseMessage) -> dict[str, Any]:
            try:
                return {"raw": message, "parsed": parse(message), "parsing_error": None}
            except ValidationError as error:
                return {"raw": message, "parsed": None, "parsing_error": error}

        return asked | RunnableLambda(keep if include_raw else parse)


def schema_in_words(schema: dict[str, Any]) -> str:
    """Ask for JSON of a schema, for models that cannot decode under one."""
    return (
        "Answer with one JSON object and nothing else. It must satisfy this JSON schema:\n"
        f"{json.dumps(schema, ensure_ascii=False)}"
    )


def _usage(completion: Completion) -> UsageMetadata:
    usage = UsageMetadata(
        input_tokens=completion.prompt_tokens,
        output_tokens=completion.completion_tokens,
        total_tokens=completion.prompt_tokens + completion.completion_tokens,
    )
    if completion.cached_tokens is not None:
        usage["input_token_details"] = InputTokenDetails(cache_read=completion.cached_tokens)
    return usage


_ROLES: dict[type[BaseMessage], Literal["system", "user", "assistant"]] = {
    SystemMessage: "system",
    HumanMessage: "user",
}


def _turn(message: BaseMessage) -> ChatTurn:
    if isinstance(message.content, str) and (role := _ROLES.get(type(message))):
        return ChatTurn(role=role, content=message.content)  # what it is in nearly all calls
    plain = convert_to_openai_messages(message)
    name, content = plain["role"], plain["content"]
    if name not in ("system", "user", "assistant") or not isinstance(content, str):
        raise ConfigError(
            f"expected a plain-text system, human or AI message, got {type(message).__name__} "
            f"with role {name!r}; tool calls and images are not carried by this backend"
        )
    return ChatTurn(role=name, content=content)


_shared_loop: BackgroundLoop | None = None


def _synchronous_calls() -> BackgroundLoop:
    """The loop behind synchronous `invoke`, started by its first caller."""
    global _shared_loop
    if _shared_loop is None:
        _shared_loop = BackgroundLoop("quillgraph-sync")
    return _shared_loop
