"""A helper process that kills the processes we started, if we die first."""

import subprocess
import sys
from collections.abc import Iterable

_PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.buffer.read()
for pid in sys.argv[1:]:
    try:
        os.kill(int(pid), signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class Sentinel:
    """Kills other processes once this one has ended, for whatever reason.

    vLLM's engine processes do not notice that the process which started them was killed: they
    go on and keep their memory (LOG.md 2026-11-23). The sentinel waits on a pipe that closes when
    this process ends.

    Args:
        pids: The processes to kill; a number below zero stands for a process group.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        command = [sys.executable, "-c", _PROGRAM, *map(str, pids)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def dismiss(self) -> None:
        """Stop watching, because the processes have ended in order."""
        self._process.kill()
        self._process.communicate()
