"""Many calls: from threads and loops, in parallel, cancelled, timed out."""

import asyncio

import pytest

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.contract.prompts import ASK, SLOWLY, assert_pickles
from quillgraph.backends.errors import (
    ConfigError,
    TimedOut,
)


def test_synchronous_calls_answer_too(backend: ChatBackend) -> None:
    assert backend.invoke(ASK, max_tokens=8).content


def test_a_backend_outlives_the_loop_that_first_used_it(backend: ChatBackend) -> None:
    replies = [asyncio.run(backend.ainvoke(ASK, max_tokens=8)) for _ in range(2)]
    assert all(reply.content for reply in replies)


async def test_a_synchronous_call_works_inside_a_running_loop(backend: ChatBackend) -> None:
    assert backend.invoke(ASK, max_tokens=8).content


async def test_no_more_calls_run_at_once_than_allowed(backend: ChatBackend) -> None:
    replies = await asyncio.gather(*(backend.ainvoke(ASK, max_tokens=4) for _ in range(9)))
    assert len(replies) == 9
    assert 1 <= backend.limiter.peak <= backend.max_concurrency == 4


async def test_a_refused_call_gives_its_place_back(backend: ChatBackend) -> None:
    calls = (backend.ainvoke(ASK, temprature=1.0) for _ in range(6))
    assert all(
        isinstance(each, ConfigError)
        for each in await asyncio.gather(*calls, return_exceptions=True)
    )
    assert backend.limiter.in_flight == 0
    assert (await backend.ainvoke(ASK, max_tokens=4)).content


async def test_a_cancelled_call_leaves_the_backend_serving(backend: ChatBackend) -> None:
    call = asyncio.create_task(backend.ainvoke(ASK, max_tokens=1900))
    await asyncio.sleep(0.05)  # long enough that an engine has begun, in most runs
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert backend.limiter.in_flight == 0
    assert (await backend.ainvoke(ASK, max_tokens=4)).content


@pytest.mark.needs("time")
async def test_a_call_that_takes_longer_than_it_may_is_called_off(
    backend: ChatBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backend.start()
    monkeypatch.setattr(backend, "timeout_s", 0.05)
    # nearly as long a reply as the window takes; without one, what takes long at any speed
    most = (backend.capabilities.context_tokens or 500_000) - 148
    with pytest.raises(TimedOut, match=r"no whole reply within 0\.05 s \(timeout_s\)") as caught:
        await backend.ainvoke(SLOWLY, max_tokens=most)
    assert_pickles(caught.value)
    assert backend.limiter.in_flight == 0
    monkeypatch.undo()
    assert (await backend.ainvoke(ASK, max_tokens=4)).content
