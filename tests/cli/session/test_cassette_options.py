"""Runs that are recorded, and repeated from their cassette without model or network."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_httpserver import HTTPServer

from quillgraph.backends.calls import read_records
from quillgraph.backends.cassette.chat import Cassette
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.weights import pull
from quillgraph.graphs.episodes import Episode
from quillgraph.graphs.supervision import engines

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
CRITERIA = SCRIPTS / "ferry.criteria.json"
SMOLLM2 = Path(__file__).with_name("write_on_smollm2.cassette.jsonl")
"""`quillgraph write` on the real model; recorded by
`quillgraph write "A toast to rain in two lines" --backend vllm:smollm2-135m --record FILE` with the
options below. The model's folder was then cut down to its name, and the digests made anew."""
TEXT = "The bell rang twice and the old man cut the rope. Nobody on the pier said a word."
TOAST = (
    "write", "A toast to rain in two lines", "--drafts", 1, "--rounds", 1, "--text-tokens", 60,
    "--samples", 1, "--draft-tokens", 60, "--seed", 7,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing names a memory, as for a user who has set nothing up."""
    monkeypatch.delenv("QUILLGRAPH_MEMORY")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is cut, and no model is at hand."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a replay reached for the network")

    def missing(*_: object, **__: object) -> None:
        raise AssertionError("a replay reached for a model")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(engines, "connect_embeddings", missing)


def ferry(*more: object) -> list[object]:
    return ["write", "--file", SCRIPTS / "ferry.txt", "--criteria", CRITERIA, *more]


def timeless(folder: str) -> str:
    """An episode as it lies on disk, but for the times of its lessons."""
    text = Path(folder, "episode.json").read_text(encoding="utf-8")
    episode = json.loads(text)
    for lesson in episode["learned"]:
        for name in ("last_used", "confirmed"):
            if lesson.get(name):
                text = text.replace(lesson[name], "TIME")
    return text


def calls(folder: str) -> set[tuple[Any, ...]]:
    """What was asked and answered in a run."""
    return {
        (each.role, each.node, each.request_sha256, each.reply, each.model, each.trace)
        for each in read_records(Path(folder, "calls.jsonl"))
    }


@pytest.mark.usefixtures("offline")
def test_a_write_on_the_real_model_replays_twice_byte_for_byte_without_network(
    quillgraph: Any,
) -> None:
    for folder in ("first", "second"):
        done = quillgraph(*TOAST, "--backend", f"cassette:{SMOLLM2}", "--out", folder)
        assert done.status == 0, done.stderr
    assert timeless("first") == timeless("second")
    assert calls("first") == calls("second")
    episode = Episode.model_validate_json(Path("first", "episode.json").read_text("utf-8"))
    assert episode.attempts
    recording = Cassette(SMOLLM2)
    assert len(read_records(Path("first", "calls.jsonl"))) == len(recording.calls)
    assert recording.voice().model == "smollm2-135m"
    # the tokens are those of the real model
    records = read_records(Path("first", "calls.jsonl"))
    trace = next(each.trace for each in records if each.role == "writer")
    assert trace is not None
    assert trace.is_bent
    assert trace.logprobs is not None
    assert min(trace.logprobs) < 0


@pytest.mark.model
@pytest.mark.usefixtures("vllm_chat")  # vLLM's own warnings come when it is first imported
def test_a_write_on_the_real_model_is_recorded_anew_and_replays(
    quillgraph: Any, request: pytest.FixtureRequest
) -> None:
    pull("minilm")
    backend = ("--backend", "vllm:smollm2-135m?max_model_len=2048", "--embeddings", "minilm")
    done = quillgraph(*TOAST, *backend, "--record", "c.jsonl", "--out", "recorded")
    assert done.status == 0, done.stderr
    request.getfixturevalue("offline")
    for folder in ("first", "second"):
        done = quillgraph(*TOAST, "--backend", "cassette:c.jsonl", "--out", folder)
        assert done.status == 0, done.stderr
        assert timeless(folder) == timeless("recorded")
        assert calls(folder) == calls("recorded")


@pytest.mark.usefixtures("offline")
def test_write_replays_with_the_memory_that_it_had(
    quillgraph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = ("--backend", f"scripted:{SCRIPTS / 'ferry.yaml'}")
    monkeypatch.setattr(engines, "connect_embeddings", lambda _: LexicalEmbeddings())
    done = quillgraph(*ferry(*scripted, "--record", "c.jsonl", "--out", "recorded"))
    assert done.status == 0, done.stderr
    for folder in ("first", "second"):
        done = quillgraph(*ferry("--backend", "cassette:c.jsonl", "--out", folder))
        assert done.status == 0, done.stderr
        assert timeless(folder) == timeless("recorded")
    assert json.loads(timeless("recorded"))["learned"]
    assert Path("recorded", "memory.sqlite").exists()


@pytest.mark.parametrize(
    ("command", "result"),
    [
        (["criteria", "A toast to rain.", "--drafts", 1], "criteria.json"),
        (["judge", "--criteria", CRITERIA, "--text", "text.txt"], "judgement.json"),
    ],
    ids=["criteria", "judge"],
)
def test_criteria_and_judge_replay_from_a_server(
    command: list[object], result: str, quillgraph: Any, spec: str, server: HTTPServer
) -> None:
    if command[0] == "judge":
        Path("text.txt").write_text(TEXT, encoding="utf-8")
        command = [*command, "--file", SCRIPTS / "ferry.txt"]
    done = quillgraph(*command, "--backend", spec, "--record", "c.jsonl", "--out", "recorded")
    assert done.status == 0, done.stderr
    requests = len(server.log)
    done = quillgraph(*command, "--backend", "cassette:c.jsonl", "--out", "again")
    assert done.status == 0, done.stderr
    assert len(server.log) == requests
    assert Path("again", result).read_bytes() == Path("recorded", result).read_bytes()
    assert calls("again") == calls("recorded")
    assert calls("again")


def test_a_key_never_enters_the_cassette(
    quillgraph: Any, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-not-to-be-written-anywhere"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    words = ("criteria", f"A toast to {key}.", "--drafts", 1, "--backend", spec)
    assert quillgraph(*words, "--record", "c.jsonl", "--out", "run").status == 0
    assert key not in Path("c.jsonl").read_text(encoding="utf-8")


def test_roles_with_models_of_their_own_replay_each_with_its_own(quillgraph: Any) -> None:
    script = yaml.safe_load((SCRIPTS / "ferry.yaml").read_text(encoding="utf-8"))
    Path("judge.yaml").write_text(yaml.safe_dump(script), encoding="utf-8")
    scripted = (
        "--backend", f"scripted:{SCRIPTS / 'ferry.yaml'}", "--no-memory",
        "--role", "judge=scripted:judge.yaml?items_per_call=3",
    )  # fmt: skip
    done = quillgraph(*ferry(*scripted, "--record", "c.jsonl", "--out", "recorded"))
    assert done.status == 0, done.stderr
    assert [voice.name for voice in Cassette(Path("c.jsonl")).voices] == ["common", "judge"]
    replayed = ("--backend", "cassette:c.jsonl", "--no-memory")
    assert quillgraph(*ferry(*replayed, "--out", "again")).status == 0
    assert timeless("again") == timeless("recorded")
    # another model for a role goes before the recorded one
    done = quillgraph(*ferry(*replayed, "--role", "judge=scripted:judge.yaml", "--out", "other"))
    assert done.status == 0, done.stderr


def test_other_options_than_the_recordings_are_told_with_the_first_call_that_differs(
    quillgraph: Any,
) -> None:
    scripted = ("--backend", f"scripted:{SCRIPTS / 'ferry.yaml'}", "--no-memory")
    assert quillgraph(*ferry(*scripted, "--record", "c.jsonl", "--out", "recorded")).status == 0
    replayed = ("--backend", "cassette:c.jsonl", "--no-memory", "--seed", 3)
    done = quillgraph(*ferry(*replayed, "--out", "again"))
    assert done.status == 3
    assert "note: recorded with seed 0, now 3" in done.stderr
    assert "quillgraph: c.jsonl holds no such call of node draft, role writer; run" in done.stderr
    lines = done.stderr.splitlines()
    assert "  --- recorded: node draft, role writer" in lines
    assert any(line.startswith("  -seed: ") for line in lines)


def test_a_run_that_fails_leaves_a_whole_cassette(quillgraph: Any) -> None:
    Path("empty.yaml").write_text("rules: [{when: never said, reply: so}]\n", encoding="utf-8")
    words = ferry("--backend", "scripted:empty.yaml", "--no-memory")
    failed = quillgraph(*words, "--record", "c.jsonl", "--out", "recorded")
    again = quillgraph(*ferry("--backend", "cassette:c.jsonl", "--no-memory", "--out", "again"))
    assert failed.status == again.status == 3
    assert again.error == failed.error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-30], "the recording bad.jsonl was not finished"),
        (lambda text: text.replace("writer", "Writer", 1), "does not have the digest it carries"),
        (lambda text: text.replace('"version":1', '"version":9', 1), "got version 9"),
        (lambda text: "{}\n", "expected a cassette, made by --record, but bad.jsonl is none"),
    ],
    ids=["truncated", "edited", "another version", "another file"],
)
def test_a_bad_cassette_is_refused_before_anything_is_made(
    change: Any, message: str, quillgraph: Any
) -> None:
    scripted = ("--backend", f"scripted:{SCRIPTS / 'ferry.yaml'}", "--no-memory")
    assert quillgraph(*ferry(*scripted, "--record", "c.jsonl", "--out", "recorded")).status == 0
    text = Path("c.jsonl").read_text(encoding="utf-8")
    Path("bad.jsonl").write_text(change(text), encoding="utf-8")
    done = quillgraph(*ferry("--backend", "cassette:bad.jsonl", "--out", "again"))
    assert done.status == 2
    assert message in done.error
    assert not Path("again").exists()


def test_a_file_that_exists_is_not_recorded_over(quillgraph: Any) -> None:
    Path("mine.txt").write_text("mine")
    scripted = ("--backend", f"scripted:{SCRIPTS / 'ferry.yaml'}", "--no-memory")
    done = quillgraph(*ferry(*scripted, "--record", "mine.txt", "--out", "run"))
    assert done.status == 2
    assert "expected a new file to record in, but mine.txt exists" in done.error
    assert Path("mine.txt").read_text() == "mine"
    assert not Path("run").exists()
