"""Memory between episodes: texts with their scores, and the lessons drawn from them.

Items lie in a LangGraph store under `("lessons", genre)` and `("entries", kind, genre)`.
Similarity is computed here: the store's own index needs an extension of SQLite that many Pythons
are built without, and a genre holds at most some thousands of requests.
"""

import asyncio
import difflib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from langchain_core.embeddings import Embeddings
from langgraph.store.base import BaseStore, PutOp

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.memory import TOKEN, WORD_CHARS, Lesson, MemoryEntry, Recalled, weight
from quillgraph.backends.errors import ConfigError
from quillgraph.graphs.memory.recall import MOST_LESSONS, recalled
from quillgraph.graphs.memory.store import MEMORY, GuardedStore, label, open_store, storage_errors

T = TypeVar("T")

MOST_EXCERPT_WORDS = 120
"""Words of a remembered text that a prompt shows (`ALGORITHM.md` 6.4, step 1)."""


class Memory:
    """Lessons and entries in a store; a method's writes are saved when it returns.

    A memory may be used from any event loop and from several threads. Processes may share a
    file: each change is one transaction, and a read followed by a write holds a lock.

    Args:
        store: Any LangGraph store that answers synchronous calls from a thread.
        embeddings: Find similar requests; they should cache the vectors of known texts.
        path: The file behind the store, which is locked against other processes; None if the
            store belongs to this process alone.
    """

    def __init__(
        self, store: BaseStore, embeddings: Embeddings, *, path: Path | None = None
    ) -> None:
        self.embeddings, self.path = embeddings, path
        self._kept = GuardedStore(store, MEMORY, path)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path | None, embeddings: Embeddings) -> AsyncIterator[Self]:
        """Open a memory file; None opens the user's own.

        Raises:
            ConfigError: If a newer version of the package has written the file, or another
                program.
            StorageError: If it cannot be read or written, or is locked for long.
        """
        file = path or MEMORY.default_path()
        store = await asyncio.to_thread(open_store, file, MEMORY)
        try:
            yield cls(store, embeddings, path=file)
        finally:
            # a call that was given up may still be at work on its thread
            with store.lock, storage_errors(file, MEMORY):
                store.conn.close()

    async def recall(
        self, task: WritingTask, criteria_names: Sequence[str], most: int = MOST_LESSONS
    ) -> Recalled:
        """Find lessons and texts that may help with a request; `recalled` defines the order.

        Args:
            task: The request.
            criteria_names: Names of the criteria that need help; an empty sequence means any.
            most: Most lessons.
        """
        lessons, entries = (
            await self.lessons(),
            await self.entries(("success", "error"), task.genre),
        )
        return await recalled(task, criteria_names, lessons, entries, self.embeddings, most=most)

    async def remember(self, entries: Iterable[MemoryEntry]) -> None:
        """Keep entries, and credit the lessons that the new ones were written with.

        Both are one transaction, so even a killed process loses no use of a lesson and counts none
        twice. An entry whose id is known already for its kind and genre replaces the old entry and
        credits nothing. Deleted lessons are ignored.
        """
        by_id = {entry.id: entry for entry in entries}
        await asyncio.to_thread(self._remember, tuple(by_id.values()))

    async def edit(
        self, genre: str, change: Callable[[tuple[Lesson, ...]], tuple[tuple[Lesson, ...], T]]
    ) -> T:
        """Change the lessons of a genre; no other change happens between the read and the write.

        Args:
            genre: The genre.
            change: Maps the current lessons to the new ones and a result. It runs on a thread,
                under the lock, so call models before.

        Returns:
            The result of `change`.
        """
        return await asyncio.to_thread(self._edit, genre, change)

    async def keep_lessons(self, lessons: Sequence[Lesson], genre: str) -> None:
        """Replace the lessons of a genre. To change lessons after a read, use `edit`."""
        await self.edit(genre, lambda _: (tuple(lessons), None))

    async def lessons(self, genre: str | None = None) -> tuple[Lesson, ...]:
        """All lessons, or those of a genre, by genre and id."""
        return await asyncio.to_thread(self._lessons, genre)

    async def entries(
        self, kinds: Iterable[str] | None = None, genre: str | None = None
    ) -> tuple[MemoryEntry, ...]:
        """Entries of these kinds and of a genre, or all, the oldest first."""
        return await asyncio.to_thread(self._entries, kinds, genre)

    async def forget(self, item_id: str) -> None:
        """Forget a lesson or an entry.

        Raises:
            ConfigError: If there is none of this id.
        """
        await asyncio.to_thread(self._forget, item_id)

    async def find(self, item_id: str) -> Lesson | MemoryEntry:
        """Find a lesson or an entry by its id.

        Raises:
            ConfigError: If there is none of this id.
        """
        return await asyncio.to_thread(self._find, item_id)

    async def export(self, genre: str | None = None) -> dict[str, Any]:
        """Return all lessons and entries, or those of a genre, as plain JSON values."""
        lessons, entries = await self.lessons(genre), await self.entries(genre=genre)
        return {
            "version": MEMORY.version,
            "lessons": [lesson.model_dump(mode="json") for lesson in lessons],
            "entries": [entry.model_dump(mode="json") for entry in entries],
        }

    def _remember(self, entries: tuple[MemoryEntry, ...]) -> None:
        with self._kept.alone():
            new = [
                entry
                for entry in entries
                if self._kept.get(_entries_at(entry), [entry.id], MemoryEntry) == [None]
            ]
            puts = [
                PutOp(_entries_at(entry), entry.id, entry.model_dump(mode="json"))
                for entry in entries
            ]
            self._kept.put([*puts, *self._credits(new)])

    def _credits(self, entries: Sequence[MemoryEntry]) -> list[PutOp]:
        """The lessons behind revisions, credited with the gain or loss of these."""
        revisions = [entry for entry in entries if entry.delta is not None and entry.lessons]
        credited = []
        for lesson in self._lessons(None) if revisions else ():
            revised = [entry for entry in revisions if lesson.id in entry.lessons]
            if revised:
                change = {
                    "uses": lesson.uses + len(revised),
                    "gain": lesson.gain + sum(entry.delta or 0.0 for entry in revised),
                    "last_used": max(entry.created for entry in revised),
                }
                credited.append(_put_lesson(lesson.model_copy(update=change), lesson.genre))
        return credited

    def _edit(
        self, genre: str, change: Callable[[tuple[Lesson, ...]], tuple[tuple[Lesson, ...], T]]
    ) -> T:
        # held on one thread to the end, whether or not the caller is still waiting
        with self._kept.alone():
            known = {lesson.id: lesson for lesson in self._lessons(genre)}
            pool, result = change(tuple(known.values()))
            removals = known.keys() - {lesson.id for lesson in pool}
            changes = [lesson for lesson in pool if known.get(lesson.id) != lesson]
            self._kept.put(
                [
                    *(PutOp(_lessons_at(genre), lesson_id, None) for lesson_id in sorted(removals)),
                    *(_put_lesson(lesson, genre) for lesson in changes),
                ]
            )
        return result

    def _forget(self, item_id: str) -> None:
        with self._kept.alone():
            item = self._find(item_id)
            if isinstance(item, Lesson):
                self._kept.put([PutOp(_lessons_at(item.genre), item.id, None)])
            else:
                self._kept.put([PutOp(_entries_at(item), item.id, None)])

    def _find(self, item_id: str) -> Lesson | MemoryEntry:
        items: dict[str, Lesson | MemoryEntry] = {each.id: each for each in self._entries(None)}
        items |= {lesson.id: lesson for lesson in self._lessons(None)}
        if item_id in items:
            return items[item_id]
        close = difflib.get_close_matches(item_id, items, n=1, cutoff=0.5)
        guess = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(
            f"expected the id of a lesson or an entry, got {item_id!r}; {guess}"
            "`quillgraph memory list` shows all ids"
        )

    def _lessons(self, genre: str | None) -> tuple[Lesson, ...]:
        at = ("lessons",) if genre is None else _lessons_at(genre)
        lessons = self._kept.all(at, Lesson)
        # a store may take the namespace for a prefix of longer words
        mine = [each for each in lessons if genre is None or each.genre == genre]
        return tuple(sorted(mine, key=lambda each: (each.genre, each.id)))

    def _entries(
        self, kinds: Iterable[str] | None, genre: str | None = None
    ) -> tuple[MemoryEntry, ...]:
        places: list[tuple[str, ...]] = [("entries",)]
        if kinds is not None:
            places = [
                ("entries", kind) if genre is None else ("entries", kind, label(genre))
                for kind in kinds
            ]
        entries = [entry for at in places for entry in self._kept.all(at, MemoryEntry)]
        mine = [each for each in entries if genre is None or each.genre == genre]
        return tuple(sorted(mine, key=lambda each: (each.created, each.id)))


def excerpt(text: str, words: int = MOST_EXCERPT_WORDS) -> str:
    """Cut a text after so many words, or twice as many Chinese or Japanese characters.

    What is cut is marked by ` […]`; a text that is short enough comes back as it is.
    """
    left = words * WORD_CHARS
    end = 0
    for token in TOKEN.finditer(text):
        left -= weight(token.group())
        if left < 0:
            return f"{text[:end].rstrip()} […]"
        end = token.end()
    return text


def _put_lesson(lesson: Lesson, genre: str) -> PutOp:
    if lesson.genre != genre:
        raise ConfigError(
            f"expected lessons of the genre {genre!r}, got {lesson.id} of {lesson.genre!r}"
        )
    return PutOp(_lessons_at(genre), lesson.id, lesson.model_dump(mode="json"))


def _lessons_at(genre: str) -> tuple[str, ...]:
    return "lessons", label(genre)


def _entries_at(entry: MemoryEntry) -> tuple[str, ...]:
    return "entries", entry.kind, label(entry.genre)
