"""A run that fails or is stopped says why in one line, and keeps what it had reached."""

import itertools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from quillgraph.backends.calls import CallRecord, read_records

REQUEST = "Write a story about a lighthouse keeper, in under 300 words, for children."

COMMAND = Path(sys.executable).with_name("quillgraph")


def kept() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(Path("run", "run.json").read_text(encoding="utf-8"))
    return facts


def study() -> dict[str, Any]:
    reached: dict[str, Any] = json.loads(Path("run", "study.json").read_text(encoding="utf-8"))
    return reached


def calls() -> list[CallRecord]:
    return read_records(Path("run", "calls.jsonl"))


def words(spec: str, *more: object) -> list[str]:
    arguments = ("criteria", REQUEST, "--backend", spec, "--out", "run", *more)
    return [str(word) for word in arguments]


def spec_of(server: HTTPServer, *, retries: int = 0) -> str:
    return f"openai:m@{server.url_for('/v1')}?max_retries={retries}"


# backends that fail


def refusing(server: HTTPServer, status: int, message: str) -> None:
    server.expect_request("/v1/chat/completions").respond_with_json(
        {"error": {"message": message}}, status=status, headers={"retry-after-ms": "1"}
    )


@pytest.mark.parametrize(
    ("status", "message", "parts"),
    [
        (401, "no such key", ["answered 401: no such key", "OPENAI_API_KEY"]),
        (404, "no such model", ["answered 404", "model 'm'"]),
        (429, "slow down", ["answered 429: slow down (tried once)", "lower max_concurrency"]),
        (500, "oops", ["answered 500: oops (tried once)", "server's log"]),
        (503, "busy", ["answered 503: busy (tried once)", "server's log"]),
        (
            400,
            "This model's maximum context length is 512 tokens",
            ["answered 400", "maximum context length is 512", "shorten the prompt"],
        ),
    ],
)
def test_a_server_that_refuses_ends_the_run_with_its_words(
    status: int, message: str, parts: list[str], httpserver: HTTPServer, quillgraph: Any
) -> None:
    refusing(httpserver, status, message)
    httpserver.expect_request("/v1/models").respond_with_json({"data": [{"id": "mm"}]})
    done = quillgraph(*words(spec_of(httpserver)))
    assert (done.status, done.stdout) == (3, "")
    assert done.error.startswith("quillgraph: ")
    for part in parts:
        assert part in done.error
    assert "Traceback" not in done.stderr
    assert kept()["status"] == "failed"
    assert f"answered {status}" in kept()["error"]
    # reading the request needs no model
    assert [incident["id"] for incident in study()["incidents"]] == ["i1", "i2"]
    assert any(f"answered {status}" in str(record.error) for record in calls())


def test_a_model_that_is_not_there_is_answered_with_the_nearest_one(
    httpserver: HTTPServer, quillgraph: Any
) -> None:
    refusing(httpserver, 404, "no such model")
    httpserver.expect_request("/v1/models").respond_with_json({"data": [{"id": "qwen3"}]})
    done = quillgraph(*words(spec_of(httpserver).replace("openai:m", "openai:qwen")))
    assert "model 'qwen': did you mean 'qwen3'?" in done.error


def test_patience_ends_with_the_last_retry(httpserver: HTTPServer, quillgraph: Any) -> None:
    refusing(httpserver, 429, "slow down")
    done = quillgraph(*words(spec_of(httpserver, retries=1), "--drafts", 0))
    assert done.status == 3
    assert "(tried 2 times)" in done.error
    # three coders and the auditor ask at once; one that fails ends the run, and was asked twice
    assert 2 <= len(httpserver.log) <= 8


