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
        self.rows: dict[K, T] = {}
        end_last_line(path)
        remedy = "delete the line, and it is worked out again"
        for row in read_lines(path, form, remedy) if path.exists() else []:
            self.rows[key(row)] = row

    def add(self, row: T) -> T:
        """Write a row behind the others.

        Raises:
            StorageError: If the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(row.model_dump_json() + "\n")
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}") from error
        self.rows[self._key(row)] = row
        return row
