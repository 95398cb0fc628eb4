"""A vLLM server that we start ourselves, and always stop."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from quillgraph.backends.errors import ServerFailed, Unreachable
from quillgraph.backends.runtime.sentinel import Sentinel

logger = logging.getLogger(__name__)

POLL_S, SAID_EVERY_S = 0.25, 10.0
"""How often a starting server is asked whether it is up, and how often its user hears of it."""

PATIENCE_S = 15.0
"""How long a server may take to end in good order before it is killed."""

LAST_LINES = 8
"""Lines of a dead server's log that an error shows."""


class ServerProcess:
    """One server on a free port of this machine, in a process group of its own.

    A group of its own, so that Ctrl-C reaches us alone and we end it in good order; a sentinel
    kills the group if we die first, by whatever signal.

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
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def last_words(self) -> str:
        """The last lines of its log, those that speak of errors if there are any."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 65_536))
        lines = self._log.read().decode(errors="replace").splitlines()
        spoken = [line.strip() for line in lines if line.strip()]
        faults = [line for line in spoken if "Error" in line or "ERROR" in line]
        return "\n".join((faults or spoken)[-LAST_LINES:])

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
        began = said = time.monotonic()
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
            if now - said > SAID_EVERY_S:
                said = now
                logger.info("waiting for the vLLM server since %.0f s", now - began)
            await asyncio.sleep(POLL_S)

    def stop(self) -> None:
        """End it and all that it has started; returns when they are gone.

        A second time, nothing happens.
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
