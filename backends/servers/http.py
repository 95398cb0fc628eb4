"""HTTP to inference servers, at thousands of requests in flight from one process."""

import asyncio
import errno
import math
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from quillgraph.backends.errors import BackendError, Refused, ServerFailed
from quillgraph.backends.runtime.loops import PerLoop
from quillgraph.backends.servers.endpoint import Endpoint

CONNECT_S = 30.0
"""Longest wait for a connection, seconds. With less, a loop that is busy starting thousands of
graphs takes its own delay for the server's."""

KEEP_ALIVE_S = 3.0
"""How long an idle connection is kept, seconds. vLLM closes one after 5: asked at that very moment,
it would break off."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server sent back, read to its end."""

    status: int
    body: bytes
    retry_after_s: float | None
    """How long to wait before a retry, as the server asks, seconds; None if it does not say."""


class Lane:
    """Connections to servers: one pool for each event loop, closed with its loop.

    Calls run on their caller's loop: a hop to another loop would cost more than the whole request.
    The limiter, not the pool, limits how many run at a time.

    Args:
        key: Sent with every request; empty for servers that want none.
        idle_timeout_s: Longest silence of a server, seconds.
    """

    def __init__(self, key: str, idle_timeout_s: float) -> None:
        self._headers = {"content-type": "application/json"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self._idle_timeout_s = idle_timeout_s
        self._pools: PerLoop[_Pool] = PerLoop()
        self._proxies: dict[str, str | None] = {}

    async def send(
        self,
        endpoint: Endpoint,
        url: str,
        body: bytes | None = None,
        *,
        method: str = "POST",
        idle_timeout_s: float = math.inf,
    ) -> Reply:
        """Make one request, once.

        Args:
            endpoint: The server.
            url: Address on it.
            body: JSON to send.
            method: HTTP method.
            idle_timeout_s: Longest silence, if this request has less than others, seconds.

        Raises:
            BackendError: If no whole reply came. A reply with an error status raises nothing.
        """
        session = await self._session()
        idle_s = min(idle_timeout_s, self._idle_timeout_s)
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=min(CONNECT_S, idle_s), sock_read=idle_s
        )
        try:
            async with session.request(
                method, url, data=body, proxy=self._proxy(endpoint.address), timeout=limits
            ) as answer:
                return Reply(answer.status, await answer.read(), _retry_after(answer.headers))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _meaning(error, endpoint, idle_s) from None

    async def aclose(self) -> None:
        """Close the connections of every loop; a later call opens new ones."""
        for loop, pool in self._pools.clear():
            if loop is asyncio.get_running_loop():
                await pool.life.aclose()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(_end(pool.life), loop)
                await asyncio.wrap_future(closing)

    async def _session(self) -> aiohttp.ClientSession:
        if (pool := self._pools.get()) is None:
            life = _session(self._headers)
            pool = _Pool(life, await anext(life))
            self._pools.put(pool)
        return pool.session

    def _proxy(self, address: str) -> str | None:
        # aiohttp would look it up, and read ~/.netrc, with every request
        if address not in self._proxies:
            parts = urlsplit(address)
            bypassed = proxy_bypass(parts.hostname or "")
            self._proxies[address] = None if bypassed else getproxies().get(parts.scheme)
        return self._proxies[address]


async def _session(headers: dict[str, str]) -> AsyncGenerator[aiohttp.ClientSession, None]:
    """A session that ends with its loop: `asyncio.run` closes the generators that are open."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
    session = aiohttp.ClientSession(
        connector=connector,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
    )
    try:
        yield session
    finally:
        await session.close()
        await asyncio.sleep(0)  # the loop closes the sockets in its next round


async def _end(life: AsyncGenerator[aiohttp.ClientSession, None]) -> None:
    await life.aclose()


@dataclass(frozen=True, slots=True)
class _Pool:
    life: AsyncGenerator[aiohttp.ClientSession, None]
    session: aiohttp.ClientSession


def _retry_after(headers: Mapping[str, str]) -> float | None:
    if (value := headers.get("retry-after")) is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None


def _meaning(error: Exception, endpoint: Endpoint, idle_timeout_s: float) -> BackendError:
    reason = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientSSLError):
        return Refused(
            f"no secure connection to {endpoint.address}: {endpoint.redacted(reason)}; is it "
            "http:// there, or a certificate that this machine does not trust (SSL_CERT_FILE)?"
        )
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return endpoint.unreachable(f"the proxy failed: {reason}; see HTTP_PROXY and NO_PROXY")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return endpoint.unreachable(f"no connection within {min(CONNECT_S, idle_timeout_s):g} s")
    if isinstance(error, TimeoutError):
        return endpoint.silent(idle_timeout_s)
    if isinstance(error, aiohttp.ClientPayloadError):
        return ServerFailed(f"{endpoint.address} broke off in the middle of its reply: {reason}")
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        reason += (
            ": every call in flight is an open file; raise `ulimit -n` or lower max_concurrency"
        )
    return endpoint.unreachable(reason)
