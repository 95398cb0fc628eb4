"""What a run computes with: chat models, shared by the roles of one spec, and embeddings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.embeddings import Embeddings
from rich.console import Console

from quillgraph.backends import (
    CassetteChat,
    CassetteEmbeddings,
    CassetteRecorder,
    ChatBackend,
    connect,
    connect_embeddings,
)
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.local import default_backend
from quillgraph.backends.taping import refuse_existing
from quillgraph.cli.progress import log_shown
from quillgraph.cli.settings import Settings


@dataclass(frozen=True, slots=True)
class Engines:
    """The connected models of a run."""

    common: ChatBackend
    """The backend of every role that is not named in `roles`."""
    roles: dict[str, ChatBackend]
    embeddings: Embeddings
    at_once: bool = True
    """Whether all are up before the work begins. Else each is started when its turn comes: two
    engines seldom fit one GPU."""

    @property
    def chats(self) -> tuple[ChatBackend, ...]:
        """Each backend once."""
        return tuple({id(chat): chat for chat in (self.common, *self.roles.values())}.values())

    @property
    def is_replay(self) -> bool:
        """Whether the common backend plays back a recorded run."""
        return isinstance(self.common, CassetteChat)

    def prints_here(self, role: str | None) -> bool:
        """Whether the engine of a role, or of None any engine, runs on this machine's terminal."""
        chats = self.chats if role is None else (self.roles.get(role, self.common),)
        return any(not hasattr(chat, "base_url") for chat in chats)

    def cast(self, names: Sequence[str]) -> dict[str, ChatBackend]:
        """The backends of those roles among `names` that have one of their own."""
        return {name: chat for name, chat in self.roles.items() if name in names}


@contextmanager
def recorded(engines: Engines, settings: Settings) -> Iterator[Engines]:
    """Record what the models of a run answer, if the settings name a file for it."""
    if settings.record is None:
        yield engines
        return
    with CassetteRecorder(settings.record, _facts(settings)) as recorder:
        recorder.listen(engines.common)
        for chat in engines.chats[1:]:
            recorder.listen(chat, [name for name, each in engines.roles.items() if each is chat])
        yield replace(engines, embeddings=recorder.embeddings(engines.embeddings))


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
    if settings.record:
        refuse_existing(settings.record)
    with log_shown(said):
        specs = dict.fromkeys([str(settings.backend), *settings.roles.values()])
        chats = {spec: connect(spec) for spec in specs}
        common = chats[str(settings.backend)]
        roles = {name: chats[spec] for name, spec in settings.roles.items()}
        if isinstance(common, CassetteChat):
            return _replayed(common, roles, settings, said)
        return Engines(
            common=common,
            roles=roles,
            embeddings=connect_embeddings(settings.embeddings),
        )


DECIDING = {"seed", "drafts", "draft_tokens", "rounds", "text_tokens", "samples"}
"""Settings that decide which calls a run makes."""


def _facts(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(include=DECIDING)


def _replayed(
    common: CassetteChat, roles: dict[str, ChatBackend], settings: Settings, said: Console
) -> Engines:
    """What a recorded run computed with; roles that were given another model have that one."""
    cassette, now = common.cassette, _facts(settings)
    for name, then in cassette.facts.items():
        if now.get(name, then) != then:
            said.print(f"note: recorded with {name} {then}, now {now[name]}", style="yellow")
    voices: dict[str, ChatBackend] = {}
    for role in cassette.roles:
        voice = cassette.voice(role).name
        voices.setdefault(voice, CassetteChat(cassette, path=cassette.path, role=role))
    recorded = {role: voices[cassette.voice(role).name] for role in cassette.roles}
    return Engines(common, {**recorded, **roles}, CassetteEmbeddings(cassette))
