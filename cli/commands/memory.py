"""`quillgraph memory`: show, forget and export lessons and entries."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from rich.text import Text

from quillgraph.agents.memory import Lesson, MemoryEntry
from quillgraph.agents.text import visible
from quillgraph.cli.display.items import console, export, show_fields, with_file, write_json
from quillgraph.cli.session.settings import load_settings
from quillgraph.graphs.memory import MEMORY, Memory, excerpt

T = TypeVar("T")

FIRST_WORDS = 12
"""Of a request, in the list of entries."""


def list_items(path: Path | None, *, genre: str | None, as_json: bool) -> None:
    """List lessons and entries, a line each; `as_json` leaves the texts of entries out."""
    if path is None and not _file(path).exists():
        if as_json:
            write_json({"lessons": [], "entries": []})
        else:
            sys.stdout.write("nothing is remembered yet\n")
        return

    async def both(memory: Memory) -> tuple[tuple[Lesson, ...], tuple[MemoryEntry, ...]]:
        return await memory.lessons(genre), await memory.entries(genre=genre)

    lessons, entries = _with_memory(path, both)
    if as_json:
        rows = {
            "lessons": [each.model_dump(mode="json") for each in lessons],
            "entries": [_brief(each) for each in entries],
        }
        write_json(rows)
        return
    if not lessons and not entries:
        sys.stdout.write("nothing is remembered yet\n")
    _show_lessons(lessons)
    _show_entries(entries)


def show_item(path: Path | None, item_id: str, *, as_json: bool) -> None:
    """Show a lesson or an entry with all its fields.

    Raises:
        ConfigError: If there is none of this id.
    """
    item = _with_memory(path, lambda memory: memory.find(item_id))
    fields = item.model_dump(mode="json")
    if as_json:
        write_json(fields)
        return
    for trace in ("token_ids", "logprobs"):
        if trace in fields:
            fields[trace] = f"{len(fields[trace])} values; --json has them"
    show_fields(fields)


def forget_item(path: Path | None, item_id: str) -> None:
    """Forget a lesson or an entry.

    Raises:
        ConfigError: If there is none of this id.
    """
    _with_memory(path, lambda memory: memory.forget(item_id))
    sys.stdout.write(f"forgot {visible(item_id)}\n")


def export_items(path: Path | None, file: Path | None, *, genre: str | None) -> None:
    """Write all lessons and entries as JSON, to a file or to stdout.

    Raises:
        StorageError: If the file cannot be written.
    """
    everything = _with_memory(path, lambda memory: memory.export(genre))
    count = len(everything["lessons"]), len(everything["entries"])
    export(everything, file, f"{count[0]} lessons, {count[1]} entries")


def _with_memory(path: Path | None, use: Callable[[Memory], Awaitable[T]]) -> T:
    return with_file(MEMORY, _file(path), Memory.open, use)


def _file(path: Path | None) -> Path:
    """The given file, else the memory file of `quillgraph write`."""
    return path.expanduser() if path else load_settings(None).memory or MEMORY.default_path()


def _show_lessons(lessons: tuple[Lesson, ...]) -> None:
    out = console()
    for lesson in lessons:
        mean = f"mean gain {lesson.gain / lesson.uses:+.3f}" if lesson.uses else "not used yet"
        out.print(
            Text.assemble(
                (f"{visible(lesson.id)}  ", "cyan"),
                (f"{lesson.polarity:5}  ", "green" if lesson.polarity == "do" else "red"),
                visible(f"{lesson.condition}: {lesson.strategy}"),
                (
                    visible(
                        f"  [{lesson.genre}; {', '.join(lesson.criteria)}; support "
                        f"{lesson.support}; uses {lesson.uses}; {mean}]"
                    ),
                    "dim",
                ),
            )
        )


def _show_entries(entries: tuple[MemoryEntry, ...]) -> None:
    out = console()
    for entry in entries:
        reward = "unread" if entry.reward is None else f"{entry.reward:.3f}"
        out.print(
            Text.assemble(
                (f"{visible(entry.id)}  ", "cyan"),
                f"{entry.kind:8}  {reward:6}  ",
                visible(_opening(entry)),
                (visible(f"  [{entry.genre}; {entry.created}]"), "dim"),
            )
        )


def _opening(entry: MemoryEntry) -> str:
    return " ".join(excerpt(entry.request, FIRST_WORDS).split())


def _brief(entry: MemoryEntry) -> dict[str, Any]:
    brief = {"id", "kind", "genre", "language", "request", "reward", "delta", "created"}
    return entry.model_dump(mode="json", include=brief)
