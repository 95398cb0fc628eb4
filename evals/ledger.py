"""Results that are added to a file one by one, so that work which was cut short goes on."""

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from quillgraph.agents.domain import Value
from quillgraph.backends.calls import end_last_line, read_lines
from quillgraph.backends.errors import StorageError

K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=Value)


class Ledger(Generic[K, T]):
    """Rows, each under a key; of two rows of one key the later stands, so a failure may be retried.

    Args:
        path: A file of JSON lines that rows are added to; what earlier work has left there is read,
            and a last line that a kill has cut short is taken off. None keeps rows in memory alone.
        form: What a line holds.
        key: What a row is known by.

    Raises:
        InputError: If another line cannot be read.
        StorageError: If the file cannot be read.
    """

    def __init__(self, path: Path | None, form: type[T], key: Callable[[T], K]) -> None:
        self.path, self._key = path, key
        self.rows: dict[K, T] = {}
        if path is None:
            return
        end_last_line(path)
        remedy = "delete the line, and it is worked out again"
        for row in read_lines(path, form, remedy) if path.exists() else []:
            self.rows[key(row)] = row

    @classmethod
    def within(
        cls, folder: Path | None, name: str, form: type[T], key: Callable[[T], K]
    ) -> "Ledger[K, T]":
        """Open the file of this name in a folder; without a folder, keep rows in memory."""
        return cls(folder / name if folder else None, form, key)

    def add(self, row: T) -> T:
        """Add a row, in the file behind the others.

        Raises:
            StorageError: If the file cannot be written.
        """
        if self.path:
            self._append(self.path, row)
        self.rows[self._key(row)] = row
        return row

    def _append(self, path: Path, row: T) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(row.model_dump_json() + "\n")
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error
