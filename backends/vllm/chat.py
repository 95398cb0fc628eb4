"""vLLM inside this process: continuous batching, prefix caching, JSON schemas, exact tokens."""

import asyncio
import atexit
import gc
import importlib.util
import itertools
import multiprocessing
import os
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion
from quillgraph.backends.errors import ConfigError, Refused, ServerFailed
from quillgraph.backends.messages.bounds import is_bound
from quillgraph.backends.runtime.loops import BackgroundLoop
from quillgraph.backends.runtime.sentinel import Sentinel
from quillgraph.backends.vllm.adapters import EngineAdapters
from quillgraph.backends.vllm.exchange import completion_from_output, sampling_params
from quillgraph.backends.vllm.options import (
    ENGINE_ENVIRONMENT,
    ENGINE_OPTIONS,
    adapter_options,
    cpu_options,
    number_format,
)
from quillgraph.backends.weights.adapter import LoraRank, served_adapter
from quillgraph.backends.weights.builtin import resolve
from quillgraph.backends.weights.pretrained import (
    NumberFormat,
    check_takes_grammars,
    from_pretrained,
    items_per_call,
    opens_reply,
    prompt_ids,
    shape_of,
)


class VllmChat(ChatBackend):
    """A model on vLLM's `AsyncLLM`, CUDA or CPU build, in this process.

    The engine starts with the first call, or with `start()`, and lives on a loop of its own, so
    the backend can be used from any number of loops and threads. Its log-probabilities are those
    of the sampling distribution (`logprobs_mode="processed_logprobs"`).

    Args:
        model: Folder or hub id of the model.
        max_model_len: Longest prompt and completion together, in tokens; None for the model's.
        gpu_memory_utilization: Share of the GPU's memory that the engine may take.
        max_lora_rank: Highest rank of the adapters that `load_adapter` is to take; None starts an
            engine without adapters, which is faster.
        dtype: What it calculates in; None for the format of the weights, or float32 on a CPU that
            would emulate that.
        engine_options: Further `AsyncEngineArgs`, passed as they are.
    """

    takes_adapters: ClassVar[bool] = True
    rank_option: ClassVar[str | None] = "max_lora_rank"

    max_concurrency: int = Field(default=32, gt=0)
    max_model_len: int | None = None
    gpu_memory_utilization: float = Field(default=0.85, gt=0, le=1)
    max_lora_rank: LoraRank | None = None
    dtype: NumberFormat | None = None
    engine_options: dict[str, Any] = Field(default_factory=dict)
    _loop: BackgroundLoop | None = PrivateAttr(default=None)
    _starting: "asyncio.Task[None] | None" = PrivateAttr(default=None)
    _engine: Any = PrivateAttr(default=None)
    _sentinel: Sentinel | None = PrivateAttr(default=None)
    _tokenizer: Any = PrivateAttr(default=None)
    _numbers: Any = PrivateAttr(default_factory=itertools.count)
    _adapters: EngineAdapters = PrivateAttr(default_factory=EngineAdapters)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        # here and not in a validator, which would wrap a ConfigError in a ValidationError
        if importlib.util.find_spec("vllm") is None:
            raise ConfigError(
                "vllm is not installed; `make setup` installs the build for this machine, or use "
                f"the slower backend transformers:{self.model}"
            )

    @classmethod
    def from_spec(cls, model: str, base_url: str | None, options: Mapping[str, Any]) -> Self:
        """Run a built-in model by its name, or one of a folder or the hub."""
        return cls(model=resolve(model), **options)

    @cached_property
    def capabilities(self) -> Capabilities:
        """Everything; how many items a call may carry depends on the model's width."""
        shape = shape_of(self.model)
        return Capabilities(
            json_schema=True,
            token_ids=True,
            logprobs=True,
            top_logprobs=True,
            min_p=True,
            tools=True,
            adapters=self.max_lora_rank is not None,
            items_per_call=items_per_call(shape),
            context_tokens=self.max_model_len or shape.max_position_embeddings,
        )

    @property
    def _llm_type(self) -> str:
        return "quillgraph-vllm"

    async def start(self) -> None:
        """Start the engine now rather than with the first call (SmolLM2: about 20 s on a CPU)."""
        await self._engine_loop().run(self._started())

    async def aclose(self) -> None:
        """Stop the engine and its processes; one that is just starting is waited for."""
        with _opening:
            loop, self._loop = self._loop, None
        if loop is None:
            return
        try:
            await loop.run(self._shut_down())
        finally:
            await asyncio.to_thread(loop.close)
        # the engine lies in reference cycles; left to the interpreter's exit, its __del__ would
        # find its modules gone
        gc.collect()

    async def _ready(self, request: ChatRequest) -> None:
        if self._engine is None:
            await self.start()

    async def _complete(self, request: ChatRequest) -> Completion:
        return await self._engine_loop().run(self._generate_on_engine(request))

    async def _load_adapter(self, path: Path | None, version: str) -> None:
        if path is not None:
            path = await asyncio.to_thread(served_adapter, path, self.model, self.max_lora_rank)
        await self._engine_loop().run(self._swap(path, version))

    async def _swap(self, path: Path | None, version: str) -> None:
        await self._adapters.swap(await self._started(), path, version)

    def _engine_loop(self) -> BackgroundLoop:
        with _opening:  # callers come from several threads, and two loops would start two engines
            if self._loop is None:
                self._loop = BackgroundLoop("quillgraph-vllm")
            return self._loop

    async def _started(self) -> Any:
        if self._starting is None:
            self._starting = asyncio.create_task(asyncio.to_thread(self._build))
        starting = self._starting
        try:
            # a caller that gives up must not take the engine's start down with it
            await asyncio.shield(starting)
        finally:
            if starting.done() and self._engine is None:
                self._starting = None  # it failed; the next call tries again
        return self._engine

    def _build(self) -> None:
        # returns nothing: some frame of this thread stays referenced, and an engine that hung on
        # it would outlive `aclose` and complain at exit
        _refuse_unguarded_script()
        for name, value in ENGINE_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import psutil
        import torch
        from transformers import AutoTokenizer
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        self._tokenizer = from_pretrained(AutoTokenizer, self.model)
        on_cpu = not torch.cuda.is_available()
        options = {
            "model": self.model,
            "max_model_len": self.max_model_len,
            "max_num_seqs": self.max_concurrency,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "use_tqdm_on_load": False,
            **ENGINE_OPTIONS,
            **number_format(self.model, self.dtype, on_cpu=on_cpu),
            **adapter_options(self.max_lora_rank),
        }
        try:
            if on_cpu:
                options |= cpu_options(self.capabilities.context_tokens, self.engine_options)
            arguments = AsyncEngineArgs(**{**options, **self.engine_options})
            before = set(psutil.Process().children(recursive=True))
            self._engine = AsyncLLM.from_engine_args(arguments)
            started = set(psutil.Process().children(recursive=True)) - before
            self._sentinel = Sentinel(process.pid for process in started)
            _running[id(self)] = self
            # anew, and so before multiprocessing's own hook, which waits for engines
            atexit.unregister(_end_all)
            atexit.register(_end_all)
        except (ValueError, OSError, RuntimeError) as error:
            raise ServerFailed(f"vLLM could not start with {self.model!r}: {error}") from error

    async def _shut_down(self) -> None:
        if self._starting is not None:
            with suppress(Exception):  # whoever asked for the start has its error
                await self._started()
            engine, self._starting, self._engine = self._engine, None, None
            if engine is None:
                return
            self._adapters = EngineAdapters()
            if engine.output_handler is not None:
                engine.output_handler.cancel()  # else it reports the engine's end as a death
            await asyncio.to_thread(engine.shutdown)
            if self._sentinel is not None:
                self._sentinel.dismiss()

    def _end(self) -> None:
        """Stop an engine that is still open when the interpreter ends, where no task starts."""
        loop, engine, self._loop, self._engine = self._loop, self._engine, None, None
        if loop is None or engine is None:
            return
        if engine.output_handler is not None:
            loop.submit(_cancelled(engine.output_handler)).result(timeout=10)
        engine.shutdown()
        if self._sentinel is not None:
            self._sentinel.dismiss()

    async def _generate_on_engine(self, request: ChatRequest) -> Completion:
        engine = await self._started()
        from vllm import TokensPrompt
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        ids = prompt_ids(self._tokenizer, request, self.capabilities.context_tokens)
        if is_bound(request):
            await asyncio.to_thread(check_takes_grammars, self._tokenizer)
        final = None
        try:
            with self._adapters.in_use() as weights:
                async for output in engine.generate(
                    TokensPrompt(prompt_token_ids=list(ids)),
                    sampling_params(request),
                    request_id=f"quillgraph-{next(self._numbers)}",
                    lora_request=weights.request,
                ):
                    final = output
        except (VLLMClientError, ValueError) as error:
            raise Refused(f"vLLM refused the request: {error}") from error
        except (EngineDeadError, EngineGenerateError) as error:
            raise ServerFailed(f"the vLLM engine died: {error}") from error
        if final is None:
            raise ServerFailed("the vLLM engine ended the request without an output")
        completion = completion_from_output(request, ids, final, weights.version)
        is_opened = opens_reply(self._tokenizer, ids)
        return completion.model_copy(update={"opened_thinking": is_opened})


_opening = threading.Lock()

_running: "weakref.WeakValueDictionary[int, VllmChat]" = weakref.WeakValueDictionary()
"""Backends whose engine has been started."""


def _end_all() -> None:
    for backend in list(_running.values()):
        backend._end()
    gc.collect()


async def _cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()


def _refuse_unguarded_script() -> None:
    """Refuse to start from a script that the engine's own process is importing just now."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise ConfigError(
            "vLLM starts a process that imports your script again: put what runs the model "
            "under `if __name__ == '__main__':`"
        )
