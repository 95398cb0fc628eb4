"""What engines print stays off the terminal."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends import spec as config
from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.errors import ServerFailed, StorageError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.cli.session.supervisor import engines_print_to


def test_what_is_written_to_the_descriptors_goes_to_the_log_and_then_no_more(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "engine.log"
    with engines_print_to(log) as terminal:
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
    with engines_print_to(log):
        os.write(2, b"starting\n")
        child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    child.communicate(b"go on\n")
    assert log.read_text() == "starting\nworking\ndied\n"
    assert capfd.readouterr() == ("", "")


def test_a_log_that_stays_empty_is_removed(tmp_path: Path) -> None:
    with engines_print_to(tmp_path / "engine.log"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_terminal_comes_back_after_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ServerFailed), engines_print_to(tmp_path / "engine.log"):
        raise ServerFailed("dead")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with engines_print_to(tmp_path / "engine.log"):
            pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"engine\.log: No such file"),
        engines_print_to(tmp_path / "none" / "engine.log"),
    ):
        pass


class DyingEngine(ScriptedChat):
    """Prints a dump and dies when it is started."""

    async def start(self) -> None:
        os.write(2, b"a dump of many lines\n")
        raise ServerFailed("the engine died")


def test_an_engine_that_dies_is_told_in_one_line_that_names_the_log(
    quillgraph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(config.BUILT_IN, "scripted", f"{__name__}:DyingEngine")
    (tmp_path / "script.yaml").write_text("rules: [{when: '', reply: so}]")
    done = quillgraph("criteria", "a haiku", "--backend", "scripted:script.yaml", "--out", "run")
    assert done.status == 3
    assert done.stderr.splitlines() == [
        "starting the model …",
        "stopped while starting the model; reached: nothing yet, kept in run",
        "quillgraph: the engine died; the engine's own words are in run/engine.log",
    ]
    assert (tmp_path / "run" / "engine.log").read_text() == "a dump of many lines\n"


class ChattyEngine(ScriptedChat):
    """Prints when it is started, and goes on well."""

    async def start(self) -> None:
        os.write(2, b"a warning\n")


@pytest.mark.parametrize("role", ["coder", "observer"])
def test_a_server_that_fails_does_not_point_at_the_words_of_another_engine(
    role: str, quillgraph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(config.BUILT_IN, "scripted", f"{__name__}:ChattyEngine")
    (tmp_path / "script.yaml").write_text("rules: [{when: '', reply: It rained. It rained on.}]")
    nobody = "openai:m@http://127.0.0.1:9/v1?max_retries=0"
    done = quillgraph(
        *("criteria", "a haiku", "--backend", "scripted:script.yaml", "--out", "run"),
        *("--role", f"{role}={nobody}"),
    )
    assert done.status == 3
    assert done.error.startswith("quillgraph: cannot reach http://127.0.0.1:9/v1")
    assert "engine.log" not in done.stderr
    # it is there for who looks
    assert (tmp_path / "run" / "engine.log").read_text() == "a warning\n"


class FailingEngine(ChattyEngine):
    """Prints when it is started, and then never answers."""

    async def _complete(self, request: ChatRequest) -> Completion:
        raise ServerFailed("the engine died")


def test_an_engine_that_dies_beside_a_server_points_at_its_own_words(
    quillgraph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.setitem(config.BUILT_IN, "scripted", f"{__name__}:FailingEngine")
    (tmp_path / "script.yaml").write_text("rules: [{when: '', reply: so}]")
    done = quillgraph(
        *("criteria", "a haiku", "--backend", spec, "--out", "run"),
        *("--role", "coder=scripted:script.yaml"),
    )
    assert done.status == 3
    assert done.error.endswith("the engine's own words are in run/engine.log")
