"""The library's criteria in memory, side by side: one matrix, so that a look-up is one product."""

import base64
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from quillgraph.agents.domain import Value
from quillgraph.agents.memory import KnownCriterion
from quillgraph.backends.embeddings import Vectors

CLOSE = 1e-5
"""Cosines closer than this count as equal, and the ids decide: the order of summation in a product
depends on the row of the matrix."""


class Shelved(Value):
    """A criterion as the store keeps it."""

    known: KnownCriterion
    vector: str
    """Its unit vector, as `packed` writes it."""

    def of(self, known: KnownCriterion) -> "Shelved":
        """The same vector, with the updated criterion."""
        return self.model_copy(update={"known": known})


def packed(vector: Vectors) -> str:
    """A unit vector as text: half precision, base64. 384 dimensions take 1,024 characters."""
    return base64.b64encode(vector.astype("<f2").tobytes()).decode("ascii")


def unpacked(text: str) -> Vectors:
    """Read what `packed` wrote, brought back to unit length.

    Raises:
        ValueError: If it is no such text.
    """
    vector = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f2").astype(np.float32)
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


class Shelf:
    """Criteria and their vectors, by id; not safe for several threads at once.

    Args:
        dimension: Of the vectors.
    """

    def __init__(self, dimension: int) -> None:
        self.known: list[KnownCriterion] = []
        self._place: dict[str, int] = {}
        self._words: dict[str, int] = {}  # so that a whole column is compared at once
        self._vectors: Vectors = np.zeros((0, dimension), dtype=np.float32)
        self._columns = np.zeros((0, 4), dtype=np.int32)  # language, genre, kind, retired
        self._only_by: defaultdict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        """How many criteria there are."""
        return len(self.known)

    def get(self, criterion_id: str) -> KnownCriterion | None:
        """The criterion of an id; None if there is none."""
        place = self._place.get(criterion_id)
        return None if place is None else self.known[place]

    def put(self, entries: Iterable[Shelved]) -> None:
        """Add criteria, or replace those whose ids are there.

        Raises:
            ValueError: If a vector has another dimension than the shelf.
        """
        for entry in entries:
            vector, known = unpacked(entry.vector), entry.known
            if vector.shape != self._vectors.shape[1:]:
                raise ValueError(f"expected {self._vectors.shape[1]} dimensions in {known.id}")
            place = self._place.setdefault(known.id, len(self.known))
            if place == len(self.known):
                self.known.append(known)
                self._grow()
            else:
                self._forget_origin(self.known[place])
                self.known[place] = known
            self._vectors[place] = vector
            words = (known.language, known.genre, known.kind)
            self._columns[place] = (*map(self._number, words), known.retired is not None)
            if known.uses == 1:
                self._only_by[known.requests[0]].add(known.id)

    def remove(self, criterion_id: str) -> None:
        """Remove a criterion if it exists; the last one moves to its place."""
        if criterion_id not in self._place:
            return
        place, last = self._place.pop(criterion_id), len(self.known) - 1
        self._forget_origin(self.known[place])
        moved = self.known.pop()
        if place != last:
            self.known[place] = moved
            self._place[moved.id] = place
            self._vectors[place], self._columns[place] = self._vectors[last], self._columns[last]

    def nearest(
        self, query: Vectors, *, language: str, genre: str, besides: str, most: int
    ) -> list[tuple[KnownCriterion, float]]:
        """The criteria nearest to a query, those of its genre first, with their cosines.

        Args:
            query: Unit vector.
            language: Only criteria of this language match.
            genre: Criteria of other genres come after all of this genre.
            besides: Key of a request; criteria that come from it alone are left out.
            most: Most criteria.
        """
        languages, genres, _, retired = self._columns[: len(self.known)].T
        open_ones = (languages == self._words.get(language, -1)) & (retired == 0)
        own = self._only_by.get(besides, set())
        open_ones[[self._place[each] for each in own]] = False
        cosines = self._vectors[: len(self.known)] @ query
        same = genres == self._words.get(genre, -1)
        places = self._best(cosines, open_ones & same, most)
        if len(places) < most:
            places += self._best(cosines, open_ones & ~same, most - len(places))
        return [(self.known[place], float(cosines[place])) for place in places]

    def twin(
        self, query: Vectors, *, language: str, genre: str, kind: str, above: float
    ) -> KnownCriterion | None:
        """The criterion of the same language, genre and kind that is nearest to a query.

        Retired ones count too: a rewritten criterion must not be kept twice.

        Args:
            query: Unit vector.
            language: Its language.
            genre: Its genre.
            kind: Its kind.
            above: Cosine that it must exceed.
        """
        row = [self._words.get(word, -1) for word in (language, genre, kind)]
        alike = (self._columns[: len(self.known), :3] == row).all(axis=1)
        cosines = self._vectors[: len(self.known)] @ query
        places = self._best(cosines, alike & (cosines > above), 1)
        return self.known[places[0]] if places else None

    def _best(self, cosines: Vectors, among: npt.NDArray[np.bool_], most: int) -> list[int]:
        places = np.flatnonzero(among)
        if len(places) > most:
            values = cosines[places]
            least = np.partition(values, -most)[-most] - CLOSE
            places = places[values >= least]
        order = sorted(
            places.tolist(), key=lambda at: (-round(float(cosines[at]) / CLOSE), self.known[at].id)
        )
        return order[:most]

    def _number(self, word: str) -> int:
        return self._words.setdefault(word, len(self._words))

    def _grow(self) -> None:
        if len(self.known) <= len(self._vectors):
            return
        rows = max(256, 2 * len(self._vectors))
        vectors = np.zeros((rows, self._vectors.shape[1]), dtype=np.float32)
        columns = np.zeros((rows, 4), dtype=np.int32)
        vectors[: len(self._vectors)], columns[: len(self._columns)] = self._vectors, self._columns
        self._vectors, self._columns = vectors, columns

    def _forget_origin(self, known: KnownCriterion) -> None:
        if known.uses == 1:
            self._only_by[known.requests[0]].discard(known.id)
