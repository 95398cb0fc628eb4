"""One loop for all synchronous calls, and values that go with their loops."""

import asyncio
import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from quillgraph.backends.runtime import loops
from quillgraph.backends.runtime.loops import BackgroundLoop, PerLoop, synchronous_calls


class SlowToStart(BackgroundLoop):
    """Long enough in the making that a second thread would come in between."""

    def __init__(self, name: str) -> None:
        time.sleep(0.05)
        super().__init__(name)


def test_synchronous_callers_on_many_threads_share_one_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loops, "_synchronous_calls", None)
    monkeypatch.setattr(loops, "BackgroundLoop", SlowToStart)
    together = threading.Barrier(6)

    def ask(_: int) -> BackgroundLoop:
        together.wait()
        return synchronous_calls()

    with ThreadPoolExecutor(6) as threads:
        distinct = set(threads.map(ask, range(6)))
    for each in distinct:
        each.close()
    assert len(distinct) == 1


def test_each_loop_has_its_value_and_a_closed_one_is_let_go() -> None:
    values: PerLoop[Any] = PerLoop()
    over: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def visit() -> None:
        loop = asyncio.get_running_loop()
        assert values.get() is None
        values.put([loop])  # as a session does, it holds its loop
        assert values.get() == [loop]
        over.append(weakref.ref(loop))

    for _ in range(10):
        asyncio.run(visit())
    gc.collect()
    assert len(values) == 1  # the last: nobody has come since
    assert sum(each() is not None for each in over) == 1
    assert len(values.clear()) == 1
    assert len(values) == 0
