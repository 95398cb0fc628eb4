"""A server that we start: waited for, heard when it dies, and gone when we are, however we went."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from quillgraph.backends.errors import ServerFailed, Unreachable
from quillgraph.backends.servers.process import OwnServer, ServerProcess

# serves /health after a moment, with a child in its group as vLLM's engine is one
SERVER = """
import argparse, http.server, subprocess, sys, time
parser = argparse.ArgumentParser()
for name in ("--host", "--port", "--after", "--die"):
    parser.add_argument(name)
asked = parser.parse_args()
if asked.die:
    print("loading weights", flush=True)
    print("ValueError: " + asked.die, file=sys.stderr, flush=True)
    sys.exit(3)
nap = [sys.executable, "-c", "import time; time.sleep(120)"]
engine = subprocess.Popen(nap)
time.sleep(float(asked.after or 0))
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(engine.pid).encode())
    def log_message(self, *args):
        pass
http.server.HTTPServer((asked.host, int(asked.port)), Health).serve_forever()
"""

PARENT = """
import asyncio, sys
from quillgraph.backends.servers.process import OwnServer

async def main():
    own = OwnServer(["stub_vllm"], {"PYTHONPATH": sys.argv[1]}, 60)
    async def is_up():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", own.launched().port)
        except OSError:
            return False
        writer.close()
        return True
    await own.until_up(is_up)
    print(own.launched().port, flush=True)
    await asyncio.sleep(120)

asyncio.run(main())
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "stub_vllm.py").write_text(SERVER, encoding="utf-8")
    return {"PYTHONPATH": str(tmp_path)}


def engine_at(port: int) -> int | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return int(answer.read())
    except OSError:
        return None


async def up(own: OwnServer) -> None:
    async def is_up() -> bool:
        return await asyncio.to_thread(engine_at, own.launched().port) is not None

    await own.until_up(is_up)


def environment_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0")


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_alive(pid)


async def test_a_server_is_waited_for_and_stopped_with_what_it_started(
    module: dict[str, str],
) -> None:
    own = OwnServer(["stub_vllm", "--after", "0.5"], module, 60)
    launched = own.launched()
    await asyncio.gather(*(up(own) for _ in range(5)))
    assert own.launched() is launched  # five calls, one server
    engine = engine_at(launched.port)
    assert engine is not None
    await own.stop()
    assert gone(engine)
    await own.stop()  # a second time, nothing happens


async def test_a_server_that_dies_is_quoted_by_all_that_wait_and_can_be_tried_again(
    module: dict[str, str],
) -> None:
    own = OwnServer(["stub_vllm", "--die", "no such model"], module, 60)
    ended = await asyncio.gather(*(up(own) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, ServerFailed) for each in ended)
    assert len(set(map(id, ended))) == 1  # it was started once
    assert "status 3" in str(ended[0])
    assert "ValueError: no such model" in str(ended[0])
    assert "loading weights" not in str(ended[0])  # where errors are named, they alone are shown
    with pytest.raises(ServerFailed):
        await up(own)


async def test_what_the_user_has_set_stands(
    module: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLGRAPH_TEST_WORD", "the user's")
    own = OwnServer(["stub_vllm", "--die", "so"], {**module, "QUILLGRAPH_TEST_WORD": "ours"}, 60)
    variables = environment_of(own.launched().pid)
    await own.stop()
    assert "QUILLGRAPH_TEST_WORD=the user's" in variables


async def test_a_server_that_dies_later_still_says_why(module: dict[str, str]) -> None:
    own = OwnServer(["stub_vllm"], module, 60)
    await up(own)
    os.kill(own.launched().pid, signal.SIGABRT)
    await asyncio.to_thread(own.launched()._process.wait)
    with pytest.raises(ServerFailed, match=r"ended with status -6; its last words:"):
        own.check()
    await own.stop()
    own.check()  # one that was stopped has not died


async def test_a_server_that_is_not_up_in_time_is_stopped(module: dict[str, str]) -> None:
    own = OwnServer(["stub_vllm", "--after", "100"], module, 1.0)
    process = own.launched()
    with pytest.raises(Unreachable, match="not up after 1 s"):
        await up(own)
    assert gone(process.pid)


async def test_its_user_hears_that_it_is_waited_for(
    module: dict[str, str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quillgraph.backends.servers.process.SAID_EVERY_S", 0.2)
    caplog.set_level("INFO", logger="quillgraph")
    own = OwnServer(["stub_vllm", "--after", "1.5"], module, 60)
    await up(own)
    await own.stop()
    assert "waiting for the vLLM server" in caplog.text
    assert "is up after" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_server_ends_with_the_process_that_started_it(
    module: dict[str, str], number: signal.Signals
) -> None:
    command = [sys.executable, "-P", "-c", PARENT, module["PYTHONPATH"]]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        engine = engine_at(int(parent.stdout.readline()))
        assert engine is not None
        os.kill(parent.pid, number)
        parent.wait(60)
    assert gone(engine)


def test_stopping_kills_what_does_not_want_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quillgraph.backends.servers.process.PATIENCE_S", 0.3)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    (tmp_path / "stubborn.py").write_text(f"{stubborn}open('up', 'w')\ntime.sleep(120)\n")
    monkeypatch.chdir(tmp_path)
    process = ServerProcess(["stubborn"], {"PYTHONPATH": str(tmp_path)})
    wait_for((tmp_path / "up").exists)
    process.stop()
    assert gone(process.pid)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert holds()
