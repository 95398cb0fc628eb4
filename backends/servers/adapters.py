"""LoRA adapters on the servers of one model: a version is loaded on all of them, or on none."""

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from quillgraph.backends.errors import BackendError, ConfigError, ServerFailed, Unreachable
from quillgraph.backends.messages.trace import BASE
from quillgraph.backends.servers.endpoint import Endpoint
from quillgraph.backends.servers.fleet import accepted
from quillgraph.backends.servers.http import Lane

logger = logging.getLogger(__name__)


class ServedAdapters:
    """Which weights the next call asks for.

    Each version is an adapter with its own name on the servers, and a call names the version at
    its start. So calls in flight keep their weights, and no prefix cached under other weights is
    used. The next load unloads versions that no call uses any more.

    Args:
        model: Name of the bare model.
        lane: The way to the servers.
        timeout_s: Longest time for a version to be up on all servers, seconds.
    """

    def __init__(self, model: str, lane: Lane, timeout_s: float) -> None:
        self.version = BASE
        self._model, self._lane, self._timeout_s = model, lane, timeout_s
        self._users: Counter[str] = Counter()
        self._loaded: list[str] = []
        self._counting = threading.Lock()

    @contextmanager
    def in_use(self) -> Iterator[str]:
        """Keep the current version loaded while a call runs."""
        with self._counting:  # loops on other threads may share these servers
            version = self.version
            self._users[version] += 1
        try:
            yield version
        finally:
            with self._counting:
                self._users[version] -= 1

    def name(self, version: str) -> str:
        """The model name in a request for a version."""
        return self._model if version == BASE else version

    def take_up(self, version: str) -> None:
        """Have every new call sample from an adapter that somebody else has loaded."""
        self.version = version

    async def load(self, path: Path | None, version: str, endpoints: Sequence[Endpoint]) -> None:
        """Have every new call sample from an adapter.

        Args:
            path: Folder of the adapter, as PEFT writes it, on a disk that the servers see; None
                for the bare model.
            version: What it is called; `base` with a path of None.
            endpoints: The servers.

        Raises:
            ConfigError: If the version's name is in use.
            BackendError: If a server could not load it; then all keep their weights.
        """
        if version == self._model:
            raise ConfigError(f"version {version!r} is the name of the bare model; name another")
        if version in self._loaded:
            raise ConfigError(f"version {version!r} is on the servers already; name another")
        if path is not None:
            await self._load_everywhere(path, version, endpoints)
            self._loaded.append(version)
        self.version = version
        await self._unload_unused(endpoints)

    async def _load_everywhere(
        self, path: Path, version: str, endpoints: Sequence[Endpoint]
    ) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                outcomes = await asyncio.gather(
                    *(self._load_on(endpoint, path, version) for endpoint in endpoints),
                    return_exceptions=True,
                )
        except TimeoutError:
            await self._unload(version, endpoints)
            raise Unreachable(
                f"adapter {version!r} was not up on all {len(endpoints)} servers after "
                f"{self._timeout_s:g} s; raise adapter_timeout_s, or look into their logs"
            ) from None
        if failures := [each for each in outcomes if isinstance(each, BaseException)]:
            await self._unload(version, endpoints)
            raise failures[0]

    async def _load_on(self, endpoint: Endpoint, path: Path, version: str) -> None:
        # not `load_inplace`: vLLM 0.31 keeps it with the adapter, and then reads the files again
        # for every token of every call
        if version in await self._listed(endpoint):  # an earlier run left it there
            await self._post(endpoint, "unload_lora_adapter", {"lora_name": version})
        body = {"lora_name": version, "lora_path": str(path)}
        await self._post(endpoint, "load_lora_adapter", body)
        paths = await self._listed(endpoint)
        if version not in paths or paths[version] not in (None, str(path)):
            raise ServerFailed(
                f"{endpoint.address} took adapter {version!r} from {path} and lists "
                f"{paths.get(version)!r} under this name"
            )

    async def _listed(self, endpoint: Endpoint) -> dict[str, str | None]:
        """The models that the server lists: name to path."""
        reply = await self._lane.send(endpoint, f"{endpoint.address}/models", method="GET")
        try:
            cards = _Cards.model_validate_json(accepted(reply, endpoint)).data
        except ValidationError:
            raise endpoint.unreadable(reply.body.decode(errors="replace")) from None
        return {card.id: card.root for card in cards}

    async def _unload_unused(self, endpoints: Sequence[Endpoint]) -> None:
        for version in [each for each in self._loaded if each != self.version]:
            if not self._users[version]:
                self._loaded.remove(version)
                await self._unload(version, endpoints)

    async def _unload(self, version: str, endpoints: Sequence[Endpoint]) -> None:
        """Unload a version from the servers that have it."""

        async def unload_on(endpoint: Endpoint) -> None:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._post(endpoint, "unload_lora_adapter", {"lora_name": version})
            except (BackendError, TimeoutError) as error:
                logger.info("%s keeps adapter %r: %s", endpoint.address, version, error)

        await asyncio.gather(*map(unload_on, endpoints))

    async def _post(self, endpoint: Endpoint, action: str, body: Mapping[str, str]) -> None:
        url = f"{endpoint.address}/{action}"
        reply = await self._lane.send(endpoint, url, json.dumps(body).encode())
        if reply.status == 404 and action == "load_lora_adapter":
            words = endpoint.redacted(reply.body.decode(errors="replace"))
            raise ConfigError(
                f"{endpoint.address} loads no adapter from {body['lora_path']}: {words}; does the "
                "server see this path, and was it started with --enable-lora and "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1?"
            )
        accepted(reply, endpoint)


class _Card(BaseModel):
    id: str
    root: str | None = None


class _Cards(BaseModel):
    data: tuple[_Card, ...]
