"""Files that outlive a run: their location, how to open them, and what happens to a damaged one.

Memory and the criteria library are each a LangGraph store in a SQLite file of their own kind.

A file is opened under a lock beside it, so that only one of two processes creates the tables.
Changes to the store are serialized, and SQLite's errors become errors of this package.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote

import filelock
import platformdirs
from langgraph.store.base import BaseStore, GetOp, Item, PutOp, SearchOp
from langgraph.store.sqlite import SqliteStore

from quillgraph.agents.domain import Value
from quillgraph.backends.errors import ConfigError, StorageError

logger = logging.getLogger(__name__)

BUSY_S = 10.0
"""Seconds to wait for another process; each holds the file for milliseconds."""

OWN = "own"
"""Stands for the file in the user's data directory where a file is named."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@dataclass(frozen=True, slots=True)
class FileKind:
    """The content of a file, and the marks that identify such files."""

    noun: str
    """What messages call it, such as `memory`."""
    application_id: int
    """Tells these files from other SQLite files; kept as the file's `application_id`."""
    version: int
    """Of the items in the store; kept as the file's `user_version`."""
    variable: str
    """Environment variable that names the file."""

    @property
    def name(self) -> str:
        """What messages call the file."""
        return f"{self.noun} file"

    def default_path(self) -> Path:
        """Path of the file: the one in `variable`, or one in the user's data directory."""
        named = os.environ.get(self.variable)
        if named and named != OWN:
            return Path(named).expanduser()
        folder = platformdirs.user_data_dir("quillgraph", appauthor=False)
        return Path(folder) / f"{self.noun}.sqlite"


MEMORY = FileKind("memory", 0x51474D31, 1, "QUILLGRAPH_MEMORY")  # "QGM1"
LIBRARY = FileKind("library", 0x51474C31, 1, "QUILLGRAPH_LIBRARY")  # "QGL1"


class _Damaged(Exception):
    """The file cannot be read as SQLite."""


def open_store(path: Path, kind: FileKind) -> SqliteStore:
    """Open a file, or create it.

    A damaged file is moved aside with a warning, and a new one is created. Each change is on
    disk when its call returns: write-ahead log, synchronised at every commit.

    Raises:
        ConfigError: If a newer version of the package has written the file, or another program.
        StorageError: If it cannot be read or written, or is locked for longer than `BUSY_S`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path, kind), storage_errors(path, kind):
            try:
                _inspect(path, kind)
            except _Damaged as damage:
                logger.warning(
                    "%s %s is damaged (%s); it was moved to %s and a fresh one begun",
                    kind.name, path, damage, _move_aside(path),
                )  # fmt: skip
            return _connect(path, kind)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"cannot open the {kind.name} {path}: {error.strerror or error}; free or unlock its "
            f"folder, or name another file in {kind.variable}"
        ) from error


@contextmanager
def alone(path: Path, kind: FileKind) -> Iterator[None]:
    """Hold the lock beside a file, against other threads and processes.

    Raises:
        StorageError: If another process holds it for longer than `BUSY_S`.
    """
    # an instance counts its own acquisitions, so each holder needs its own
    lock = filelock.FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(timeout=BUSY_S)
    except filelock.Timeout as error:
        raise _locked(Path(lock.lock_file), kind) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def storage_errors(path: Path, kind: FileKind) -> Iterator[None]:
    """Turn SQLite's errors into errors of the package.

    Raises:
        StorageError: If SQLite cannot read or write the file.
    """
    try:
        yield
    except sqlite3.Error as error:
        cause = _first(error)
        if _code(cause) in _LOCKED:
            raise _locked(path, kind) from error
        advice = (
            "it is moved aside when it is opened again"
            if _is_damage(cause)
            else "check the disk and its permissions"
        )
        raise StorageError(f"cannot use the {kind.name} {path}: {cause}; {advice}") from error


def _inspect(path: Path, kind: FileKind) -> None:
    """Look at a file without changing it.

    Raises:
        ConfigError: If it is not for this version, or not ours.
        _Damaged: If it cannot be read as SQLite.
    """
    if not path.exists() or not path.stat().st_size:
        return
    try:
        with closing(sqlite3.connect(_read_only(path), uri=True, timeout=BUSY_S)) as connection:
            owner = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables and owner != kind.application_id:
                raise ConfigError(
                    f"expected a {kind.name} of quillgraph, but {path} {_owned(owner)}; "
                    f"name another file in {kind.variable} or with --path"
                )
            if version > kind.version:
                raise ConfigError(
                    f"expected a {kind.name} of version {kind.version} or older, but {path} has "
                    f"version {version}: a newer quillgraph wrote it; update quillgraph"
                )
            if (report := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise _Damaged(" ".join(report.split()))
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            raise _Damaged(str(error)) from error
        raise


def _owned(application_id: int) -> str:
    others = {kind.application_id: kind for kind in (MEMORY, LIBRARY)}
    if application_id in others:
        return f"is a {others[application_id].name}"
    return "belongs to another program"


def _read_only(path: Path) -> str:
    # a writer that closes a file merges its log into it, even where both should be moved away
    return f"{path.absolute().as_uri()}?mode=ro"


def _move_aside(path: Path) -> Path:
    stem = f"{path.name}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    for number in count(1):
        aside = path.with_name(stem if number == 1 else f"{stem}-{number}")
        if not aside.exists():
            break
    for ending in ("", "-wal", "-shm"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return aside


def _connect(path: Path, kind: FileKind) -> SqliteStore:
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=BUSY_S, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        if connection.execute("PRAGMA user_version").fetchone()[0] != kind.version:
            connection.execute(f"PRAGMA application_id={kind.application_id}")
            connection.execute(f"PRAGMA user_version={kind.version}")
        store = SqliteStore(connection)
        store.setup()
    except BaseException:
        connection.close()
        raise
    return store


def _first(error: BaseException) -> BaseException:
    """The first error: the store's closing COMMIT may fail after it."""
    while isinstance(error.__context__, sqlite3.Error):
        error = error.__context__
    return error


