"""What we have started ends with us, also when we are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PARENT = """
import subprocess, sys, time
from quillgraph.backends.runtime.sentinel import Sentinel
nap = [sys.executable, "-c", "import time; time.sleep(60)"]
child = subprocess.Popen(nap, stdout=subprocess.DEVNULL)
sentinel = Sentinel([child.pid])
if sys.argv[1] == "dismiss":
    sentinel.dismiss()
print(child.pid, flush=True)
time.sleep(60)
"""


def killed(how: str) -> int:
    """Kill a process that has started another, and return the other's id."""
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", PARENT, how], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    return child


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped yet does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_killed_process_takes_what_it_started_along() -> None:
    child = killed("watch")
    deadline = time.monotonic() + 30
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)


def test_a_dismissed_sentinel_leaves_the_processes_alone() -> None:
    child = killed("dismiss")
    try:
        time.sleep(0.5)
        assert is_alive(child)
    finally:
        os.kill(child, signal.SIGKILL)
