"""Sends the output of engines to a log instead of the terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from quillgraph.backends.errors import StorageError


@contextmanager
def output_to(log: Path) -> Iterator[TextIO]:
    """Send standard output and standard error to a file; child processes keep writing there.

    In-process engines write warnings from C++ and from their own processes, so this redirects the
    file descriptors. A log that stays empty is removed.

    Yields:
        The original standard error, for messages to the user.

    Raises:
        StorageError: If the log cannot be written.
    """
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise StorageError(f"cannot write {log}: {error.strerror}") from error
    own = _is_on_descriptor(sys.stderr, 2)
    saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    terminal = open(saved[2], "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115  # closed below
    _point({1: file, 2: file})
    try:
        # if another stream replaces standard error, messages still go there
        yield terminal if own else sys.stderr
    finally:
        terminal.close()
        _point(saved)
        for descriptor in (file, *saved.values()):
            os.close(descriptor)
        if log.stat().st_size == 0:
            log.unlink()


def _point(descriptors: dict[int, int]) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for descriptor, target in descriptors.items():
        os.dup2(target, descriptor)


def _is_on_descriptor(stream: TextIO, descriptor: int) -> bool:
    try:
        return stream.fileno() == descriptor
    except OSError:  # a stream in memory
        return False
