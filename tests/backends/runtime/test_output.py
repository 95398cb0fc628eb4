"""What engines print stays off the terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quillgraph.backends.errors import ServerFailed, StorageError
from quillgraph.backends.runtime import output_to
from quillgraph.backends.scripted import ScriptedChat


def test_what_is_written_to_the_descriptors_goes_to_the_log_and_then_no_more(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "engine.log"
    with output_to(log) as terminal:
        os.write(1, b"out\n")
        os.write(2, b"err\n")
        terminal.write("for the user\n")
    os.write(2, b"after\n")
    assert log.read_text() == "out\nerr\n"
    assert capfd.readouterr() == ("", "for the user\nafter\n")


def test_a_child_process_keeps_printing_to_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "engine.log"
    program = "import sys; input(); print('working', flush=True); sys.exit('died')"
    with output_to(log):
        os.write(2, b"starting\n")
        child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    child.communicate(b"go on\n")
    assert log.read_text() == "starting\nworking\ndied\n"
    assert capfd.readouterr() == ("", "")


def test_a_log_that_stays_empty_is_removed(tmp_path: Path) -> None:
    with output_to(tmp_path / "engine.log"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_terminal_comes_back_after_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ServerFailed), output_to(tmp_path / "engine.log"):
        raise ServerFailed("dead")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with output_to(tmp_path / "engine.log"):
            pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"engine\.log: No such file"),
        output_to(tmp_path / "none" / "engine.log"),
    ):
        pass


class DyingEngine(ScriptedChat):
    """Prints a dump and dies when it is started."""

    async def start(self) -> None:
        os.write(2, b"a dump of many lines\n")
        raise ServerFailed("the engine died")
