"""Models behind `vllm serve`: one server or many, with exact tokens, at high concurrency."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from pydantic import Field, PrivateAttr, SecretStr

from quillgraph.backends.calls.place import Place
from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion
from quillgraph.backends.errors import BackendError, ConfigError
from quillgraph.backends.messages.bounds import call_grammar, is_bound, spaced
from quillgraph.backends.messages.turn import openai_form
from quillgraph.backends.servers.adapters import ServedAdapters
from quillgraph.backends.servers.completion import completion_of, schema_format, tools_form
from quillgraph.backends.servers.endpoint import Endpoint, find_key
from quillgraph.backends.servers.fleet import Fleet, accepted
from quillgraph.backends.servers.http import Lane, Reply
from quillgraph.backends.servers.process import OwnServer, vllm_environment, vllm_program
from quillgraph.backends.weights.adapter import LoraRank, check_remote_adapter, served_adapter
from quillgraph.backends.weights.builtin import resolve
from quillgraph.backends.weights.pretrained import (
    ITEMS_PER_CALL,
    NumberFormat,
    check_takes_grammars,
    check_takes_tools,
    items_per_call,
    shape_of,
    tokenizer_of,
)

OF_OWN_SERVER = (
    "max_model_len",
    "max_lora_rank",
    "gpu_memory_utilization",
    "dtype",
    "tool_parser",
    "start_timeout_s",
)
"""Options that decide how a server is started."""


class VllmServerChat(ChatBackend):
    """A model on vLLM servers: those at `base_url`, or one that is started here.

    Calls run on their caller's event loop, with one pool of connections per loop. A cancelled call
    closes its request, which frees its place in the engine. How calls are spread over servers
    and repeated: `fleet`.

    The calls of one rollout go to one server. A call's rollout is `rollout`, else `thread_id`, in
    the metadata of its config, which graphs hand down.
    """

    takes_address: ClassVar[bool] = True
    takes_adapters: ClassVar[bool] = True
    rank_option: ClassVar[str | None] = "max_lora_rank"

    max_concurrency: int = Field(default=256, gt=0)
    base_url: str | None = None
    """Addresses up to and with `/v1`, joined by commas; None to start a server here."""
    api_key: SecretStr | None = None
    api_key_env: str = "VLLM_API_KEY"
    """Environment variable that holds the key, if the servers want one."""
    timeout_s: float = Field(default=600.0, gt=0)
    idle_timeout_s: float = Field(default=120.0, gt=0)
    """Longest silence of a server in one attempt, seconds; among several servers, no longer than
    leaves another its try within `timeout_s`."""
    max_retries: int = Field(default=4, ge=0)
    token_ids: bool = True
    """Ask for token ids and log-probs, and refuse replies without them. Servers that were not
    started here want `--logprobs-mode processed_logprobs`, or the log-probs are those before
    temperature."""
    items_per_call: int | None = Field(default=None, gt=0)
    """None for 8 at an address, and by the model's width on a server of our own."""
    context_tokens: int | None = Field(default=None, gt=0)
    adapters: bool = False
    """Whether servers at `base_url` swap adapters: `--enable-lora`, and
    `VLLM_ALLOW_RUNTIME_LORA_UPDATING=1` in their environment. They read adapters from the path
    that is named to them, so they need to see the same disk."""
    adapter_timeout_s: float = Field(default=120.0, gt=0)
    """Longest time for a new adapter to be up on all servers, seconds."""
    max_model_len: int | None = Field(default=None, gt=0)
    """Of a server started here: longest prompt and reply together; None for the model's."""
    max_lora_rank: LoraRank | None = None
    """Of a server started here: highest rank of the adapters that it swaps; None for no swaps."""
    gpu_memory_utilization: float = Field(default=0.85, gt=0, le=1)
    """Of a server started here."""
    dtype: NumberFormat | None = None
    """Of a server started here: what it calculates in; None chooses (`number_format`)."""
    tool_parser: str = "hermes"
    """Of a server started here: how its model writes tool calls, in vLLM's name for it. Servers at
    `base_url` want `--enable-auto-tool-choice --tool-call-parser NAME`, and a model whose chat
    template takes tools; one whose template does not leaves them out without a word."""
    start_timeout_s: float = Field(default=900.0, gt=0)
    """Longest time for a server started here to be up, seconds."""

    _lane: Lane = PrivateAttr()
    _fleet: Fleet | None = PrivateAttr(default=None)
    _own: OwnServer | None = PrivateAttr(default=None)
    _served: ServedAdapters = PrivateAttr()

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        # here and not in a validator, which would wrap a ConfigError in a ValidationError
        self._lane = Lane(self._key, self.idle_timeout_s)
        self._served = ServedAdapters(self.model, self._lane, self.adapter_timeout_s)
        if self.base_url is None:
            program = vllm_program(
                self.model,
                context_tokens=self.max_model_len or shape_of(self.model).max_position_embeddings,
                max_concurrency=self.max_concurrency,
                gpu_memory_utilization=self.gpu_memory_utilization,
                max_lora_rank=self.max_lora_rank,
                tool_parser=self.tool_parser,
                dtype=self.dtype,
            )
            environment = vllm_environment(adapters=self.max_lora_rank is not None)
            self._own = OwnServer(program, environment, self.start_timeout_s)
        elif own := [name for name in OF_OWN_SERVER if name in self.model_fields_set]:
            raise ConfigError(
                f"{own[0]} is for a server that is started here, and {self.base_url} is named: "
                "say it where that one is started, or leave the address out"
            )
        else:
            self._fleet = self._fleet_at(self.base_url.split(","))

    @classmethod
    def from_spec(cls, model: str, base_url: str | None, options: Mapping[str, Any]) -> Self:
        """Use the servers at the address, which know the model; without one, start a server."""
        return cls(model=model if base_url else resolve(model), base_url=base_url, **options)

    @cached_property
    def capabilities(self) -> Capabilities:
        """What vLLM can do, with what the options leave of it."""
        shape = shape_of(self.model) if self._own else None
        own_window = self.max_model_len or (shape and shape.max_position_embeddings)
        own_items = items_per_call(shape) if shape else ITEMS_PER_CALL
        return Capabilities(
            json_schema=True,
            token_ids=self.token_ids,
            logprobs=self.token_ids,
            top_logprobs=True,
            min_p=True,
            tools=True,
            adapters=self.max_lora_rank is not None if self._own else self.adapters,
            items_per_call=self.items_per_call or own_items,
            context_tokens=self.context_tokens or own_window,
        )

    @property
    def outcomes(self) -> Counter[str]:
        """Number of attempts by how they ended: `answered`, `cancelled`, or an error's name."""
        return Counter(self._fleet.outcomes) if self._fleet else Counter()

    async def start(self) -> None:
        """Wait for the servers; starts one if none is named.

        Raises:
            BackendError: If a server does not answer.
        """
        await (await self._started()).greet()

    async def aclose(self) -> None:
        """Close the connections, and stop the server that was started here."""
        await self._lane.aclose()
        self._served = ServedAdapters(self.model, self._lane, self.adapter_timeout_s)
        if self._own:
            self._fleet = None
            await self._own.stop()

    @property
    def is_shared(self) -> bool:
        """True for servers at an address, which other processes may use too."""
        return self._own is None

    def take_up_adapter(self, version: str) -> None:
        """Use an adapter that another process has loaded, in every call from now on."""
        if not self.is_shared:
            super().take_up_adapter(version)
        self._served.take_up(version)

    async def _load_adapter(self, path: Path | None, version: str) -> None:
        if path is not None and self._own:
            path = await asyncio.to_thread(served_adapter, path, self.model, self.max_lora_rank)
        elif path is not None:  # at an address, only the servers know the model
            path = check_remote_adapter(path)
        await self._served.load(path, version, (await self._started()).endpoints)

    async def _reply(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: AsyncCallbackManagerForLLMRun | None,
        **kwargs: Any,
    ) -> AIMessage:
        # here, where every call passes: what an earlier call of the task has set must not stay
        _rollout.set(_rollout_in(run_manager.metadata) if run_manager else None)
        return await super()._reply(messages, stop, run_manager, **kwargs)

    async def _ready(self, request: ChatRequest) -> None:
        if request.tools and self._own:
            await asyncio.to_thread(self._check_template)
        if is_bound(request) and self._own:
            await asyncio.to_thread(check_takes_grammars, tokenizer_of(self.model))
        await self._started()

    async def _complete_in_time(self, request: ChatRequest, place: Place) -> Completion:
        return await self._complete(request)  # the fleet keeps the time: it shares it among tries

    async def _complete(self, request: ChatRequest) -> Completion:
        fleet = await self._started()
        with self._served.in_use() as version:
            name = self._served.name(version)

            def read(reply: Reply, endpoint: Endpoint) -> Completion:
                return completion_of(
                    accepted(reply, endpoint),
                    request,
                    endpoint,
                    token_ids=self.token_ids,
                    weights_version=version,
                    model=name,
                )

            try:
                return await fleet.ask(
                    self._body(request, name),
                    read,
                    rollout=_rollout.get(),
                    timeout_s=self.timeout_s,
                )
            except BackendError:
                if self._own:
                    self._own.check()  # if it has died, its last words say more
                raise

    @property
    def _llm_type(self) -> str:
        return "quillgraph-vllm-server"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "base_url": self.base_url}

    def _check_template(self) -> None:
        # vLLM would silently leave the tools out of the prompt
        check_takes_tools(tokenizer_of(self.model), is_hermes=self.tool_parser == "hermes")

    @property
    def _key(self) -> str:
        secret = self.api_key.get_secret_value() if self.api_key else None
        return find_key(secret, self.api_key_env)

    async def _started(self) -> Fleet:
        if self._fleet is None:
            assert self._own is not None
            fleet = self._fleet_at([self._own.launched().address])
            await self._own.until_up(lambda: fleet.is_well(fleet.endpoints[0]))
            self._fleet = fleet
        return self._fleet

    def _fleet_at(self, addresses: list[str]) -> Fleet:
        place = "api_key" if self.api_key else f"the environment variable {self.api_key_env}"
        endpoints = [
            Endpoint(
                model=self.model,
                address=address.strip().rstrip("/"),
                key=self._key,
                key_place=place,
                idle_timeout_s=self.idle_timeout_s,
                max_concurrency=self.max_concurrency,
            )
            for address in addresses
        ]
        return Fleet(
            endpoints,
            self._lane,
            model=lambda: self._served.name(self._served.version),
            max_retries=self.max_retries,
        )

    def _body(self, request: ChatRequest, name: str) -> bytes:
        body: dict[str, Any] = {
            "model": name,
            "messages": [openai_form(turn) for turn in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
        }
        if request.min_p:
            body["min_p"] = request.min_p
        if request.repetition_penalty != 1:
            body["repetition_penalty"] = request.repetition_penalty
        if request.seed is not None:
            body["seed"] = request.seed
        if request.stop:
            body["stop"] = list(request.stop)
        if self.token_ids:
            body |= {"return_token_ids": True, "logprobs": True}
        if request.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        if request.tools:
            body |= tools_form(request, strict=True)
        if request.forced and self._own and self.tool_parser == "hermes":
            # the form in which the model is offered tools and is read, bound by our own grammar
            body |= {"tool_choice": "auto"}
            body["structured_outputs"] = {"grammar": call_grammar(request)}
        if request.json_schema is not None:
            schema = spaced(request.json_schema) if self._own else request.json_schema
            body["response_format"] = schema_format(schema)
        return json.dumps(body).encode()


_rollout: ContextVar[str | None] = ContextVar("rollout", default=None)
"""What the call that runs in this context belongs to."""


def _rollout_in(metadata: Mapping[str, Any]) -> str | None:
    rollout = metadata.get("rollout") or metadata.get("thread_id")
    return None if rollout is None else str(rollout)
