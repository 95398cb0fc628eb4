"""Hugging Face transformers inside this process: the fallback where vLLM cannot be installed."""

import asyncio
import gc
import importlib.util
import queue
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import PrivateAttr

from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion
from quillgraph.backends.errors import ConfigError, ServerFailed
from quillgraph.backends.weights.adapter import served_adapter
from quillgraph.backends.weights.builtin import resolve
from quillgraph.backends.weights.pretrained import (
    NumberFormat,
    from_pretrained,
    items_per_call,
    shape_of,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from quillgraph.backends.transformers.generation import Decoder, PendingCall

GATHERING_S = 0.01
"""How long a batch stays open for a next call, seconds: a fan-out's calls arrive within this of
each other, and one decoding step of the smallest model takes longer."""


class TransformersChat(ChatBackend):
    """A model on transformers, in this process, on a GPU or a CPU.

    Calls that wait together are decoded together, up to `max_concurrency`, each with its own
    sampling, grammar and seed. A call that comes while a batch runs waits for the next batch.
    The model is loaded with the first call, or with `start()`.

    Args:
        model: Folder or hub id of the model.
        device: `cuda`, `mps` or `cpu`; None takes the first of these that is there.
        dtype: Number format of the weights; None takes bfloat16 on CUDA, else float32, in which
            a call's seed decides its reply whatever shares its batch (bfloat16 is a quarter
            faster on a CPU that knows it, and does not hold this: LOG.md 2026-11-23).
    """

    takes_adapters: ClassVar[bool] = True

    device: str | None = None
    dtype: NumberFormat | None = None
    _worker: ThreadPoolExecutor | None = PrivateAttr(default=None)
    _waiting: "queue.SimpleQueue[PendingCall]" = PrivateAttr(default_factory=queue.SimpleQueue)
    _decoder: "Decoder | None" = PrivateAttr(default=None)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        # here and not in a validator, which would wrap a ConfigError in a ValidationError
        for package in ("torch", "transformers", "llguidance"):
            if importlib.util.find_spec(package) is None:
                raise ConfigError(
                    f"{package} is not installed, so transformers:{self.model} cannot run; "
                    "pip install 'quillgraph[local]'"
                )

    @classmethod
    def from_spec(cls, model: str, base_url: str | None, options: Mapping[str, Any]) -> Self:
        """Run a built-in model by its name, or one of a folder or the hub."""
        return cls(model=resolve(model), **options)

    @cached_property
    def capabilities(self) -> Capabilities:
        """Everything, adapters where PEFT is there; the width decides on items per call."""
        shape = shape_of(self.model)
        return Capabilities(
            json_schema=True,
            token_ids=True,
            logprobs=True,
            top_logprobs=True,
            min_p=True,
            tools=True,
            adapters=importlib.util.find_spec("peft") is not None,
            items_per_call=items_per_call(shape),
            context_tokens=getattr(shape, "max_position_embeddings", None),
        )

    @property
    def _llm_type(self) -> str:
        return "quillgraph-transformers"

    async def start(self) -> None:
        """Load the model now rather than with the first call.

        Raises:
            ServerFailed: If it cannot be loaded, for want of memory above all.
        """
        try:
            await asyncio.wrap_future(self._thread().submit(self._loaded))
        except RuntimeError as error:
            raise ServerFailed(f"{self.model} could not be loaded: {error}") from error

    async def aclose(self) -> None:
        """Finish the calls in flight, stop the worker thread and free the model."""
        with _opening:
            worker, self._worker = self._worker, None
        if worker is None:
            return
        await asyncio.to_thread(worker.shutdown)
        self._decoder = None
        gc.collect()  # a model is a web of cycles: without this its memory stays for a while

    async def _ready(self, request: ChatRequest) -> None:
        if self._decoder is None:
            await self.start()

    async def _complete(self, request: ChatRequest) -> Completion:
        from quillgraph.backends.transformers.generation import PendingCall

        call = PendingCall(request)
        self._waiting.put(call)
        self._thread().submit(self._serve)
        return await asyncio.wrap_future(call.future)

    async def _load_adapter(self, path: Path | None, version: str) -> None:
        if path is not None:
            path = await asyncio.to_thread(served_adapter, path, self.model)
        await asyncio.wrap_future(self._thread().submit(self._swap, path, version))

    def _swap(self, path: Path | None, version: str) -> None:
        # on the worker thread, so never while a batch is decoded
        try:
            self._loaded().carry(path, version)
        except RuntimeError as error:
            raise ServerFailed(f"{self.model} did not take adapter {version!r}: {error}") from error

    def _thread(self) -> ThreadPoolExecutor:
        with _opening:  # callers come from several loops, and two workers would load two models
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, thread_name_prefix="quillgraph-transformers")
            return self._worker

    def _serve(self) -> None:
        """Decode the waiting calls; runs on the worker thread, at most once per call."""
        calls = self._gather()
        if not calls:
            return
        try:
            self._loaded().decode(calls)
        except BaseException as error:
            failure = error
            if isinstance(error, RuntimeError):  # torch's own, out of memory above all
                failure = ServerFailed(f"{self.model} failed while decoding: {error}")
            for call in calls:
                call.fail(failure)
            raise

    def _gather(self) -> "list[PendingCall]":
        calls: list[PendingCall] = []
        while len(calls) < self.max_concurrency:
            try:
                # nothing to wait for when the queue was empty from the start
                call = (
                    self._waiting.get(timeout=GATHERING_S) if calls else self._waiting.get_nowait()
                )
            except queue.Empty:
                break
            if not call.future.cancelled():
                calls.append(call)
        return calls

    def _loaded(self) -> "Decoder":
        if self._decoder is None:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            from quillgraph.backends.transformers.generation import Decoder

            device = self.device or _best_device()
            dtype = self.dtype or ("bfloat16" if device.startswith("cuda") else "float32")
            tokenizer = from_pretrained(AutoTokenizer, self.model)
            model = from_pretrained(AutoModelForCausalLM, self.model, dtype=dtype)
            self._decoder = Decoder(_placed(model, device).eval(), tokenizer)
        return self._decoder


_opening = threading.Lock()


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _placed(model: "PreTrainedModel", device: str) -> "PreTrainedModel":
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a torch built without CUDA
        raise ConfigError(
            f"cannot put the model on device {device!r}: {error}; leave the device out to take "
            f"the best that is there, here {_best_device()!r}"
        ) from error
