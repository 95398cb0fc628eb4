"""Results that are added to a file one by one, so that work which was cut short goes on."""

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from quillgraph.agents.domain import Value
from quillgraph.backends.calls import JsonLines

K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=Value)


class Ledger(Generic[K, T]):
    """A file of JSON lines, each under a key; of two lines of one key the later stands.

    So what failed may be tried again.

    Args:
        path: The file; what earlier work has left there is read. A last line that a kill has cut
            short is taken off.
        form: What a line holds.
        key: What a line is known by.

    Raises:
        InputError: If another line cannot be read.
        StorageError: If the file cannot be read.
    """

    def __init__(self, path: Path, form: type[T], key: Callable[[T], K]) -> None:
        self.path, self._key = path, key
        self._file = JsonLines(path, "delete the line, and it is worked out again")
        self._file.mend()
        rows = self._file.read(form) if path.exists() else []
        self.rows: dict[K, T] = {key(row): row for row in rows}

    def add(self, row: T) -> T:
        """Write a row behind the others.

        Raises:
            StorageError: If the file cannot be written.
        """
        self._file.append(row.model_dump_json())
        self.rows[self._key(row)] = row
        return row
