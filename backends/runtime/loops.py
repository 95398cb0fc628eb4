"""Event loops: a loop on its own thread, and values that belong to each loop."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class BackgroundLoop:
    """Runs coroutines of any thread or loop on one long-lived loop.

    An in-process engine binds its tasks to the loop that first used it. Callers come and go
    with loops of their own (`asyncio.run` twice in a notebook, a synchronous `invoke` inside a
    running loop), so the engine lives here and callers only wait for futures.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine on the loop; cancelling the future cancels the coroutine."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine on the loop from another loop."""
        return await asyncio.wrap_future(self.submit(coroutine))

    def close(self) -> None:
        """Stop the loop and its thread; what still runs is cancelled."""
        if not self._loop.is_running():
            return
        self.submit(_cancel_the_rest()).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


class PerLoop(Generic[T]):
    """A value for each event loop; values of closed loops are dropped when another is added.

    It is no weak dictionary: a value such as a semaphore or a session holds its loop, and so would
    keep its own key alive.
    """

    def __init__(self) -> None:
        self._values: dict[asyncio.AbstractEventLoop, T] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self) -> T | None:
        """The value of the running loop, if it has one."""
        return self._values.get(asyncio.get_running_loop())

    def put(self, value: T) -> None:
        """Give the running loop its value."""
        with self._lock:  # each loop may run on a thread of its own
            live = {loop: each for loop, each in self._values.items() if not loop.is_closed()}
            self._values = {**live, asyncio.get_running_loop(): value}

    def clear(self) -> list[tuple[asyncio.AbstractEventLoop, T]]:
        """Remove and return all values, with their loops."""
        with self._lock:
            values, self._values = self._values, {}
        return list(values.items())


def synchronous_calls() -> BackgroundLoop:
    """The one loop behind all synchronous `invoke`s, started by the first caller."""
    global _synchronous_calls
    with _starting:  # callers come on many threads, and a loop each would have slots of its own
        if _synchronous_calls is None:
            _synchronous_calls = BackgroundLoop("quillgraph-sync")
        return _synchronous_calls


_synchronous_calls: BackgroundLoop | None = None
_starting = threading.Lock()


async def _cancel_the_rest() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
