"""Work on many items concurrently."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeVar

T = TypeVar("T")


async def for_each(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int | None = None
) -> None:
    """Work on items concurrently; the first error cancels the rest and is raised.

    Args:
        items: What to work on.
        work: Works on one of them.
        at_once: Highest number of items in work at a time; None for no limit.
    """
    gate: AbstractAsyncContextManager[object] = (
        asyncio.Semaphore(at_once) if at_once else nullcontext()
    )

    async def one(item: T) -> None:
        async with gate:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
