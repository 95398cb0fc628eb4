"""Limits on a backend's calls: how many at a time, and how long each."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

from quillgraph.backends.errors import TimedOut
from quillgraph.backends.runtime.loops import PerLoop


class Limiter:
    """Lets at most `max_concurrency` calls of one backend run at a time on each event loop.

    It belongs to the backend because LangGraph's own `max_concurrency` counts per graph run and
    multiplies when graphs nest.

    Each event loop has its own slots; all synchronous callers share one loop, and so one set. So
    a process whose calls come from one loop and from synchronous code has at most twice as many
    in flight. Slots shared among loops would be a trap: a synchronous call made on a loop's own
    thread stops that loop, and would wait for ever for slots that the loop's calls hold.
    """

    def __init__(self, max_concurrency: int) -> None:
        self.max_concurrency = max_concurrency
        self.in_flight = 0
        self.peak = 0
        self._slots: PerLoop[asyncio.Semaphore] = PerLoop()
        self._counting = threading.Lock()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the slots."""
        if (slots := self._slots.get()) is None:
            slots = asyncio.Semaphore(self.max_concurrency)
            self._slots.put(slots)
        async with slots:
            self._count(1)
            try:
                yield
            finally:
                self._count(-1)

    def _count(self, change: int) -> None:
        with self._counting:
            self.in_flight += change
            self.peak = max(self.peak, self.in_flight)


class Deadline:
    """Cancels the code inside it at a given time, and raises `TimedOut`.

    It does not change a `TimeoutError` with another cause. It is a class and no generator, because
    thousands of calls enter it.

    Args:
        when: Time of the running loop, seconds.
        message: Message of the error.

    Raises:
        TimedOut: When the time is over.
    """

    __slots__ = ("_limit", "_message")

    def __init__(self, when: float, message: str) -> None:
        self._limit, self._message = asyncio.timeout_at(when), message

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            raise TimedOut(self._message) from None
