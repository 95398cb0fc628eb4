"""The time that a call may take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from quillgraph.backends.errors import TimedOut


@asynccontextmanager
async def before(deadline: float, told: str) -> AsyncIterator[None]:
    """Cancel what runs within when its time is over.

    Args:
        deadline: Time of the running loop, seconds.
        told: What to say then.

    Raises:
        TimedOut: When it is so. A `TimeoutError` of other making passes as it is.
    """
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimedOut(told) from None
