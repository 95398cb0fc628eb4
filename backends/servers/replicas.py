"""Several servers of one model: which of them gets a call, and which are taken out."""

import asyncio
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from quillgraph.backends.errors import BackendError, RateLimited, Unreachable
from quillgraph.backends.servers.endpoint import Endpoint

logger = logging.getLogger(__name__)

SICK_AFTER = 3
"""Failures in a row that take a replica out."""

REST_S, LONGEST_REST_S = 5.0, 60.0
"""How long a replica that was taken out rests before a probe, seconds: doubled with each probe
that fails, up to the second number."""

LOOK_S = 1.0
"""While all are sick: how long a look at them all is believed, seconds."""

REMEMBERED = 65_536
"""Rollouts whose replica is kept in mind."""


@dataclass(slots=True)
class Replica:
    """One server, and how it has been doing."""

    endpoint: Endpoint
    in_flight: int = 0
    failures: int = 0
    """In a row."""
    rest_s: float = REST_S
    sick_until: float | None = None
    """Time on the clock when it may be looked at again; None while it serves."""


class Replicas:
    """Gives calls to servers: the least loaded, but those of one rollout to the same.

    Servers keep the prefixes that they have read, and the calls of one rollout share theirs. A
    replica that fails `SICK_AFTER` times in a row gets no calls until a probe finds it well.

    Args:
        endpoints: The servers.
        is_well: Looks at a server that was taken out; raises nothing.
        clock: Seconds.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        is_well: Callable[[Endpoint], Awaitable[bool]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._all = [Replica(endpoint) for endpoint in endpoints]
        self._is_well, self._clock = is_well, clock
        self._homes: OrderedDict[str, Replica] = OrderedDict()
        self._lock = threading.Lock()
        self._probes: set[asyncio.Task[None]] = set()
        self._look: asyncio.Task[None] | None = None
        self._look_again_at = -math.inf

    def __iter__(self) -> Iterator[Replica]:
        return iter(self._all)

    async def choose(self, rollout: str | None, avoid: Replica | None = None) -> Replica:
        """Choose the server of a call.

        Args:
            rollout: What the call belongs to; calls of one rollout share a server.
            avoid: The server that has just failed this call; taken only if there is no other.

        Raises:
            Unreachable: If no server is well.
        """
        if len(self._all) == 1:
            return self._all[0]
        self._look_at_rested()
        if not (well := self._well):
            await self._look_at_all()
            well = self._well
        if not well:
            places = ", ".join(replica.endpoint.address for replica in self._all)
            raise Unreachable(
                f"none of the {len(self._all)} servers answers as it should ({places}); "
                "are they up?"
            )
        others = [replica for replica in well if replica is not avoid]
        return self._home(rollout, others or well)

    @contextmanager
    def serving(self, replica: Replica) -> Iterator[None]:
        """Count a call of a server, and learn from how it ends.

        A server that limits the rate of calls is busy, not sick, and a refused call is the caller's
        mistake.
        """
        with self._lock:
            replica.in_flight += 1
        try:
            yield
        except BackendError as error:
            if error.retryable and not isinstance(error, RateLimited):
                self._failed(replica)
            raise
        else:
            replica.failures, replica.rest_s = 0, REST_S
        finally:
            with self._lock:
                replica.in_flight -= 1

    @property
    def _well(self) -> list[Replica]:
        return [replica for replica in self._all if replica.sick_until is None]

    def _home(self, rollout: str | None, well: list[Replica]) -> Replica:
        with self._lock:
            home = self._homes.get(rollout) if rollout else None
            if home in well:
                return home
            least = min(well, key=lambda replica: replica.in_flight)
            if rollout:
                self._homes[rollout] = least
                if len(self._homes) > REMEMBERED:
                    self._homes.popitem(last=False)
            return least

    def _failed(self, replica: Replica) -> None:
        replica.failures += 1
        if replica.failures >= SICK_AFTER and replica.sick_until is None and len(self._all) > 1:
            replica.sick_until = self._clock() + replica.rest_s
            replica.rest_s = min(2 * replica.rest_s, LONGEST_REST_S)
            logger.warning(
                "%s failed %d times in a row and gets no calls until it answers again",
                replica.endpoint.address,
                replica.failures,
            )

    def _look_at_rested(self) -> None:
        for replica in self._all:
            if replica.sick_until is not None and replica.sick_until <= self._clock():
                replica.sick_until = self._clock() + replica.rest_s  # one look at a time
                probe = asyncio.create_task(self._look_at(replica))
                self._probes.add(probe)
                probe.add_done_callback(self._probes.discard)

    async def _look_at(self, replica: Replica) -> None:
        await self._probe(replica)
        if replica.sick_until is not None:
            replica.rest_s = min(2 * replica.rest_s, LONGEST_REST_S)

    async def _look_at_all(self) -> None:
        """Look at the servers before their time, all being sick: once for all calls that wait."""
        with self._lock:
            look = self._look
            if look is None or look.done() or look.get_loop() is not asyncio.get_running_loop():
                if self._clock() < self._look_again_at:
                    return
                self._look_again_at = self._clock() + LOOK_S
                look = self._look = asyncio.create_task(self._probe_all())
        await asyncio.shield(look)  # a call that is cancelled leaves the others their look

    async def _probe_all(self) -> None:
        await asyncio.gather(*map(self._probe, self._all))
        self._look_again_at = self._clock() + LOOK_S

    async def _probe(self, replica: Replica) -> None:
        if replica.sick_until is not None and await self._is_well(replica.endpoint):
            # on trial: the next failure takes it out again
            replica.failures, replica.sick_until = SICK_AFTER - 1, None
            logger.info("%s answers again", replica.endpoint.address)
