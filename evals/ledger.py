"""Appends results to a file one by one, so that interrupted work can resume."""

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from quillgraph.agents.domain import Value
from quillgraph.backends.calls import JsonLines

K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=Value)


class Ledger(Generic[K, T]):
    """Rows by key. A later row replaces an earlier one of the same key, so failures can be retried.

    Args:
        path: A file of JSON lines that rows are appended to. Existing rows are read, and a last
            line that a kill cut short is removed. None keeps rows in memory only.
        form: Type of a row.
        key: Gives the key of a row.

    Raises:
        InputError: If another line cannot be read.
        StorageError: If the file cannot be read.
    """

    def __init__(self, path: Path | None, form: type[T], key: Callable[[T], K]) -> None:
        self.path, self._key = path, key
        self.rows: dict[K, T] = {}
        self._file = path and JsonLines(path, "delete the line, and it is worked out again")
        if self._file and path:
            self._file.mend()
            rows = self._file.read(form) if path.exists() else []
            self.rows = {key(row): row for row in rows}

    @classmethod
    def within(
        cls, folder: Path | None, name: str, form: type[T], key: Callable[[T], K]
    ) -> "Ledger[K, T]":
        """Open the file of this name in a folder; without a folder, keep rows in memory."""
        return cls(folder / name if folder else None, form, key)

    def add(self, row: T) -> T:
        """Add a row, and append it to the file.

        Raises:
            StorageError: If the file cannot be written.
        """
        if self._file:
            self._file.append(row.model_dump_json())
        self.rows[self._key(row)] = row
        return row
