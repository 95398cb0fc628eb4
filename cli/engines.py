"""What a run computes with: chat models, shared by the roles of one spec, and embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.embeddings import Embeddings
from rich.console import Console

from quillgraph.backends import ChatBackend, connect, connect_embeddings
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.local import default_backend
from quillgraph.cli.progress import log_shown
from quillgraph.cli.settings import Settings


@dataclass(frozen=True, slots=True)
class Engines:
    """The connected models of a run."""

    common: ChatBackend
    """The backend of every role that is not named in `roles`."""
    roles: dict[str, ChatBackend]
    embeddings: Embeddings

    @property
    def chats(self) -> tuple[ChatBackend, ...]:
        """Each backend once."""
        return tuple({id(chat): chat for chat in (self.common, *self.roles.values())}.values())

    def prints_here(self, role: str | None) -> bool:
        """Whether the engine of a role, or of None any engine, runs on this machine's terminal."""
        chats = self.chats if role is None else (self.roles.get(role, self.common),)
        return any(not hasattr(chat, "base_url") for chat in chats)

    def cast(self, names: Sequence[str]) -> dict[str, ChatBackend]:
        """The backends of those roles among `names` that have one of their own."""
        return {name: chat for name, chat in self.roles.items() if name in names}


def with_backend(settings: Settings, said: Console) -> Settings:
    """Choose a backend where the user has named none, and say which and why."""
    if settings.backend is not None:
        return settings
    spec, reason = default_backend()
    said.print(f"backend {spec}: {reason}", style="dim")
    return settings.model_copy(update={"backend": spec})


def connected(settings: Settings, names: Sequence[str], said: Console) -> Engines:
    """Connect each distinct spec once; starts nothing, but finds out what is misspelt.

    Args:
        settings: They name the specs.
        names: The roles that the run has.
        said: Where to show what is fetched.

    Raises:
        ConfigError: On an unknown role, or a spec that cannot be connected.
    """
    if unknown := sorted(set(settings.roles) - set(names)):
        raise ConfigError(f"unknown role {unknown[0]!r}: {nearest(unknown[0], names)}")
    with log_shown(said):
        specs = dict.fromkeys([str(settings.backend), *settings.roles.values()])
        chats = {spec: connect(spec) for spec in specs}
        return Engines(
            common=chats[str(settings.backend)],
            roles={name: chats[spec] for name, spec in settings.roles.items()},
            embeddings=connect_embeddings(settings.embeddings),
        )
