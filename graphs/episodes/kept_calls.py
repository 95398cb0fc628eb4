"""The calls of threads that are not over, on disk, for the episode of a run that goes on."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
    """A call that an earlier run of a thread has made."""

    record: CallRecord
    given_up: bool
    """Whether it was made in a try of its node that came to nothing."""


class KeptCalls:
    """The records of a durable graph's calls, by the thread that made them.

    The checkpoints know what the nodes made of the calls and the journal their replies; what a
    call was asked, by whom, and whether its try came to anything, neither knows.

    Args:
        path: SQLite file; made if it is not there.

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
        with closing(kept._file):
            yield kept

    def begin(self, thread: str) -> None:
        """Note that all calls of a thread are kept here, from its first on."""
        self._run("INSERT OR IGNORE INTO threads VALUES (?)", thread)

    def knows(self, thread: str) -> bool:
        """Whether that is so."""
        return bool(self._run("SELECT 1 FROM threads WHERE thread = ?", thread))

    def of(self, thread: str) -> list[KeptCall]:
        """The calls of a thread, in the order in which they were asked for."""
        rows = self._run(
            "SELECT record, given_up FROM calls WHERE thread = ? ORDER BY call", thread
        )
        return [KeptCall(CallRecord.model_validate_json(record), bool(up)) for record, up in rows]

    def keep(self, record: CallRecord, *, given_up: bool) -> None:
        """Keep a call; one that is made again from the journal stands as it was at first."""
        row = (record.run, record.call, record.namespace, given_up, record.model_dump_json())
        self._run(
            "INSERT INTO calls VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET given_up = excluded.given_up",
            *row,
        )

    def give_up(self, thread: str, place: str, with_inner: bool) -> None:
        """Note that what a node's task, or the graphs within it too, asked comes to nothing."""
        inner = "OR substr(place, 1, length(?2) + 1) = ?2 || '|'" if with_inner else ""
        where = f"thread = ?1 AND (place = ?2 {inner})"
        self._run(f"UPDATE calls SET given_up = 1 WHERE {where}", thread, place)

    def forget(self, thread: str) -> None:
        """Drop what is kept of a thread that is over."""
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
