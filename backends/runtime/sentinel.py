"""A process that outlives ours by a moment, to stop what we have started."""

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
    """Kills processes once this one is gone, however it went.

    vLLM's engine processes do not notice that the process which started them was killed: they
    go on, with the memory that they hold (seen, LOG.md 2026-11-23). The sentinel waits on a pipe
    whose other end dies with us.

    Args:
        pids: The processes to kill; a number below zero stands for a process group.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        command = [sys.executable, "-c", _PROGRAM, *map(str, pids)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def dismiss(self) -> None:
        """End the watch: the processes have been stopped in good order."""
        self._process.kill()
        self._process.communicate()
