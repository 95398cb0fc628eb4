"""The vLLM server behind a backend that names none: started with the first call, and stopped."""

import asyncio
import importlib.util
import json
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from quillgraph.backends.errors import BackendError, ConfigError
from quillgraph.backends.runtime.hardware import gpu_name
from quillgraph.backends.servers.server_process import ServerProcess
from quillgraph.backends.vllm.options import (
    ENGINE_ENVIRONMENT,
    ENGINE_OPTIONS,
    adapter_options,
    cpu_options,
    number_format,
)
from quillgraph.backends.weights.pretrained import NumberFormat


class OwnServer:
    """Starts at most one server, however many calls ask for it at a time.

    Args:
        program: What serves, see `vllm_program`.
        environment: Variables that it needs.
        timeout_s: Longest time for it to be up, seconds.
    """

    def __init__(self, program: list[str], environment: dict[str, str], timeout_s: float) -> None:
        self._program, self._environment = program, environment
        self._timeout_s = timeout_s
        self._process: ServerProcess | None = None
        self._launching = threading.Lock()
        self._waiting: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )
        self._failures = 0
        self._failure: BackendError | None = None

    def launched(self) -> ServerProcess:
        """The process, started if there is none."""
        with self._launching:
            if self._process is None:
                self._process = ServerProcess(self._program, self._environment)
                # also if nobody closes the backend; a sentinel sees to the harder ends
                weakref.finalize(self, self._process.stop)
            return self._process

    async def until_up(self, is_up: Callable[[], Awaitable[bool]]) -> None:
        """Wait until it serves.

        Args:
            is_up: Whether it answers.

        Raises:
            BackendError: If it does not start; the next call then tries again.
        """
        waiting = self._waiting.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        failures = self._failures
        async with waiting:
            if self._failure and self._failures != failures:
                raise self._failure  # of the start that this call has waited for
            try:
                await self.launched().until_up(is_up, self._timeout_s)
            except BackendError as error:
                self._failures, self._failure = self._failures + 1, error
                await self.stop()
                raise

    def check(self) -> None:
        """Make sure that it has not died.

        Raises:
            ServerFailed: If it has, with its own last words.
        """
        if process := self._process:
            process.check()

    async def stop(self) -> None:
        """Stop it, if it runs; a later call starts another."""
        with self._launching:
            process, self._process = self._process, None
        if process:
            await asyncio.to_thread(process.stop)


def vllm_environment(*, adapters: bool) -> dict[str, str]:
    """Variables that a server wants."""
    swaps = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"} if adapters else {}
    return {**ENGINE_ENVIRONMENT, **swaps}


def vllm_program(
    model: str,
    *,
    context_tokens: int,
    max_concurrency: int,
    gpu_memory_utilization: float,
    max_lora_rank: int | None,
    tool_parser: str,
    dtype: NumberFormat | None,
) -> list[str]:
    """The module that serves a model, and its arguments.

    Raises:
        ConfigError: If vLLM is not installed.
    """
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "vllm is not installed, so no server can be started here; `make setup` installs the "
            f"build for this machine, or name a server: vllm-server:{model}@http://HOST:8000/v1"
        )
    on_cpu = not gpu_name()
    options = {
        **ENGINE_OPTIONS,
        "max_model_len": context_tokens,
        "max_num_seqs": max_concurrency,
        "gpu_memory_utilization": gpu_memory_utilization,
        **(cpu_options(context_tokens) if on_cpu else {}),
        **number_format(model, dtype, on_cpu=on_cpu),
        **adapter_options(max_lora_rank),
        "enable_auto_tool_choice": True,
        "tool_call_parser": tool_parser,
    }
    # not `vllm serve`: the CPU build is a distribution of another name, and its command fails
    program = ["vllm.entrypoints.openai.api_server", "--model", model]
    for name, value in options.items():
        program += _flag(name.replace("_", "-"), value)
    return [*program, "--disable-uvicorn-access-log"]


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", json.dumps(value) if isinstance(value, dict) else str(value)]
