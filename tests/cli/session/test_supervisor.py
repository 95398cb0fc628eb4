"""An engine that dies is told in a line that says where its own words are."""

import os
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends import spec as config
from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.errors import ServerFailed
from quillgraph.backends.scripted import ScriptedChat


def test_an_engine_that_dies_is_told_in_one_line_that_names_the_log(
    quillgraph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(config.CLASSES, "scripted", (__name__, "DyingEngine"))
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
    monkeypatch.setitem(config.CLASSES, "scripted", (__name__, "ChattyEngine"))
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
    monkeypatch.setitem(config.CLASSES, "scripted", (__name__, "FailingEngine"))
    (tmp_path / "script.yaml").write_text("rules: [{when: '', reply: so}]")
    done = quillgraph(
        *("criteria", "a haiku", "--backend", spec, "--out", "run"),
        *("--role", "coder=scripted:script.yaml"),
    )
    assert done.status == 3
    assert done.error.endswith("the engine's own words are in run/engine.log")
