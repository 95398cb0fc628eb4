"""Slots that all callers of a backend share, and the time that a call may take."""

import asyncio

import pytest

from quillgraph.backends.errors import TimedOut
from quillgraph.backends.runtime.limits import Deadline, Limiter


async def hold(limiter: Limiter) -> None:
    async with limiter.slot():
        for _ in range(3):
            await asyncio.sleep(0)


async def test_no_more_calls_run_than_there_are_slots() -> None:
    limiter = Limiter(3)
    await asyncio.gather(*(hold(limiter) for _ in range(10)))
    assert limiter.peak == 3
    assert limiter.in_flight == 0


async def test_fewer_calls_than_slots_all_run_at_once() -> None:
    limiter = Limiter(8)
    await asyncio.gather(*(hold(limiter) for _ in range(5)))
    assert limiter.peak == 5


async def test_a_call_that_fails_gives_its_slot_back() -> None:
    limiter = Limiter(1)
    with pytest.raises(ZeroDivisionError):
        async with limiter.slot():
            1 / 0  # noqa: B018
    await hold(limiter)
    assert limiter.in_flight == 0


async def test_a_call_cancelled_while_it_waits_takes_no_slot() -> None:
    limiter = Limiter(1)
    async with limiter.slot():
        waiting = asyncio.create_task(hold(limiter))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert limiter.in_flight == 1
    await hold(limiter)
    assert limiter.peak == 1


def test_a_limiter_serves_one_event_loop_after_another() -> None:
    limiter = Limiter(2)

    async def crowd() -> None:
        await asyncio.gather(*(hold(limiter) for _ in range(6)))

    asyncio.run(crowd())
    asyncio.run(crowd())
    assert limiter.peak == 2


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