def _code(error: BaseException) -> int:
    # the lowest byte is the primary code, the upper bytes extend it
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_damage(error: BaseException) -> bool:
    return _code(error) in _DAMAGED


def _locked(path: Path, kind: FileKind) -> StorageError:
    return StorageError(
        f"another process has held {path} for {BUSY_S:g} s; end it, then try again, or name "
        f"another {kind.name} in {kind.variable}"
    )


V = TypeVar("V", bound=Value)

_ALL = 1_000_000_000
"""Limit of a search; without one it returns ten items."""


_AT_ONCE = 500
"""Keys in one query: old SQLites take 999 parameters."""


class GuardedStore:
    """A store behind a lock of this process and, if it lies in a file, one between processes.

    Args:
        store: Any LangGraph store that answers synchronous calls from a thread.
        kind: What is kept in it.
        path: The file behind the store; None if the store belongs to this process alone.
    """

    def __init__(self, store: BaseStore, kind: FileKind, path: Path | None) -> None:
        self.store, self.kind, self.path = store, kind, path
        self._lock = Lock()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store for a read followed by a write."""
        with self._lock:
            if self.path is None:
                yield
            else:
                with alone(self.path, self.kind):
                    yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the store against other threads of this process."""
        with self._lock:
            yield

    def put(self, puts: Sequence[PutOp]) -> None:
        """Write items in one transaction."""
        if puts:
            self._batch(puts)

    def get(self, at: tuple[str, ...], keys: Sequence[str], form: type[V]) -> list[V | None]:
        """Read the items of keys; None where there is none.

        Raises:
            StorageError: If an item does not have the form.
        """
        with self._reading(form):
            items: list[Item | None] = []
            for start in range(0, len(keys), _AT_ONCE):
                items += self._batch([GetOp(at, k) for k in keys[start : start + _AT_ONCE]])
            return [None if item is None else form.model_validate(item.value) for item in items]

    def all(self, at: tuple[str, ...], form: type[V]) -> list[V]:
        """Read all items under a namespace.

        Raises:
            StorageError: If one has not the form.
        """
        with self._reading(form):
            items = self._batch([SearchOp(at, limit=_ALL)])[0]
            return [form.model_validate(item.value) for item in items]

    @contextmanager
    def _reading(self, form: type[Value]) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise StorageError(
                f"expected items of the form {form.__name__} in {self.path or 'the store'}, got "
                f"{str(error)[:120]}; something else has written there: begin another file"
            ) from error

    def _batch(self, operations: Sequence[Any]) -> list[Any]:
        with nullcontext() if self.path is None else storage_errors(self.path, self.kind):
            return self.store.batch(operations)


def label(word: str) -> str:
    """A word as a part of a namespace, which must not be empty or contain a full stop."""
    return quote(word, safe="").replace(".", "%2E") or "%"
