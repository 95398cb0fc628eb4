"""Files are closed while threads that a run has left behind still use them."""

import subprocess
import sys
from pathlib import Path

import pytest

KEPT_CALLS = """
from quillgraph.graphs.episodes.kept_calls import KeptCalls as File

def use(file):
    file.begin("1")
    file.of("1")
"""

CHECKPOINTS = """
from quillgraph.graphs.episodes.saver import GraphSaver as File

def use(file):
    file.has("1")
"""

JUDGEMENTS = """
from contextlib import contextmanager
from quillgraph.rl.rewards.scorer import JudgementCache

class File:
    @classmethod
    @contextmanager
    def open(cls, path):
        cache = JudgementCache(path)
        yield cache
        cache.close()

def use(file):
    file.get("1")
"""

PROGRAM = """
import sys, threading, time
from pathlib import Path
from quillgraph.backends.errors import StorageError

ended = []

def work(file):
    try:
        while True:
            use(file)
    except StorageError:
        ended.append(1)

for number in range(60):
    with File.open(Path(sys.argv[1]) / f"{number}.sqlite") as file:
        threads = [threading.Thread(target=work, args=(file,)) for _ in range(3)]
        for each in threads:
            each.start()
        time.sleep(0.002)
    for each in threads:
        each.join()
print(len(ended))
"""


@pytest.mark.parametrize("file", [KEPT_CALLS, CHECKPOINTS, JUDGEMENTS])
def test_a_file_that_is_closed_under_a_thread_is_an_error_and_no_crash(
    file: str, tmp_path: Path
) -> None:
    # SQLite crashes the process where a connection is closed in the middle of a statement
    command = [sys.executable, "-P", "-c", file + PROGRAM, str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (process.returncode, process.stdout) == (0, "180\n"), process.stderr
