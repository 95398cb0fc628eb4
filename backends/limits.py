"""The limiter that all graphs of one backend share."""

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Limiter:
    """Lets at most `max_concurrency` calls of one backend run at a time.

    It belongs to the backend because LangGraph's own `max_concurrency` counts per graph run and
    multiplies when graphs nest. Each event loop has its own slots: a semaphore cannot be
    awaited from two loops.
    """

    def __init__(self, max_concurrency: int) -> None:
        self.max_concurrency = max_concurrency
        self.in_flight = 0
        self.peak = 0
        self._slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the slots."""
        loop = asyncio.get_running_loop()
        slots = self._slots.setdefault(loop, asyncio.Semaphore(self.max_concurrency))
        async with slots:
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            try:
                yield
            finally:
                self.in_flight -= 1
