"""The criteria library: criteria that passed validation, kept across requests to compare with.

Vectors are searched here: the store's own index needs an extension of SQLite that many Pythons
are built without.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from langchain_core.embeddings import Embeddings
from langgraph.store.base import BaseStore

from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.agents.grounded_theory import SIMILAR
from quillgraph.agents.memory import (
    Consulted,
    KnownCriterion,
    LibraryUpdate,
    Suggestion,
    criterion_text,
    fate,
    known_from,
    request_key,
    used_again,
    with_scores,
)
from quillgraph.backends.embeddings import vectors
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.graphs.memory.catalogue import Catalogue, head_for
from quillgraph.graphs.memory.shelf import Shelved, packed
from quillgraph.graphs.memory.store import LIBRARY, open_store, storage_errors

MOST_SUGGESTIONS = 5
"""Criteria that a request is compared with (Thematic-LM, doi:10.1145/3696410.3714595)."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A criterion that passed validation, on its way into the library."""

    criterion: Criterion
    twin: str | None
    """Id of the known criterion with the same meaning; None without one."""
    scores: tuple[float, ...] = ()
    """Scores of the study's drafts on it."""


class Library:
    """Known criteria in a store; a method's writes are saved when it returns.

    Like `Memory` it may be used from any event loop and from several threads, and processes may
    share a file.

    Args:
        store: Any LangGraph store that answers synchronous calls from a thread.
        embeddings: Embed requests and criteria; always the same model for one library.
        path: The file behind the store; None if the store belongs to this process alone.
    """

    def __init__(
        self, store: BaseStore, embeddings: Embeddings, *, path: Path | None = None
    ) -> None:
        self.embeddings, self.path = embeddings, path
        self._catalogue = Catalogue(store, path)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path | None, embeddings: Embeddings) -> AsyncIterator[Self]:
        """Open a library file; None opens the user's own.

        Raises:
            ConfigError: If a newer version of the package has written the file, or another
                program.
            StorageError: If it cannot be read or written, or is locked for long.
        """
        file = path or LIBRARY.default_path()
        store = await asyncio.to_thread(open_store, file, LIBRARY)
        try:
            yield cls(store, embeddings, path=file)
        finally:
            # a call that was given up may still be at work on its thread
            with store.lock, storage_errors(file, LIBRARY):
                store.conn.close()

    async def suggest(self, task: WritingTask) -> Consulted:
        """Find criteria to compare a request with: same language, its own genre first.

        Criteria that come from this request alone are left out: they would only confirm themselves.

        Raises:
            ConfigError: If the library was made with other embeddings.
        """
        query = await self._placed([task.request])
        return await asyncio.to_thread(self._suggest, task, query[0])

    async def twins(
        self, criteria: Sequence[Criterion], task: WritingTask
    ) -> dict[str, KnownCriterion]:
        """Find known criteria that may have the same meaning, with a cosine above `SIMILAR`.

        Returns:
            Criterion id to the nearest known one of its kind, the task's genre and language.
        """
        places = await self._placed([criterion_text(criterion) for criterion in criteria])
        return await asyncio.to_thread(self._twins, criteria, task, places)

    async def keep(self, passed: Sequence[Passed], task: WritingTask, now: str) -> LibraryUpdate:
        """Add criteria, and retire known ones that are due.

        Args:
            passed: Soft and pitfall criteria that passed validation.
            task: The request that they were written for.
            now: ISO 8601.
        """
        places = await self._placed([criterion_text(each.criterion) for each in passed])
        return await asyncio.to_thread(self._keep, passed, task, places, now)

    async def credit(
        self, scores: Mapping[str, Sequence[float]], now: str, group: str | None = None
    ) -> tuple[KnownCriterion, ...]:
        """Record the scores of a group of texts for one request.

        Args:
            scores: Canonical id to the scores, from 1 to 10; deleted ids are ignored.
            now: ISO 8601.
            group: Name of the group, which is recorded once; None records the scores each time.

        Returns:
            The criteria that these scores retired, each with its reason.
        """
        return await asyncio.to_thread(self._credit, scores, now, group)

    async def criteria(self, genre: str | None = None) -> tuple[KnownCriterion, ...]:
        """All criteria, or those of a genre, by language, genre and name.

        Raises:
            ConfigError: If none is of that genre.
        """
        every = [each.known for each in await asyncio.to_thread(self._catalogue.all)]
        genres = {each.genre for each in every}
        if genre is not None and every and genre not in genres:
            raise ConfigError(
                f"expected a genre that the library has, got {genre!r}: {nearest(genre, genres)}"
            )
        mine = (each for each in every if genre in (None, each.genre))
        return tuple(sorted(mine, key=lambda each: (each.language, each.genre, each.name, each.id)))

    async def find(self, criterion_id: str) -> KnownCriterion:
        """Find a criterion by its canonical id.

        Raises:
            ConfigError: If there is none of this id.
        """
        return await asyncio.to_thread(self._find, criterion_id)

    async def forget(self, criterion_id: str) -> None:
        """Forget a criterion.

        Raises:
            ConfigError: If there is none of this id.
        """
        await asyncio.to_thread(self._forget, criterion_id)

    async def export(self, genre: str | None = None) -> dict[str, Any]:
        """Give the criteria, or those of a genre, as values that JSON can hold."""
        head = await asyncio.to_thread(self._catalogue.read_head)
        return {
            "version": LIBRARY.version,
            "library": head.version if head else "0",
            "embeddings": head.embeddings if head else None,
            "criteria": [each.model_dump(mode="json") for each in await self.criteria(genre)],
        }

    async def ready(self) -> None:
        """Read the library, or create it; the other methods do so when needed.

        Raises:
            ConfigError: If it was made with other embeddings.
        """
        if self._catalogue.head is None:
            own = await head_for(self.embeddings)
            await asyncio.to_thread(self._catalogue.begin, own)

    async def _placed(self, texts: list[str]) -> np.ndarray:
        await self.ready()
        return await vectors(texts, self.embeddings)

    def _suggest(self, task: WritingTask, query: np.ndarray) -> Consulted:
        with self._catalogue.current() as head:
            neighbours = self._catalogue.shelf.nearest(
                query,
                language=task.language,
                genre=task.genre,
                besides=request_key(task),
                most=MOST_SUGGESTIONS,
            )
        return Consulted(
            version=head.version,
            suggestions=tuple(
                Suggestion(
                    id=known.id,
                    name=known.name,
                    description=known.description,
                    genre=known.genre,
                    cosine=round(cosine, 4),
                )
                for known, cosine in neighbours
            ),
        )

    def _twins(
        self, criteria: Sequence[Criterion], task: WritingTask, places: np.ndarray
    ) -> dict[str, KnownCriterion]:
        with self._catalogue.current():
            twins = {
                criterion.id: self._catalogue.shelf.twin(
                    place,
                    language=task.language,
                    genre=task.genre,
                    kind=criterion.kind,
                    above=SIMILAR,
                )
                for criterion, place in zip(criteria, places, strict=True)
            }
        return {each: twin for each, twin in twins.items() if twin is not None}

    def _keep(
        self, passed: Sequence[Passed], task: WritingTask, places: np.ndarray, now: str
    ) -> LibraryUpdate:
        with self._catalogue.alone():
            head = self._catalogue.refresh()
            fresh = [known_from(each.criterion, task, now) for each in passed]
            ids = [
                each.twin if each.twin and self._catalogue.shelf.get(each.twin) else new.id
                for each, new in zip(passed, fresh, strict=True)
            ]
            shelf = self._catalogue.shelf.known
            due = [each.id for each in shelf if fate(each, now) != each.retired]
            stored = self._catalogue.entries([*ids, *due])
            after = dict(stored)
            for each, new, place, at in zip(passed, fresh, places, ids, strict=True):
                entry = after.get(at) or Shelved(known=new, vector=packed(place))
                if at not in after or request_key(task) not in entry.known.requests:
                    known = used_again(entry.known, each.criterion, task, now)
                    after[at] = entry.of(with_scores(known, each.scores, now))
            retired = self._catalogue.write(head, stored, after, now)
        known_as = {
            each.criterion.id: after[at].known for each, at in zip(passed, ids, strict=True)
        }
        spreads = {at: known.discrimination for at, known in known_as.items()}
        own = (request_key(task),)
        return LibraryUpdate(
            ids={at: known.id for at, known in known_as.items()},
            reused=tuple(at for at, known in known_as.items() if known.requests != own),
            discrimination={at: each for at, each in spreads.items() if each is not None},
            retired=retired,
        )

    def _credit(
        self, scores: Mapping[str, Sequence[float]], now: str, group: str | None
    ) -> tuple[KnownCriterion, ...]:
        with self._catalogue.alone():
            head, stored = self._catalogue.read_head(), self._catalogue.entries(scores)
            if head is None:
                return ()
            after = {
                at: each.of(with_scores(each.known, scores[at], now, group))
                for at, each in stored.items()
            }
            return self._catalogue.write(head, stored, after, now)

    def _find(self, criterion_id: str) -> KnownCriterion:
        if entries := self._catalogue.entries([criterion_id]):
            return entries[criterion_id].known
        guess = nearest(criterion_id, [each.known.id for each in self._catalogue.all()])
        raise ConfigError(
            f"expected the id of a criterion, got {criterion_id!r}: {guess}; "
            "`quillgraph library list` shows all ids"
        )

    def _forget(self, criterion_id: str) -> None:
        with self._catalogue.alone():
            self._find(criterion_id)
            head, stored = self._catalogue.read_head(), self._catalogue.entries([criterion_id])
            if head is not None:
                self._catalogue.write(head, stored, {}, "")
