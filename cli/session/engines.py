"""What a run computes with: chat models, shared by the roles of one spec, and embeddings."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.embeddings import Embeddings
from rich.console import Console

from quillgraph.agents.judges import Judge, is_scorer, trained_judge
from quillgraph.backends import (
    CassetteChat,
    CassetteEmbeddings,
    CassetteRecorder,
    ChatBackend,
    connect,
    connect_embeddings,
)
from quillgraph.backends.cassette import refuse_existing
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.runtime import default_backend
from quillgraph.cli.session.progress import log_shown
from quillgraph.cli.session.settings import Settings


@dataclass(frozen=True, slots=True)
class Engines:
    """The connected models of a run."""

    common: ChatBackend
    """The backend of every role that is not named in `roles`."""
    roles: dict[str, ChatBackend]
    embeddings: Embeddings
    judges: Mapping[str, Judge] = field(default_factory=dict)
    """Trained scorers, by the role that they stand for."""
    common_plays: bool = True
    """Whether there is a role for the common backend."""
    at_once: bool = True
    """Whether all are up before the work begins. Else each is started when its turn comes: two
    engines seldom fit one GPU."""

    @property
    def chats(self) -> tuple[ChatBackend, ...]:
        """Each backend that plays a role, once."""
        common = (self.common,) if self.common_plays else ()
        return tuple({id(chat): chat for chat in (*common, *self.roles.values())}.values())

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
        for chat in engines.chats:
            if chat is not engines.common:
                names = [name for name, each in engines.roles.items() if each is chat]
                recorder.listen(chat, names)
        yield replace(engines, embeddings=recorder.embeddings(engines.embeddings))


def with_backend(
    settings: Settings, console: Console, *, playing: Sequence[str] | None = None
) -> Settings:
    """Choose a backend where the user has named none, and say which and why.

    Args:
        settings: They name the specs.
        console: Where to say it.
        playing: The roles that the command asks; None for all. Where each of them has a spec of
            its own, the backend has no part in the run, and nothing is said of it.
    """
    if settings.backend is not None:
        return settings
    spec, reason = default_backend()
    if _common_plays(settings, playing):
        console.print(f"backend {spec}: {reason}", style="dim")
    return settings.model_copy(update={"backend": spec})


JUDGES = ("judge",)
"""The roles of our own graphs that a trained scorer can stand for."""


def connected(
    settings: Settings,
    names: Sequence[str],
    console: Console,
    *,
    playing: Sequence[str] | None = None,
    judges: Sequence[str] = JUDGES,
) -> Engines:
    """Connect each distinct spec once; starts nothing, but finds out what is misspelt.

    Args:
        settings: They name the specs.
        names: The roles that the run has.
        console: Where to show what is fetched.
        playing: Those of them that are asked; None for all.
        judges: Those of them that a trained scorer can stand for.

    Raises:
        ConfigError: On an unknown role, or a spec that cannot be connected.
    """
    if unknown := sorted(set(settings.roles) - set(names)):
        raise ConfigError(f"unknown role {unknown[0]!r}: {nearest(unknown[0], names)}")
    if settings.record:
        refuse_existing(settings.record)
    with log_shown(console):
        scorers = _scorers(settings, judges)
        others = {name: spec for name, spec in settings.roles.items() if name not in scorers}
        specs = dict.fromkeys([str(settings.backend), *others.values()])
        chats = {spec: connect(spec) for spec in specs}
        common = chats[str(settings.backend)]
        roles = {name: chats[spec] for name, spec in others.items()}
        if isinstance(common, CassetteChat):
            return replace(_replayed(common, roles, settings, console), judges=scorers)
        return Engines(
            common=common,
            roles=roles,
            embeddings=connect_embeddings(settings.embeddings),
            judges=scorers,
            common_plays=_common_plays(settings, playing),
        )


def _common_plays(settings: Settings, playing: Sequence[str] | None) -> bool:
    return playing is None or bool(set(playing) - set(settings.roles))


def _scorers(settings: Settings, judges: Sequence[str]) -> dict[str, Judge]:
    """The trained scorers among the roles."""
    specs = {name: spec for name, spec in settings.roles.items() if is_scorer(spec)}
    if strange := sorted(set(specs) - set(judges)):
        raise ConfigError(
            f"role {strange[0]!r} has to write, and {specs[strange[0]]!r} gives scores alone; "
            f"a trained scorer can stand for {', '.join(judges) or 'no role of this graph'}"
        )
    return {name: trained_judge(spec) for name, spec in specs.items()}


DECIDING = {"seed", "drafts", "draft_tokens", "rounds", "text_tokens", "samples"}
"""Settings that decide which calls a run makes."""


def _facts(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(include=DECIDING)


def _replayed(
    common: CassetteChat, roles: dict[str, ChatBackend], settings: Settings, console: Console
) -> Engines:
    """What a recorded run computed with; roles that were given another model have that one."""
    cassette, now = common.cassette, _facts(settings)
    for name, then in cassette.facts.items():
        if now.get(name, then) != then:
            console.print(f"note: recorded with {name} {then}, now {now[name]}", style="yellow")
    voices: dict[str, ChatBackend] = {}
    for role in cassette.roles:
        voice = cassette.voice(role).name
        voices.setdefault(voice, CassetteChat(cassette, path=cassette.path, role=role))
    recorded = {role: voices[cassette.voice(role).name] for role in cassette.roles}
    return Engines(common, {**recorded, **roles}, CassetteEmbeddings(cassette))
