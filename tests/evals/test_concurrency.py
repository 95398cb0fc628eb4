"""Work on many items side by side."""

import asyncio

import pytest

from quillgraph.evals.concurrency import for_each


async def test_no_more_items_are_in_work_than_allowed() -> None:
    in_work, most = 0, 0

    async def work(item: int) -> None:
        nonlocal in_work, most
        in_work += 1
        most = max(most, in_work)
        await asyncio.sleep(0)
        in_work -= 1

    await for_each(range(10), work, 3)
    assert most == 3
    await for_each(range(10), work)
    assert most == 10


async def test_the_first_error_ends_the_others_and_is_raised_as_it_is() -> None:
    ended: list[int] = []

    async def work(item: int) -> None:
        if item == 0:
            raise ValueError("zero")
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(item)

    with pytest.raises(ValueError, match="zero"):
        await for_each([1, 2, 0], work)
    assert sorted(ended) == [1, 2]
