"""Files of JSON lines that are added to as work goes on; a kill may leave half a line behind."""

import json
import os
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from quillgraph.backends.errors import InputError, StorageError

T = TypeVar("T", bound=BaseModel)


def end_last_line(path: Path) -> None:
    """Make a file that is to be added to end with a whole line; what was cut short is taken off.

    Raises:
        StorageError: If it cannot be read or written.
    """
    if not path.is_file():  # nothing yet, or a device
        return
    try:
        with path.open("rb+") as file:
            start = _start_of_last(file)
            file.seek(start)
            if is_json(last := file.read()):
                file.write(b"\n")
            elif last:
                file.truncate(start)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def read_lines(path: Path, form: type[T], remedy: str) -> list[T]:
    """Read a file of JSON lines; a last line that was cut short is left out.

    Args:
        path: The file.
        form: What a line holds.
        remedy: What to do about a line that holds something else.

    Raises:
        InputError: Naming the line that cannot be read.
        StorageError: If the file cannot be read.
    """
    try:
        # not splitlines(): a text may hold line separators other than \n
        *lines, last = path.read_bytes().split(b"\n")
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    rows = []
    for number, line in enumerate([*lines, last] if is_json(last) else lines, 1):
        try:
            rows.append(form.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise InputError(
                f"{path}, line {number}: expected a {form.__name__}, {first['msg']}; {remedy}"
            ) from error
    return rows


def _start_of_last(file: BinaryIO) -> int:
    """Where what stands behind the last line break begins."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def is_json(line: bytes) -> bool:
    """Whether a line is whole JSON, and not cut short."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
