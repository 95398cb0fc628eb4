"""The calls of unfinished threads, on disk, for the episode of a resumed run."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from quillgraph.backends.calls import CallRecord
from quillgraph.backends.errors import StorageError

_TABLES = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS threads (thread TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
  thread TEXT, call INTEGER, place TEXT, given_up INTEGER, record TEXT,
  PRIMARY KEY (thread, call)
) WITHOUT ROWID;
"""


class KeptCall(NamedTuple):
    """A call from an earlier run of a thread."""

    record: CallRecord
    given_up: bool
    """Whether the attempt at its node failed."""


class KeptCalls:
    """The records of a durable graph's calls, by the thread that made them.

    The checkpoints hold the results of the nodes, and the journal holds the replies. Neither holds
    the request of a call, its role, or whether the attempt at its node failed.

    Args:
        path: SQLite file; created if missing.

    Raises:
        StorageError: If it cannot be used; its methods raise it too.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        with self._storage_errors():
            self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._file.executescript(_TABLES)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open a file, and close it at the end."""
        kept = cls(path)
        try:
            yield kept
        finally:
            with kept._lock:  # a thread that the run has left behind may still be at work
                kept._file.close()

    def begin(self, thread: str) -> None:
        """Record that all calls of a thread are kept here, from the first one on."""
        self._run("INSERT OR IGNORE INTO threads VALUES (?)", thread)

    def knows(self, thread: str) -> bool:
        """Whether all calls of a thread are kept here."""
        return bool(self._run("SELECT 1 FROM threads WHERE thread = ?", thread))

    def of(self, thread: str) -> list[KeptCall]:
        """The calls of a thread, in the order in which they began."""
        rows = self._run(
            "SELECT record, given_up FROM calls WHERE thread = ? ORDER BY call", thread
        )
        return [KeptCall(CallRecord.model_validate_json(record), bool(up)) for record, up in rows]

    def keep(self, record: CallRecord, *, given_up: bool) -> None:
        """Keep a call; a replayed call keeps its first record."""
        row = (record.run, record.call, record.namespace, given_up, record.model_dump_json())
        self._run(
            "INSERT INTO calls VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET given_up = excluded.given_up",
            *row,
        )

    def give_up(self, thread: str, place: str, with_inner: bool) -> None:
        """Mark the calls of a node's task, or those of the graphs within it too, as given up."""
        inner = "OR substr(place, 1, length(?2) + 1) = ?2 || '|'" if with_inner else ""
        where = f"thread = ?1 AND (place = ?2 {inner})"
        self._run(f"UPDATE calls SET given_up = 1 WHERE {where}", thread, place)

    def forget(self, thread: str) -> None:
        """Delete the calls of a finished thread."""
        self._run("DELETE FROM calls WHERE thread = ?", thread)
        self._run("DELETE FROM threads WHERE thread = ?", thread)

    def _run(self, command: str, *values: object) -> list[tuple[str, int]]:
        with self._lock, self._storage_errors():
            return self._file.execute(command, values).fetchall()

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(f"cannot use the kept calls {self._path}: {error}") from error
