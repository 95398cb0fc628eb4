"""The time that a call may take."""

import asyncio
from types import TracebackType

from quillgraph.backends.errors import TimedOut


class Deadline:
    """Cancels what runs within it when its time is over, and says so.

    A `TimeoutError` of other making passes as it is. No generator makes this context: calls by
    the thousand enter it.

    Args:
        when: Time of the running loop, seconds.
        told: What to say then.

    Raises:
        TimedOut: When it is so.
    """

    __slots__ = ("_limit", "_told")

    def __init__(self, when: float, told: str) -> None:
        self._limit, self._told = asyncio.timeout_at(when), told

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
            raise TimedOut(self._told) from None
