"""Checkpoints in a SQLite file that are on disk before the next node begins."""

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.sqlite import SqliteSaver

from quillgraph.backends.errors import InputError, StorageError
from quillgraph.graphs.episodes.serializer import MovingSerializer


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
        with closing(file):
            saver = cls(file, path)
            with _storage_errors(path):
                saver.setup()
                file.execute("PRAGMA synchronous=NORMAL")
            yield saver

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
