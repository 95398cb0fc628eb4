"""Judgements that have been paid for, by their content; in memory or in one SQLite file."""

import hashlib
import json
import sqlite3
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from quillgraph.agents.judgements import Judgement
from quillgraph.backends.errors import StorageError

IN_MEMORY = ":memory:"


def judgement_key(criteria_sha: str, text_sha: str, judge: str, seed: int) -> str:
    """Hash of all that a judgement depends on."""
    about = json.dumps([criteria_sha, text_sha, judge, seed])
    return hashlib.sha256(about.encode()).hexdigest()


class JudgementCache:
    """Key to judgement. Threads may share it; a judgement that lacks verdicts is not kept.

    Args:
        path: The SQLite file; None keeps the judgements in memory.

    Raises:
        StorageError: If the file cannot be opened, read or written, or is none of ours.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path, self._lock = path, Lock()
        try:
            self._file = sqlite3.connect(path or IN_MEMORY, check_same_thread=False)
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS judgements (key TEXT PRIMARY KEY, judgement TEXT)"
            )
            self._file.commit()
        except sqlite3.Error as error:
            raise self._failure("open", error) from error

    def get(self, key: str) -> Judgement | None:
        """Look a judgement up; None if it is not there or was written by another version."""
        with self._lock:
            try:
                found = self._file.execute(
                    "SELECT judgement FROM judgements WHERE key = ?", (key,)
                ).fetchone()
            except sqlite3.Error as error:
                raise self._failure("read", error) from error
        try:
            return None if found is None else Judgement.model_validate_json(found[0])
        except ValidationError:
            return None

    def put(self, key: str, judgement: Judgement) -> None:
        """Keep a judgement, unless verdicts are missing: those may be had the next time."""
        if judgement.missing:
            return
        with self._lock:
            try:
                self._file.execute(
                    "INSERT OR REPLACE INTO judgements VALUES (?, ?)",
                    (key, judgement.model_dump_json()),
                )
                self._file.commit()
            except sqlite3.Error as error:
                raise self._failure("write", error) from error

    def save(self, path: Path) -> None:
        """Write a copy of what is in the cache."""
        with self._lock:
            try:
                copy = sqlite3.connect(path)
                self._file.backup(copy)
                copy.close()
            except sqlite3.Error as error:
                raise self._failure("copy", error) from error

    def load(self, path: Path) -> None:
        """Take over what another cache has saved."""
        with self._lock:
            try:
                saved = sqlite3.connect(path)
                saved.backup(self._file)
                saved.close()
            except sqlite3.Error as error:
                raise self._failure("read", error) from error

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def __len__(self) -> int:
        with self._lock:
            return int(self._file.execute("SELECT COUNT(*) FROM judgements").fetchone()[0])

    def _failure(self, doing: str, error: sqlite3.Error) -> StorageError:
        where = self.path or "in memory"
        return StorageError(
            f"cannot {doing} the judgements {where}: {error}; free some room, or name another file"
        )
