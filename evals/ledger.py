"""Results that are added to a file one by one, so that work which was cut short goes on."""

from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from quillgraph.agents.domain import Value
from quillgraph.backends.errors import InputError, StorageError

T = TypeVar("T", bound=Value)


class Ledger(Generic[T]):
    """A file of JSON lines, each under a key; of two lines of one key the later stands.

    Args:
        path: The file; what earlier work has left there is read. A last line that a kill has cut
            short is taken off.
        form: What a line holds.
        key: What a line is known by.

    Raises:
        InputError: If another line cannot be read.
        StorageError: If the file cannot be read.
    """

    def __init__(self, path: Path, form: type[T], key: Callable[[T], Hashable]) -> None:
        self.path, self._key = path, key
        self._rows: dict[Hashable, T] = {}
        for number, line in enumerate(_whole_lines(path), 1):
            try:
                row = form.model_validate_json(line)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                raise InputError(
                    f"{path}, line {number}: expected a {form.__name__}, {first['msg']}; delete "
                    "the line, and it is worked out again"
                ) from error
            self._rows[key(row)] = row

    def __iter__(self) -> Iterator[T]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: Hashable) -> T | None:
        """The row of a key; None if there is none yet."""
        return self._rows.get(key)

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
        self._rows[self._key(row)] = row
        return row


def _whole_lines(path: Path) -> list[str]:
    try:
        raw = path.read_bytes()
        end = raw.rfind(b"\n") + 1
        if end < len(raw):
            with path.open("rb+") as file:
                file.truncate(end)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    # not splitlines(): a text may hold line separators other than \n
    return raw[:end].decode("utf-8").split("\n")[:-1]
