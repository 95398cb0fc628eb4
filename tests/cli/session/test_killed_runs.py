"""A batch that is killed, and killed again, and goes on: nothing finished is asked for twice."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from quillgraph.backends.calls import CallRecord, read_records
from quillgraph.graphs.episodes import Episode, read_episodes

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
COMMAND = str(Path(sys.executable).with_name("quillgraph"))
REQUESTS = 4
KILLS = 3


@dataclass
class SlowServer:
    """A model that takes its time, and counts what it has answered."""

    spec: str
    answered: int = 0
    last: int | None = None
    lock: Any = field(default_factory=threading.Lock)
    opened: threading.Event = field(default_factory=threading.Event)

    def answers(self) -> None:
        """Count one answer; after the last one, wait until the server is opened again."""
        with self.lock:
            held = self.answered == self.last
            self.answered += not held
        if held:
            self.opened.wait()

    def open(self) -> None:
        self.last = None
        self.opened.set()

    def wait_for(self, answers: int, run: subprocess.Popen[bytes]) -> None:
        """Come back once so many more calls are answered, or the run is over."""
        goal = self.answered + answers
        while self.answered < goal and run.poll() is None:
            time.sleep(0.005)


@pytest.fixture
def slow(answer: Callable[[Request], Response]) -> Iterator[SlowServer]:
    with HTTPServer(threaded=True) as server:
        slowed = SlowServer(f"openai:m@{server.url_for('/v1')}?max_retries=0&max_concurrency=4")

        def reply(request: Request) -> Response:
            time.sleep(0.05)
            response = answer(request)
            slowed.answers()
            return response

        server.expect_request("/v1/chat/completions").respond_with_handler(reply)
        yield slowed
        slowed.opened.set()


def started(*words: object) -> subprocess.Popen[bytes]:
    command = [COMMAND, "run", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_records(file: Path, calls: int) -> None:
    """Come back once so many calls are on the disk."""
    deadline = time.monotonic() + 60
    while not file.exists() or file.read_text("utf-8").count("\n") < calls:
        assert time.monotonic() < deadline, f"{file} did not get {calls} calls"
        time.sleep(0.005)


def counts_of(calls: list[CallRecord]) -> Counter[tuple[str, str | None]]:
    """How often each request of each run was put to the model and answered."""
    paid = [call for call in calls if not call.replayed and call.error is None]
    return Counter((call.run, call.request_sha256) for call in paid)


def outcome_of(episode: Episode) -> list[tuple[Any, ...]]:
    """The calls of an episode as its graph made them; fan-out may end in any order."""
    return sorted((c.graph, c.visit, c.role, c.attempt, c.request_sha256) for c in episode.calls)


def test_a_batch_killed_at_random_moments_ends_as_if_it_had_not_been(
    slow: SlowServer, tmp_path: Path
) -> None:
    lines = [json.dumps({"request": f"A scene on pier {n}, in 40 words."}) for n in range(REQUESTS)]
    Path("batch.jsonl").write_text("\n".join(lines), encoding="utf-8")
    begin = (
        "reflection", "--input", "batch.jsonl", "--criteria", SCRIPTS / "ferry.criteria.json",
        "--backend", slow.spec, "--rounds", 1, "--samples", 4,
    )  # fmt: skip
    assert started(*begin, "--out", "whole").wait() == 0
    calls, before = slow.answered, slow.answered
    # at most four of these are drafts: at least one judgement is cut after its first criterion
    slow.last = slow.answered + REQUESTS + 2
    run, draws = started(*begin, "--out", "killed"), random.Random(4)
    wait_for_records(Path("killed", "calls.jsonl"), REQUESTS + 2)
    for _ in range(KILLS):
        assert run.poll() is None, "the run was over before it was killed"
        run.send_signal(signal.SIGKILL)
        run.wait()
        slow.open()
        run = started("--resume", "killed")
        slow.wait_for(draws.randint(1, calls // (KILLS + 1)), run)
    assert run.wait() == 0
    whole, killed = read_episodes(Path("whole")), read_episodes(Path("killed"))
    assert list(whole) == list(killed) == [1, 2, 3, 4]
    assert len(Path("killed", "episodes.jsonl").read_text("utf-8").splitlines()) == REQUESTS
    records = read_records(Path("killed", "calls.jsonl"))
    # it was cut within nodes, not only between them
    assert any(record.replayed for record in records)
    assert set(counts_of(records).values()) == {1}
    # a call that was answered just before a kill may be known by its replay alone
    known = {(call.run, call.request_sha256) for call in records if call.error is None}
    assert known == set(counts_of(read_records(Path("whole", "calls.jsonl"))))
    # the server may have answered at most those that were in flight when the run was killed
    assert calls <= slow.answered - before <= calls + 4 * KILLS
    for number, episode in whole.items():
        assert killed[number].output == episode.output
        assert outcome_of(killed[number]) == outcome_of(episode)
