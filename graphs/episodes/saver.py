"""Checkpoints in a SQLite file that are on disk before the next node begins.

A checkpoint names the module and the class of each value. LangGraph makes a plain dict of a value
whose class it does not find, without an error, and the next node then fails over it; so values of
earlier builds are read here.
"""

import importlib
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import ormsgpack
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from quillgraph.backends.errors import InputError, StorageError
from quillgraph.moved import ROOT, moves

OPTION = ormsgpack.OPT_NON_STR_KEYS

_NAMES = re.compile(rb"quillgraph\.[a-z_.]+")
"""A string of msgpack has its length before it and nothing of its own behind it: what follows a
module's name is the head of the next string, which is no letter of these."""


class MovingSerializer(JsonPlusSerializer):
    """LangGraph's serializer, which also knows our classes by the places that they once had."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Read a value.

        Raises:
            StorageError: If it is of a class of ours that is nowhere now.
        """
        kind, packed = data
        if kind == "msgpack" and _is_old(packed):
            packed = _renewed(packed)
        return super().loads_typed((kind, packed))


def _is_old(packed: bytes) -> bool:
    return any(name.decode() in moves() for name in _NAMES.findall(packed))


def _renewed(packed: bytes) -> bytes:
    """Put the places that classes have now into a value, and into all that lie within it."""
    lost: list[str] = []

    def renew(code: int, data: bytes) -> ormsgpack.Ext:
        parts = ormsgpack.unpackb(data, ext_hook=renew, option=OPTION)
        if _names_a_class(parts):
            module, name, *rest = parts
            place = _place(module, name)
            if place is None:  # to raise here would be to lose the message in ormsgpack
                lost.append(f"{module}.{name}")
            parts = [*(place or (module, name)), *rest]
        return ormsgpack.Ext(code, ormsgpack.packb(parts, option=OPTION))

    value = ormsgpack.unpackb(packed, ext_hook=renew, option=OPTION)
    if lost:
        raise StorageError(
            f"the checkpoint holds a {lost[0]} of an earlier build, which this one does not have: "
            "let the build that began the run end it, or begin the run anew"
        )
    return ormsgpack.packb(value, option=OPTION)


def _names_a_class(parts: Any) -> bool:
    return (
        isinstance(parts, Sequence)
        and len(parts) > 2
        and isinstance(parts[0], str)
        and parts[0].startswith(f"{ROOT}.")
    )


def _place(module: str, name: str) -> tuple[str, str] | None:
    """Module and name that a class has now; None if it is nowhere."""
    move = moves().get(module)
    place, new = move.place(name) if move else (module, name)
    try:
        return (place, new) if hasattr(importlib.import_module(place), new) else None
    except ModuleNotFoundError:
        return None


PATIENCE_S = 5.0
"""Longest wait for a write that is under way when the file is closed, seconds."""


class GraphSaver(SqliteSaver):
    """LangGraph's SQLite saver, for graphs that run on an event loop.

    The asynchronous saver of LangGraph writes on a thread, and a first checkpoint may then come
    after the first calls that depend on it; a run killed in between would start with other task
    ids, and its journal would know none of them. This one writes at once, about a millisecond.

    Args:
        file: The open file.
        path: Its name.

    Raises:
        StorageError: From its methods, if the file cannot be used or the disk is full.
    """

    def __init__(self, file: sqlite3.Connection, path: Path) -> None:
        super().__init__(file, serde=MovingSerializer())
        self._path = path

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open a file; made if it is not there.

        Raises:
            StorageError: If it cannot be opened.
        """
        with _storage_errors(path):
            file = sqlite3.connect(path, check_same_thread=False)
        saver = cls(file, path)
        try:
            with _storage_errors(path):
                saver.setup()
                file.execute("PRAGMA synchronous=NORMAL")
            yield saver
        finally:
            # a thread that the run has left behind may still be at work; a list of checkpoints that
            # nobody reads to its end holds the lock as well, and is at no work
            is_held = saver.lock.acquire(timeout=PATIENCE_S)
            file.close()
            if is_held:
                saver.lock.release()

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """As `SqliteSaver.cursor`, through which all of its methods go."""
        with _storage_errors(self._path), super().cursor(transaction) as rows:
            yield rows

    def has(self, thread: str) -> bool:
        """Whether a thread has begun."""
        with self.cursor(transaction=False) as rows:
            rows.execute("SELECT 1 FROM checkpoints WHERE thread_id = ? LIMIT 1", (thread,))
            return rows.fetchone() is not None

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint.

        Raises:
            InputError: Naming the part of the state that cannot be kept.
        """
        try:
            return super().put(config, checkpoint, metadata, new_versions)
        except TypeError as error:
            for name, value in checkpoint["channel_values"].items():
                self._check(name, value, error)
            raise

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what a task wrote before its step is over.

        Raises:
            InputError: Naming the part of the state that cannot be kept.
        """
        try:
            super().put_writes(config, writes, task_id, task_path)
        except TypeError as error:
            for name, value in writes:
                self._check(name, value, error)
            raise

    def _check(self, name: str, value: Any, error: TypeError) -> None:
        try:
            self.serde.dumps_typed(value)
        except TypeError:
            raise InputError(
                f"state {name!r} holds a value of type {type(value).__name__} that no checkpoint "
                f"can keep ({error}); make it a dataclass, a pydantic model or plain data"
            ) from error

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return self.get_tuple(config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        for each in self.list(config, filter=filter, before=before, limit=limit):
            yield each

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As `put_writes`."""
        self.put_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        self.delete_thread(thread_id)


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"cannot use the checkpoints {path}: {error}") from error
