"""The models of a run: chat models, shared by roles with the same spec, and embeddings."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings

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

JUDGES = ("judge",)
"""The roles of this package's graphs that a trained scorer can play."""


@dataclass(frozen=True, slots=True)
class Engines:
    """The connected models of a run."""

    common: ChatBackend
    """The backend of every role that is not named in `roles`."""
    roles: dict[str, ChatBackend]
    embeddings: Embeddings
    judges: Mapping[str, Judge] = field(default_factory=dict)
    """Role to the trained scorer that plays it."""
    common_plays: bool = True
    """Whether the common backend plays any role."""
    at_once: bool = True
    """Whether all engines start before the work begins. Otherwise each starts at its turn:
    two engines seldom fit on one GPU."""

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
        """Backends of the roles in `names` that have their own."""
        return {name: chat for name, chat in self.roles.items() if name in names}


def connect_engines(
    backend: str,
    roles: Mapping[str, str],
    names: Sequence[str],
    *,
    embeddings: str,
    playing: Sequence[str] | None = None,
    judges: Sequence[str] = JUDGES,
    record: Path | None = None,
) -> Engines:
    """Connect each distinct spec once; starts no engine, but reports misspelt specs.

    Args:
        backend: Spec of the model for all roles without their own.
        roles: Role to its own spec.
        names: The roles of the run.
        embeddings: Name of the embeddings.
        playing: The roles that make calls; None for all.
        judges: The roles that a trained scorer can play.
        record: File that the run will be recorded in.

    Raises:
        ConfigError: On an unknown role, a spec that cannot be connected, or a record that exists.
    """
    if unknown := sorted(set(roles) - set(names)):
        raise ConfigError(f"unknown role {unknown[0]!r}: {nearest(unknown[0], names)}")
    if record:
        refuse_existing(record)
    scorers = _scorers(roles, judges)
    others = {name: spec for name, spec in roles.items() if name not in scorers}
    chats = {spec: connect(spec) for spec in dict.fromkeys([backend, *others.values()])}
    common, own = chats[backend], {name: chats[spec] for name, spec in others.items()}
    if isinstance(common, CassetteChat):
        own = {**_voices(common), **own}
        return Engines(common, own, CassetteEmbeddings(common.cassette), scorers)
    plays = common_plays(roles, playing)
    return Engines(common, own, connect_embeddings(embeddings), scorers, common_plays=plays)


def common_plays(roles: Mapping[str, str], playing: Sequence[str] | None) -> bool:
    """Whether a role in `playing`, or any role if None, has no spec of its own."""
    return playing is None or bool(set(playing) - set(roles))


@contextmanager
def recorded(engines: Engines, file: Path | None, facts: Mapping[str, Any]) -> Iterator[Engines]:
    """Record the replies of a run's models, if there is a file for it.

    Args:
        engines: The models.
        file: The new file, or None.
        facts: The settings that determine the run's calls; saved with them.
    """
    if file is None:
        yield engines
        return
    with CassetteRecorder(file, dict(facts)) as recorder:
        recorder.listen(engines.common)
        for chat in engines.chats:
            if chat is not engines.common:
                names = [name for name, each in engines.roles.items() if each is chat]
                recorder.listen(chat, names)
        yield replace(engines, embeddings=recorder.embeddings(engines.embeddings))


def _scorers(roles: Mapping[str, str], judges: Sequence[str]) -> dict[str, Judge]:
    """The trained scorers among the roles."""
    specs = {name: spec for name, spec in roles.items() if is_scorer(spec)}
    if strange := sorted(set(specs) - set(judges)):
        raise ConfigError(
            f"role {strange[0]!r} has to write, and {specs[strange[0]]!r} gives scores alone; "
            f"a trained scorer can stand for {', '.join(judges) or 'no role of this graph'}"
        )
    return {name: trained_judge(spec) for name, spec in specs.items()}


def _voices(common: CassetteChat) -> dict[str, ChatBackend]:
    """Roles of a recorded run, each with its recorded backend."""
    cassette, voices = common.cassette, dict[str, ChatBackend]()
    for role in cassette.roles:
        voice = cassette.voice(role).name
        voices.setdefault(voice, CassetteChat(cassette, path=cassette.path, role=role))
    return {role: voices[cassette.voice(role).name] for role in cassette.roles}
