"""The time that a call may take."""

import asyncio

import pytest

from quillgraph.backends.errors import TimedOut
from quillgraph.backends.runtime.limits import Deadline


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.01


async def test_what_is_over_its_time_is_cancelled_and_told() -> None:
    ended: list[type[BaseException]] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            ended.append(type(error))
            raise

    with pytest.raises(TimedOut, match="too long"):
        async with Deadline(soon(), "too long"):
            await work()
    assert ended == [asyncio.CancelledError]


async def test_what_is_done_in_time_and_what_fails_by_itself_pass() -> None:
    async with Deadline(soon() + 60, "too long"):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError, match="mine"):
        async with Deadline(soon() + 60, "too long"):
            raise TimeoutError("mine")


async def test_a_caller_that_gives_up_is_not_told_of_a_timeout() -> None:
    async def wait() -> None:
        async with Deadline(soon() + 60, "too long"):
            await asyncio.sleep(60)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
