"""In-process vLLM around its engine, which is stood in for; `test_contract.py` has the real one."""

import asyncio
import importlib
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends.errors import ServerFailed, TimedOut
from quillgraph.backends.vllm.chat import VllmChat

pytest.importorskip("vllm")


@pytest.fixture
def loop_threads() -> Callable[[], int]:
    """Counts the loops of engines that were begun since; other tests keep an engine of theirs."""

    def running() -> int:
        return sum(each.name == "quillgraph-vllm" for each in threading.enumerate())

    before = running()
    return lambda: running() - before


class Broken(VllmChat):
    """Its engine does not start."""

    def _build(self) -> None:
        time.sleep(0.2)
        raise ServerFailed("no start")


async def test_closing_during_a_start_that_fails_leaves_nothing(
    loop_threads: Callable[[], int],
) -> None:
    model = Broken(model="m")
    start = asyncio.create_task(model.start())
    await asyncio.sleep(0.05)
    await model.aclose()
    with pytest.raises(ServerFailed, match="no start"):
        await start
    assert loop_threads() == 0


async def test_closing_after_a_caller_gave_up_on_a_start_that_fails_leaves_nothing(
    loop_threads: Callable[[], int],
) -> None:
    model = Broken(model="m")
    start = asyncio.create_task(model.start())
    await asyncio.sleep(0.05)
    start.cancel()
    await asyncio.gather(start, return_exceptions=True)
    await model.aclose()
    assert loop_threads() == 0


async def test_callers_on_many_threads_share_one_loop(loop_threads: Callable[[], int]) -> None:
    model, together = Broken(model="m"), threading.Barrier(6)

    def ask(_: int) -> Any:
        together.wait()
        return model._engine_loop()

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(ask, range(6)))) == 1
    assert loop_threads() == 1
    await model.aclose()
    assert loop_threads() == 0


class Endless:
    """An engine that never ends a request, and keeps which ones were aborted."""

    output_handler = None

    def __init__(self) -> None:
        self.aborted: list[str] = []

    async def generate(self, *_: Any, request_id: str, **__: Any) -> AsyncIterator[Any]:
        try:
            await asyncio.sleep(60)
            yield None
        except asyncio.CancelledError:  # as vLLM's own does
            self.aborted.append(request_id)
            raise

    def shutdown(self) -> None:
        pass


@pytest.mark.model
async def test_a_call_over_its_time_is_aborted_on_the_engine(tool_folder: Path) -> None:
    engine = Endless()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of vLLM's own imports
        importlib.import_module("vllm.v1.engine.async_llm")

    class Standing(VllmChat):
        def _build(self) -> None:
            from transformers import AutoTokenizer

            time.sleep(0.3)  # longer than the call may take: a start is not its time
            self._tokenizer = AutoTokenizer.from_pretrained(tool_folder)
            self._engine = engine

    model = Standing(model=str(tool_folder), timeout_s=0.2)
    with pytest.raises(TimedOut, match=r"0\.2 s"):
        await model.ainvoke("hi", max_tokens=4)
    async with asyncio.timeout(30):
        while not engine.aborted:  # noqa: ASYNC110  # on the engine's loop, a moment later
            await asyncio.sleep(0.01)
    assert engine.aborted == ["quillgraph-0"]
    assert model.limiter.in_flight == 0
    await model.aclose()


LEFT_OPEN = """
from quillgraph.backends import connect

if __name__ == "__main__":
    model = connect("vllm:smollm2-135m?max_model_len=1024")
    print(model.bind(max_tokens=4).invoke("Say hi.").response_metadata["finish_reason"])
"""


def test_a_script_that_leaves_its_engine_open_ends_without_a_word(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(LEFT_OPEN, encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-P", script], capture_output=True, text=True, timeout=300, check=True
    )
    assert process.stdout.split()[-1] in ("length", "stop")
    assert "Traceback" not in process.stderr
    assert "Exception ignored" not in process.stderr
