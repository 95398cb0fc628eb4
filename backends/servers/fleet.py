"""Calls to the servers of one model: which server, how often, how long, the wait between tries."""

import asyncio
import json
import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from quillgraph.backends.errors import BackendError
from quillgraph.backends.messages.fault import fault_in
from quillgraph.backends.runtime.limits import Deadline
from quillgraph.backends.servers.endpoint import Endpoint
from quillgraph.backends.servers.http import Lane, Reply
from quillgraph.backends.servers.replicas import Replica, Replicas

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0


def pause_s(attempt: int, retry_after_s: float | None) -> float:
    """Seconds to wait after a failed attempt.

    The pause doubles with each attempt, and is drawn from the upper half of that span, so that
    calls which failed together do not retry together. If the server asks for a pause, the result
    is that pause and up to a quarter more, for the same reason.

    Args:
        attempt: Number of the attempt that failed, from 0.
        retry_after_s: The pause that the server asks for, seconds; None if it asks for none.
    """
    if retry_after_s is not None:
        return retry_after_s * random.uniform(1.0, 1.25)
    span = min(FIRST_PAUSE_S * 2.0**attempt, LONGEST_PAUSE_S)
    return span * random.uniform(0.5, 1.0)


T = TypeVar("T")

PROBE_S = 5.0
"""Longest time of a health check, seconds."""


class Fleet:
    """The servers of one model, and the calls that they get.

    A call that fails with a retryable error is made again after a pause (`pause_s`), on another
    server if there is one. Nothing else in the package repeats calls.

    Args:
        endpoints: The servers.
        lane: The connections to them.
        model: Name of the model, or adapter, that they must serve now.
        max_retries: Most attempts of a call after the first.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        lane: Lane,
        *,
        model: Callable[[], str],
        max_retries: int,
    ) -> None:
        self.endpoints = tuple(endpoints)
        self.outcomes: Counter[str] = Counter()
        """How attempts ended: `answered`, `cancelled`, or the name of an error."""
        self._lane, self._model = lane, model
        self._max_retries = max_retries
        self._replicas = Replicas(endpoints, self.is_well)
        self._counting = threading.Lock()

    async def ask(
        self,
        body: bytes,
        read: Callable[[Reply, Endpoint], T],
        *,
        rollout: str | None,
        timeout_s: float,
    ) -> T:
        """Ask for a chat completion until one can be read.

        Args:
            body: The request.
            read: Makes the result of a reply, or raises a `BackendError`.
            rollout: What the call belongs to; calls of one rollout share a server.
            timeout_s: Longest time for the call with all its attempts, seconds. One of several
                servers may be silent for its share of it: the next is to get its try.

        Raises:
            BackendError: The last one, when the attempts or the time are spent.
        """
        loop = asyncio.get_running_loop()
        time = _Time(timeout_s, loop.time() + timeout_s, self._shares)
        replica: Replica | None = None
        for attempt in range(self._max_retries + 1):
            try:
                async with Deadline(time.deadline, time.over("the servers")):
                    replica = await self._replicas.choose(rollout, avoid=replica)
                return await self._attempt(replica, attempt, body, read, time)
            except BackendError as error:
                pause = pause_s(attempt, error.retry_after_s)
                if error.retry_after_s is None and len(self.endpoints) > 1:
                    # the next attempt is another server's, and some of the time is for it
                    pause = min(pause, (time.deadline - loop.time()) / 2)
                if not error.retryable or attempt == self._max_retries:
                    raise
                if loop.time() + pause >= time.deadline:
                    raise
                logger.debug("attempt %d: %s; again in %.1f s", attempt, error, pause)
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def greet(self) -> None:
        """Check that every server answers and has the model.

        Raises:
            BackendError: If one does not.
        """
        await asyncio.gather(*map(self._greet, self.endpoints))

    async def is_well(self, endpoint: Endpoint) -> bool:
        """Whether a server reports that its engine runs, and has the model.

        A server that was restarted may lack the adapter in use.
        """
        try:
            async with asyncio.timeout(PROBE_S):
                root = endpoint.address.removesuffix("/v1")
                health = await self._lane.send(endpoint, f"{root}/health", method="GET")
                if health.status >= 500:  # a server made after vLLM may answer 404
                    return False
                await self._greet(endpoint)
        except (BackendError, TimeoutError):
            return False
        return True

    async def _greet(self, endpoint: Endpoint) -> None:
        reply = await self._lane.send(endpoint, f"{endpoint.address}/models", method="GET")
        if reply.status != 404:  # a server made after vLLM may list none
            endpoint.check_offers(accepted(reply, endpoint), self._model())

    @property
    def _shares(self) -> int:
        return min(self._max_retries + 1, len(self.endpoints))

    async def _attempt(
        self,
        replica: Replica,
        attempt: int,
        body: bytes,
        read: Callable[[Reply, Endpoint], T],
        time: "_Time",
    ) -> T:
        outcome = "cancelled"
        endpoint = replica.endpoint.at_try(attempt + 1)
        url = endpoint.address + "/chat/completions"
        try:
            with self._replicas.serving(replica):
                async with Deadline(time.deadline, time.over(endpoint.address)):
                    reply = await self._lane.send(
                        endpoint, url, body, idle_timeout_s=time.seconds / time.shares
                    )
                result = read(reply, endpoint)
            outcome = "answered"
            return result
        except BackendError as error:
            outcome = type(error).__name__
            raise
        finally:
            with self._counting:  # loops on other threads may share this fleet
                self.outcomes[outcome] += 1


@dataclass(frozen=True, slots=True)
class _Time:
    """What a call may take, with all its attempts."""

    seconds: float
    deadline: float
    """On the loop's clock."""
    shares: int

    def over(self, whose: str) -> str:
        return (
            f"{whose} gave no whole reply within {self.seconds:g} s (timeout_s), over all "
            "attempts; is the server overloaded?"
        )


def accepted(reply: Reply, endpoint: Endpoint) -> bytes:
    """The body of a reply.

    Raises:
        BackendError: If its status, or an error in its body, says that the server failed or
            refused.
    """
    status = reply.status
    if status < 400:
        if (fault := fault_in(reply.body)) is None:
            return reply.body
        status, message, kind = fault.status, fault.words, fault.kind
    else:
        message, kind = _error_of(reply.body)
    error = endpoint.status_meaning(status, message, kind)
    error.retry_after_s = reply.retry_after_s
    raise error


def _error_of(body: bytes) -> tuple[str, str]:
    """A server's error message, and the error's code, type and parameter in one string."""
    text = body.decode(errors="replace")
    try:
        error = json.loads(text)
        error = error.get("error", error)
        kind = f"{error.get('code')} {error.get('type')} {error.get('param')}"
        return str(error.get("message") or text), kind
    except (ValueError, AttributeError):  # no JSON, or none of this form
        return text or "nothing", ""
