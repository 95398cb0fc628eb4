"""The vLLM server of a backend without an address: started with the first call, always stopped."""

import asyncio
import importlib.util
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from quillgraph.backends.errors import BackendError, ConfigError, ServerFailed, Unreachable
from quillgraph.backends.runtime.hardware import gpu_name
from quillgraph.backends.runtime.sentinel import Sentinel
from quillgraph.backends.vllm.options import (
    ENGINE_ENVIRONMENT,
    ENGINE_OPTIONS,
    adapter_options,
    cpu_options,
    number_format,
)
from quillgraph.backends.weights.pretrained import NumberFormat

logger = logging.getLogger(__name__)

POLL_S, SAID_EVERY_S = 0.25, 10.0
"""How often a starting server is asked whether it is up, and how often its user hears of it."""

PATIENCE_S = 15.0
"""How long a server may take to end in good order before it is killed."""

LAST_LINES = 8
"""How many lines of a dead server's log an error shows."""


class ServerProcess:
    """One server on a free port of this machine, in its own process group.

    Ctrl-C does not reach its group, so that we can end it in order. A sentinel kills the group if
    we die first, by whatever signal.

    Args:
        program: Python module to run, with its arguments; `--port` is added.
        environment: Variables to set where ours does not.
    """

    def __init__(self, program: list[str], environment: Mapping[str, str]) -> None:
        self.port = _free_port()
        # for appending, so that reading it does not move where the server writes
        self._log = tempfile.TemporaryFile("a+b")  # noqa: SIM115  # closed by `stop`
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", *program, "--host", "127.0.0.1", "--port", str(self.port)],
            env={**environment, **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._sentinel = Sentinel([-self._process.pid])  # below zero: the whole group

    @property
    def pid(self) -> int:
        """Its process, and its group."""
        return self._process.pid

    @property
    def address(self) -> str:
        """The address that it serves."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def last_words(self) -> str:
        """The last lines of its log; only lines about errors if there are any."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 65_536))
        lines = self._log.read().decode(errors="replace").splitlines()
        lines = [line.strip() for line in lines if line.strip()]
        faults = [line for line in lines if "Error" in line or "ERROR" in line]
        return "\n".join((faults or lines)[-LAST_LINES:])

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            ServerFailed: If it has ended, with its own last words.
        """
        if (status := self._process.poll()) is not None:
            raise ServerFailed(
                f"the vLLM server ended with status {status}; its last words:\n{self.last_words}"
            )

    async def until_up(self, is_up: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
        """Wait until the server serves, and say every few seconds that it does not yet.

        Raises:
            ServerFailed: If it ends before.
            Unreachable: If it is not up in time.
        """
        began = reported = time.monotonic()
        while True:
            self.check()
            if await is_up():
                logger.info("the vLLM server is up after %.0f s", time.monotonic() - began)
                return
            now = time.monotonic()
            if now - began > timeout_s:
                raise Unreachable(
                    f"the vLLM server was not up after {timeout_s:g} s; raise start_timeout_s, or "
                    f"see its last words:\n{self.last_words}"
                )
            if now - reported > SAID_EVERY_S:
                reported = now
                logger.info("waiting for the vLLM server since %.0f s", now - began)
            await asyncio.sleep(POLL_S)

    def stop(self) -> None:
        """End the server and its child processes; returns when they have ended.

        A second call does nothing.
        """
        if self._log.closed:
            return
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            logger.info("the vLLM server did not end within %g s and is killed", PATIENCE_S)
        self._signal(signal.SIGKILL)  # its engine, should it have outlived it
        self._process.wait()
        self._sentinel.dismiss()
        self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # all gone
            os.killpg(self._process.pid, number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


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
                # also if nobody closes the backend; a sentinel handles a killed process
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
    # else vLLM binds calls of tools by tags that xgrammar alone reads
    return {**ENGINE_ENVIRONMENT, "VLLM_ENFORCE_STRICT_TOOL_CALLING": "0", **swaps}


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
