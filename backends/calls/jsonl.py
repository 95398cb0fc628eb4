"""Files of JSON lines that grow while a run works; a kill may leave half a line at the end."""

import codecs
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TextIO, TypeVar

from pydantic import TypeAdapter, ValidationError

from quillgraph.backends.errors import InputError, StorageError

T = TypeVar("T")


class JsonLines:
    """A file of JSON lines: writes line by line, and names the line that cannot be read.

    When `append` returns, the operating system has the lines. A kill may cut the last line short;
    reading skips that line, and `mend` removes it before more is added.

    Args:
        path: The file; it need not exist.
        remedy: What to do about a line that cannot be read, for the error message.
    """

    def __init__(self, path: Path, remedy: str = "delete the line to read the others") -> None:
        self.path, self._remedy = path, remedy
        self._file: TextIO | None = None

    @property
    def is_open(self) -> bool:
        """Whether the file is held open; a write that fails closes it."""
        return self._file is not None

    def open(self, *, new: bool = False) -> Self:
        """Hold the file open until `close`, for a writer of many lines.

        Args:
            new: Create the file; else mend the existing one and add to it.

        Raises:
            StorageError: If the file cannot be written, or exists and `new` is set.
        """
        if not new:
            self.mend()
        try:
            self._file = self.path.open("x" if new else "a", encoding="utf-8", newline="\n")
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def __enter__(self) -> Self:
        return self if self.is_open else self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, *lines: str) -> None:
        """Add lines at the end of the file.

        If the file is not held open, this opens it once and creates its folder.

        Args:
            lines: JSON without line breaks.

        Raises:
            StorageError: If the file cannot be written. It is closed then.
        """
        text = "".join(f"{line}\n" for line in lines)
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8", newline="\n") as file:
                    file.write(text)
            else:
                self._file.write(text)
                self._file.flush()
        except OSError as error:
            with suppress(OSError):  # closing tries to write once more
                self.close()
            raise self._unwritable(error) from error

    def mend(self) -> None:
        """Make the file end with a whole line; removes a line that was cut short.

        Raises:
            StorageError: If the file cannot be read or written.
        """
        if not self.path.is_file():  # nothing yet, or a device
            return
        try:
            with self.path.open("rb+") as file:
                start = _start_of_last(file)
                file.seek(start)
                if is_json(last := file.read()):
                    file.write(b"\n")
                elif last:
                    file.truncate(start)
        except OSError as error:
            raise self._unwritable(error) from error

    def read(self, form: type[T]) -> list[T]:
        """Read the lines; skips a last one that was cut short.

        Args:
            form: The type of a line.

        Raises:
            InputError: If a line holds something else; names the line.
            StorageError: If the file cannot be read.
        """
        adapter, rows = TypeAdapter(form), []
        for number, line in enumerate(self._whole(), 1):
            try:
                rows.append(adapter.validate_json(line))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                raise InputError(
                    f"{self.path}, line {number}: expected a {form.__name__}, {first['msg']}; "
                    f"{self._remedy}"
                ) from error
        return rows

    def rewind(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Remove the lines that are about to be written again, and half a last one.

        Args:
            keep: Whether a line, a JSON object, stays.

        Raises:
            InputError: If a line holds no object; names the line.
            StorageError: If the file cannot be read or written.
        """
        if not self.path.exists():
            return
        lines, rows = self._whole(), self.read(dict[str, Any])
        remaining = [line for line, row in zip(lines, rows, strict=True) if keep(row)]
        if len(remaining) == len(lines):
            self.mend()
            return
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            part.write_bytes(b"".join(line + b"\n" for line in remaining))
            part.replace(self.path)
        except OSError as error:
            raise self._unwritable(error) from error

    def _whole(self) -> list[bytes]:
        try:
            # not splitlines(): a text may hold line separators other than \n
            *lines, last = self.path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}") from error
        return [*lines, last] if is_json(last) else lines

    def _unwritable(self, error: OSError) -> StorageError:
        return StorageError(f"cannot write {self.path}: {error.strerror}")


def is_json(line: bytes) -> bool:
    """Whether a line is whole JSON, and not cut short."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _start_of_last(file: BinaryIO) -> int:
    """Position of the first byte after the last line break."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