def test_nobody_at_the_address_is_said_with_the_address(quillgraph: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening, so nobody else answers there
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        done = quillgraph(*words(f"openai:m@{address}?max_retries=0"))
    assert done.status == 3
    assert f"cannot reach {address}" in done.error
    assert "is the server up" in done.error
    assert "stopped while sampling drafts and coding the request" in done.stderr
    assert "reached: 2 incidents, kept in run" in done.stderr


def test_a_model_that_never_answers_in_the_asked_form_ends_the_run(quillgraph: Any) -> None:
    Path("script.yaml").write_text("rules: [{when: '', reply: I would rather not say a thing}]")
    done = quillgraph(*words("scripted:script.yaml"))
    assert (done.status, done.stdout) == (3, "")
    assert "expected at least one code from the open coders" in done.error
    assert "calls.jsonl" in done.error
    assert kept()["status"] == "failed"
    assert kept()["calls"] == len(calls()) > 0
    assert {record.reply for record in calls()} == {"I would rather not say a thing"}
    # each reply that was of no use is counted, and each incident that nobody said anything of
    reasons = {entry["reason"] for entry in study()["dropped"]}
    assert reasons == {"reply", "no coder named it"}
    assert len(study()["drafts"]) == 4


def test_a_reply_that_no_rule_gives_is_said_with_the_file(quillgraph: Any) -> None:
    Path("script.yaml").write_text("rules: [{when: never asked, reply: so}]")
    done = quillgraph(*words("scripted:script.yaml"))
    assert done.status == 3
    assert "expected a rule in script.yaml" in done.error


# budgets


def test_a_budget_of_calls_is_never_passed_and_what_was_done_is_kept(
    spec: str, quillgraph: Any
) -> None:
    done = quillgraph(*words(spec, "--max-calls", 6, "--drafts", 2))
    assert (done.status, done.stdout) == (4, "")
    assert done.error == "quillgraph: the budget of 6 calls is spent; raise --max-calls"
    assert len(calls()) == kept()["calls"] == 6
    assert kept()["status"] == "budget reached"
    # two drafts, three codings and the audit were asked for, then it was an observer's turn
    assert 1 <= len(study()["drafts"]) <= 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("stopped")]
    assert "stopped while sampling drafts and coding the request; reached: 2 incidents, " in line
    assert line.endswith(", kept in run")


def test_a_budget_that_lasts_to_the_end_stops_nothing(spec: str, quillgraph: Any) -> None:
    assert quillgraph(*words(spec, "--drafts", 0, "--json")).status == 0
    needed = len(calls())
    again = ("criteria", REQUEST, "--backend", spec, "--drafts", 0)
    assert quillgraph(*again, "--out", "enough", "--max-calls", needed).status == 0
    assert quillgraph(*again, "--out", "short", "--max-calls", needed - 1).status == 4
    short = json.loads(Path("short", "study.json").read_text(encoding="utf-8"))
    assert short["core"]
    assert not Path("short", "criteria.json").exists()


def test_a_budget_of_tokens_stops_the_run(spec: str, quillgraph: Any) -> None:
    done = quillgraph(*words(spec, "--max-tokens-total", 40, "--drafts", 2))
    assert done.status == 4
    # 15 tokens a call; those in flight when 40 are passed may still come in
    assert "the budget of 40 tokens is spent" in done.error
    assert "--max-tokens-total" in done.error
    used = kept()["prompt_tokens"] + kept()["completion_tokens"]
    assert 40 <= used == 15 * len([record for record in calls() if record.reply])


@dataclass(frozen=True)
class Stuck:
    """A server that answers three calls and no more."""

    spec: str
    reached: threading.Event
    """Set when a fourth has come."""


@pytest.fixture
def stuck(answer: Callable[[Request], Response]) -> Iterator[Stuck]:
    reached, let_go, count = threading.Event(), threading.Event(), itertools.count(1)

    def answer_three(request: Request) -> Response:
        if next(count) > 3:
            reached.set()
            let_go.wait(60)
        return answer(request)

    with HTTPServer() as server:
        server.expect_request("/v1/chat/completions").respond_with_handler(answer_three)
        yield Stuck(spec_of(server), reached)
        let_go.set()


def test_a_budget_of_time_ends_a_run_that_waits(stuck: Stuck, quillgraph: Any) -> None:
    done = quillgraph(*words(stuck.spec, "--timeout", 0.5))
    assert (done.status, done.stdout) == (4, "")
    assert done.error == "quillgraph: the 0.5 s of the run are over; raise --timeout"
    assert kept()["status"] == "budget reached"
    assert len([record for record in calls() if record.reply]) <= 3


# signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_keeps_what_is_done(number: int, stuck: Stuck) -> None:
    run = subprocess.Popen(
        [COMMAND, *words(stuck.spec)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert stuck.reached.wait(60)
    while len(calls()) < 3:
        time.sleep(0.01)
    run.send_signal(number)
    stdout, stderr = run.communicate(timeout=60)
    assert (run.returncode, stdout) == (1, "")
    assert stderr.splitlines()[-1] == "quillgraph: interrupted"
    assert "Traceback" not in stderr
    assert "stopping … (Ctrl-C again stops at once)" in stderr
    assert "stopped while sampling drafts and coding the request" in stderr
    assert kept()["status"] == "interrupted"
    assert len([record for record in calls() if record.reply]) == 3
    assert len(calls()) == kept()["calls"]
    assert study()["incidents"]


# disks and folders


def test_a_disk_that_fills_up_ends_the_run_and_leaves_what_was_written(
    answer: Callable[[Request], Response],
) -> None:
    count = itertools.count(1)

    def answer_and_fill_the_disk(request: Request) -> Response:
        if next(count) == 3:
            size = Path("run", "calls.jsonl").stat().st_size + 100
            resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (size, size))
        return answer(request)

    with HTTPServer() as server:
        server.expect_request("/v1/chat/completions").respond_with_handler(answer_and_fill_the_disk)
        run = subprocess.Popen(
            [COMMAND, *words(spec_of(server))],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        stdout, stderr = run.communicate(timeout=60)
    assert (run.returncode, stdout) == (1, "")
    assert stderr.splitlines()[-1] == "quillgraph: cannot write run/calls.jsonl: File too large"
    assert "Traceback" not in stderr
    assert "reached: 2 incidents" in stderr
    for record in calls():  # what was written before is whole
        assert record.reply
    assert kept()["status"] in ("running", "failed")


def test_a_folder_that_cannot_be_made_is_named(spec: str, quillgraph: Any) -> None:
    Path("file").touch()
    done = quillgraph("criteria", REQUEST, "--backend", spec, "--out", "file/run")
    assert done.status == 1
    assert done.error == "quillgraph: cannot make the run folder file/run: Not a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(spec: str, quillgraph: Any) -> None:
    Path("run").mkdir(mode=0o500)
    done = quillgraph(*words(spec))
    assert done.status == 1
    assert "cannot write run/run.json: Permission denied" in done.error


def test_a_run_is_not_written_over(spec: str, quillgraph: Any) -> None:
    assert quillgraph(*words(spec, "--drafts", 0)).status == 0
    before = {path: path.read_bytes() for path in Path("run").iterdir()}
    done = quillgraph(*words(spec, "--drafts", 0))
    assert done.status == 2
    assert done.stderr == (
        "quillgraph: expected a new or an empty folder to keep the run in, but run holds a run "
        "already; choose another --out\n"
    )
    assert {path: path.read_bytes() for path in Path("run").iterdir()} == before


def test_a_folder_with_files_in_it_is_not_written_into(spec: str, quillgraph: Any) -> None:
    Path("run").mkdir()
    Path("run", "request.txt").write_text("my own")
    done = quillgraph(*words(spec))
    assert done.status == 2
    assert "run holds request.txt; choose another --out" in done.error
    assert Path("run", "request.txt").read_text() == "my own"


# without vLLM


@pytest.fixture
def no_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if vLLM were not installed: this is how Python marks a module that is not there."""
    monkeypatch.setitem(sys.modules, "vllm", None)


@pytest.mark.usefixtures("no_vllm")
def test_vllm_asked_for_and_not_installed_is_a_matter_of_configuration(quillgraph: Any) -> None:
    done = quillgraph(*words("vllm:smollm2-135m"))
    assert done.status == 2
    assert "vllm is not installed" in done.error
    assert "transformers:" in done.error
    assert not Path("run").exists()


@pytest.mark.usefixtures("no_vllm")
def test_without_vllm_an_unnamed_backend_is_transformers_and_that_is_said(quillgraph: Any) -> None:
    Path("file").touch()  # so that the run ends before a model is loaded
    done = quillgraph("criteria", REQUEST, "--out", "file/run")
    assert done.stderr.splitlines()[0] == (
        "backend transformers:smollm2-135m: vLLM is not installed"
    )
