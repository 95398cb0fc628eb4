"""Shared by the commands for files that outlive a run: memory and library."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.embeddings import Embeddings
from rich.console import Console
from rich.text import Text

from quillgraph.agents.text import visible
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError, StorageError
from quillgraph.graphs.memory import FileKind

T = TypeVar("T")
K = TypeVar("K")

Opening = Callable[[Path | None, Embeddings], AbstractAsyncContextManager[K]]


def with_file(
    kind: FileKind, file: Path, opening: Opening[K], use: Callable[[K], Awaitable[T]]
) -> T:
    """Open an existing file, use it, and close it.

    Raises:
        ConfigError: If there is no such file; a read-only command creates none.
    """
    if not file.exists():
        raise ConfigError(
            f"expected a {kind.name}, but there is none at {file}; runs begin one, and "
            f"--path or {kind.variable} names another"
        )

    async def opened() -> T:
        # no command here searches by similarity, so no model is loaded
        async with opening(file, LexicalEmbeddings()) as store:
            return await use(store)

    return asyncio.run(opened())


def show_fields(fields: dict[str, Any]) -> None:
    """Print the fields of an item, a line each."""
    out = console()
    width = max(map(len, fields))
    for name, value in fields.items():
        out.print(Text.assemble((f"{name:{width}}  ", "cyan"), _plain(value)))


def export(everything: object, file: Path | None, counted: str) -> None:
    """Write all items as JSON, to a file or to stdout.

    Args:
        everything: A JSON value.
        file: Path to write; None means stdout.
        counted: The number of items in words, printed after the file is written.

    Raises:
        StorageError: If the file cannot be written.
    """
    if file is None:
        write_json(everything)
        return
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_text(json.dumps(everything, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(f"cannot write {file}: {error.strerror}") from error
    sys.stdout.write(f"{file}: {counted}\n")


def write_json(value: object) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def console() -> Console:
    """A console that does not wrap lines."""
    return Console(soft_wrap=True, highlight=False)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return visible("; ".join(map(str, value))) or "-"
    if isinstance(value, dict):
        return visible("; ".join(f"{name}: {each}" for name, each in value.items())) or "-"
    return "-" if value is None or value == "" else visible(str(value))
