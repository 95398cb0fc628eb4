"""Which server gets a call: the least loaded, the rollout's own, never a sick one."""

import asyncio
from collections import Counter

import pytest

from quillgraph.backends.errors import RateLimited, Refused, ServerFailed, Unreachable
from quillgraph.backends.servers.endpoint import Endpoint
from quillgraph.backends.servers.replicas import LOOK_S, REST_S, Replica, Replicas


def endpoints(number: int) -> list[Endpoint]:
    return [
        Endpoint(
            model="m",
            address=f"http://10.0.0.{each}:8000/v1",
            key="",
            key_place="api_key",
            idle_timeout_s=1,
            max_concurrency=1,
        )
        for each in range(number)
    ]


class World:
    """A clock, and which servers are well."""

    def __init__(self, number: int) -> None:
        self.now = 0.0
        self.well: set[str] = set()
        self.looked: list[str] = []
        self.replicas = Replicas(endpoints(number), self.is_well, lambda: self.now)

    async def is_well(self, endpoint: Endpoint) -> bool:
        self.looked.append(endpoint.address)
        return endpoint.address in self.well

    def fail(self, replica: Replica, error: type[Exception] = ServerFailed, times: int = 3) -> None:
        for _ in range(times):
            with pytest.raises(error), self.replicas.serving(replica):
                raise error("it broke")


async def test_calls_go_to_the_least_loaded_server() -> None:
    world = World(3)
    loads: Counter[str] = Counter()
    for _ in range(9):
        replica = await world.replicas.choose(None)
        replica.in_flight += 1
        loads[replica.endpoint.address] += 1
    assert set(loads.values()) == {3}


async def test_the_calls_of_a_rollout_stay_on_one_server() -> None:
    world = World(3)
    first = await world.replicas.choose("rollout 1")
    first.in_flight += 5  # it is the busiest now, and still the rollout's
    assert await world.replicas.choose("rollout 1") is first
    assert await world.replicas.choose("rollout 2") is not first


async def test_three_failures_in_a_row_take_a_server_out_and_a_probe_brings_it_back() -> None:
    world = World(2)
    sick = await world.replicas.choose("rollout")
    world.fail(sick, times=2)
    assert await world.replicas.choose("rollout") is sick
    world.fail(sick, times=1)
    other = await world.replicas.choose("rollout")
    assert other is not sick
    world.now = REST_S - 0.1
    await settled(world)
    assert world.looked == []  # it is left alone first
    world.now = REST_S
    await settled(world)
    assert world.looked == [sick.endpoint.address]  # and looked at once
    assert sick.sick_until is not None
    world.well.add(sick.endpoint.address)
    world.now = 4 * REST_S
    await settled(world)
    assert sick.sick_until is None
    world.fail(sick, times=1)  # on trial: one failure is enough
    assert sick.sick_until is not None


async def settled(world: World) -> None:
    await world.replicas.choose(None)
    await asyncio.sleep(0.01)


async def test_an_answer_in_between_keeps_a_server_in() -> None:
    world = World(2)
    replica = await world.replicas.choose(None)
    for _ in range(5):
        world.fail(replica, times=2)
        with world.replicas.serving(replica):
            pass
    assert replica.sick_until is None


@pytest.mark.parametrize("error", [RateLimited, Refused])
async def test_a_busy_or_refusing_server_is_not_sick(error: type[Exception]) -> None:
    world = World(2)
    replica = await world.replicas.choose(None)
    world.fail(replica, error, times=9)
    assert replica.sick_until is None
    assert replica.in_flight == 0


async def test_a_call_that_failed_is_tried_elsewhere() -> None:
    world = World(2)
    first = await world.replicas.choose("rollout")
    assert await world.replicas.choose("rollout", avoid=first) is not first


async def test_when_all_are_sick_they_are_looked_at_before_the_call_fails() -> None:
    world = World(2)
    for replica in world.replicas:
        world.fail(replica)
    with pytest.raises(Unreachable, match=r"none of the 2 servers .*10\.0\.0\.0.*10\.0\.0\.1"):
        await world.replicas.choose(None)
    assert len(world.looked) == 2
    world.well.add("http://10.0.0.1:8000/v1")
    world.now = LOOK_S
    assert (await world.replicas.choose(None)).endpoint.address == "http://10.0.0.1:8000/v1"


async def test_calls_that_wait_for_sick_servers_share_one_look_and_believe_it_for_a_while() -> None:
    world = World(2)
    for replica in world.replicas:
        world.fail(replica)

    async def hundred() -> set[type]:
        calls = (world.replicas.choose(None) for _ in range(100))
        return {type(each) for each in await asyncio.gather(*calls, return_exceptions=True)}

    assert await hundred() == {Unreachable}
    assert len(world.looked) == 2
    world.now = LOOK_S - 0.1
    assert await hundred() == {Unreachable}
    assert len(world.looked) == 2
    world.now = LOOK_S
    world.well.add("http://10.0.0.1:8000/v1")
    assert await hundred() == {Replica}
    assert len(world.looked) == 4


async def test_a_call_that_is_cancelled_leaves_the_others_their_look() -> None:
    world = World(2)
    for replica in world.replicas:
        world.fail(replica)
    world.well.add("http://10.0.0.0:8000/v1")
    first, second = [asyncio.create_task(world.replicas.choose(None)) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).endpoint.address == "http://10.0.0.0:8000/v1"
    assert len(world.looked) == 2


async def test_a_server_that_is_found_sick_again_is_left_alone_for_twice_as_long() -> None:
    world = World(2)
    sick = next(iter(world.replicas))
    world.fail(sick)
    rests = []
    for _ in range(5):
        assert sick.sick_until is not None
        rests.append(sick.sick_until - world.now)
        world.now = sick.sick_until
        await settled(world)
    assert rests == [5, 10, 20, 40, 60]
    assert sick.sick_until == world.now + 60


async def test_a_single_server_is_always_asked() -> None:
    world = World(1)
    (only,) = world.replicas
    world.fail(only, times=9)
    assert await world.replicas.choose(None) is only
