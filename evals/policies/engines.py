"""Engines that take turns: of those with different models, one runs at a time."""

from collections.abc import Sequence
from pathlib import Path

from quillgraph.backends import connect
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.messages import BASE
from quillgraph.backends.spec import BackendSpec


class EngineTurns:
    """Hands out models; connects all at once, and starts each when its turn comes.

    A model keeps its turn until another is requested; then it is closed. Connecting early reports a
    misspelt model at the start, not after hours of work.

    Args:
        specs: All models that will be asked for.

    Raises:
        ConfigError: If one cannot be connected.
    """

    def __init__(self, specs: Sequence[BackendSpec]) -> None:
        self._connected: dict[str, ChatBackend] = {}
        for spec in specs:
            if (key := spec.model_dump_json()) not in self._connected:
                self._connected[key] = connect(spec)
        self._turn: str | None = None
        self._weights: Path | None = None

    @property
    def chats(self) -> tuple[ChatBackend, ...]:
        """All models, so that the caller can close them."""
        return tuple(self._connected.values())

    def idle(self, spec: BackendSpec) -> ChatBackend:
        """The model of a spec, running or not."""
        return self._connected[spec.model_dump_json()]

    async def aclose(self) -> None:
        """Close whatever is open."""
        for chat in self.chats:
            await chat.aclose()

    async def take(
        self, spec: BackendSpec, adapter: Path | None = None, version: str = BASE
    ) -> ChatBackend:
        """Give a model the turn, with an adapter or bare.

        Args:
            spec: The model.
            adapter: Folder of the adapter; None for the bare model.
            version: What traces call the adapter.

        Raises:
            ConfigError: If the adapter does not fit the model.
            BackendError: If the engine does not start, or fails to take the adapter.
        """
        key = spec.model_dump_json()
        if self._turn not in (None, key):
            assert self._turn is not None
            await self._connected[self._turn].aclose()
            self._weights = None
        chat, self._turn = self._connected[key], key
        await chat.start()
        if adapter != self._weights:
            await chat.load_adapter(adapter, version)
            self._weights = adapter
        return chat
