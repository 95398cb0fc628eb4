"""The library's criteria: a store with a version, and a copy of it in memory.

Each change is one transaction that also records the ids it touched, so that another process
reloads only those.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langgraph.store.base import BaseStore, PutOp

from quillgraph.agents.domain import Value
from quillgraph.agents.memory import KnownCriterion, fate
from quillgraph.backends.embeddings import LexicalEmbeddings, vectors
from quillgraph.backends.errors import ConfigError, StorageError
from quillgraph.graphs.memory.shelf import Shelf, Shelved, packed, unpacked
from quillgraph.graphs.memory.store import LIBRARY, GuardedStore

PROBE = "The text lets a reader feel what the speaker does not say."
"""Its vector tells which embeddings a library was made with."""

SAME_MODEL = 0.999
"""Least cosine of two vectors of `PROBE`; half precision and another processor cost 1e-6."""

MOST_CHANGES = 1000
"""Changes by other processes that are applied one by one; after more, everything is read again, so
older ones are not kept."""

_CRITERIA, _CHANGES, _LIBRARY, _HEAD = ("criteria",), ("changes",), ("library",), "head"


class Head(Value):
    """The version of the library."""

    count: int = 0
    """Changes so far."""
    digest: str
    """Digest of all changes in order, without times: equal digests mean equal suggestions."""
    embeddings: str
    """Name of the embeddings that made its vectors, for messages."""
    probe: str
    """Vector of `PROBE`, as `packed` writes it."""

    @property
    def version(self) -> str:
        """Number and digest of the last change."""
        return f"{self.count}-{self.digest[:12]}" if self.count else "0"


class Change(Value):
    """Ids of the criteria that a change wrote or removed."""

    before: str
    """Digest before it."""
    ids: tuple[str, ...]


async def head_for(embeddings: Embeddings) -> Head:
    """The head of a new library with these embeddings."""
    probe = (await vectors([PROBE], embeddings))[0]
    digest = hashlib.sha256(packed(probe).encode()).hexdigest()
    return Head(digest=digest, embeddings=_name(embeddings), probe=packed(probe))


class Catalogue:
    """Criteria in a store under a version, and the shelf that look-ups are made on.

    Args:
        store: Any LangGraph store that answers synchronous calls from a thread.
        path: The file behind the store; None if the store belongs to this process alone.
    """

    def __init__(self, store: BaseStore, path: Path | None) -> None:
        self._kept = GuardedStore(store, LIBRARY, path)
        self.head: Head | None = None
        """Version of the shelf; None before the library was opened for look-ups."""
        self.shelf = Shelf(0)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store against other threads and processes."""
        with self._kept.alone():
            yield

    def begin(self, own: Head) -> None:
        """Load the shelf; create the library if there is none.

        Raises:
            ConfigError: If it was made with other embeddings than those of `own`.
        """
        with self._kept.alone():
            known = self.read_head()
            if known is None:
                self._kept.put([_put_op(_LIBRARY, _HEAD, own)])
                known = own
            ours, theirs = unpacked(own.probe), unpacked(known.probe)
            if ours.shape != theirs.shape or float(ours @ theirs) < SAME_MODEL:
                raise ConfigError(
                    f"expected the embeddings that {self._kept.path or 'the library'} was made "
                    f"with, {known.embeddings}, got {own.embeddings}; name those, or begin "
                    "another library file"
                )
            self._load(known)

    def all(self) -> list[Shelved]:
        """Every criterion, from the store itself."""
        return self._kept.all(_CRITERIA, Shelved)

    def entries(self, ids: Iterable[str]) -> dict[str, Shelved]:
        """The criteria of these ids, from the store itself; deleted ones are left out."""
        known = self._kept.get(_CRITERIA, list(dict.fromkeys(ids)), Shelved)
        return {entry.known.id: entry for entry in known if entry is not None}

    def read_head(self) -> Head | None:
        """The version of the store; None if it is empty."""
        return self._kept.get(_LIBRARY, [_HEAD], Head)[0]

    def write(
        self, head: Head, before: Mapping[str, Shelved], after: Mapping[str, Shelved], now: str
    ) -> tuple[KnownCriterion, ...]:
        """Write the changed criteria and remove the missing ones, in one transaction.

        Returns:
            The criteria that this retired.
        """
        entries = {at: _with_fate(entry, now) for at, entry in after.items()}
        changes = {at: entry for at, entry in entries.items() if before.get(at) != entry}
        removals = before.keys() - after.keys()
        ids = tuple(sorted(changes.keys() | removals))
        if not ids:
            return ()
        content = [(at, _lasting(changes[at]) if at in changes else None) for at in ids]
        serialized = json.dumps([head.digest, content], sort_keys=True, ensure_ascii=False)
        new = head.model_copy(
            update={
                "count": head.count + 1,
                "digest": hashlib.sha256(serialized.encode()).hexdigest(),
            }
        )
        change = Change(before=head.digest, ids=ids)
        self._kept.put(
            [
                *(_put_op(_CRITERIA, at, changes.get(at)) for at in ids),
                _put_op(_CHANGES, _change_key(new.count), change),
                _put_op(_CHANGES, _change_key(new.count - MOST_CHANGES), None),
                _put_op(_LIBRARY, _HEAD, new),
            ]
        )
        if self.head == head:
            self._apply(changes, removals)
            self.head = new
        fates = [(before.get(at), entry.known) for at, entry in changes.items()]
        return tuple(
            known
            for old, known in fates
            if known.retired and (old is None or old.known.retired != known.retired)
        )

    @contextmanager
    def current(self) -> Iterator[Head]:
        """Hold the up-to-date shelf; takes no file lock if the store has not changed."""
        with self._kept.held():
            head = self.read_head()
            if head is not None and head == self.head:
                yield head
                return
        with self._kept.alone():
            yield self.refresh()

    def refresh(self) -> Head:
        """Update the shelf from the store; the caller must hold the store.

        Raises:
            StorageError: If the store was emptied in the meantime.
        """
        head = self.read_head()
        if head is None:
            raise StorageError(f"{self._kept.path or 'the store'} was emptied while it was open")
        if head != self.head:
            if not self._catch_up(head):
                self._load(head)
            self.head = head
        return head

    def _catch_up(self, head: Head) -> bool:
        """Apply the changes of other processes; False if their records are incomplete."""
        if self.head is None or not 0 < head.count - self.head.count <= MOST_CHANGES:
            return False
        keys = [_change_key(count) for count in range(self.head.count + 1, head.count + 1)]
        changes = self._kept.get(_CHANGES, keys, Change)
        known = [change for change in changes if change is not None]
        if len(known) < len(keys) or known[0].before != self.head.digest:
            return False
        ids = {at for change in known for at in change.ids}
        now = self.entries(sorted(ids))
        self._apply(now, ids - now.keys())
        return True

    def _apply(self, changes: Mapping[str, Shelved], removals: Iterable[str]) -> None:
        self.shelf.put(changes.values())
        for at in sorted(removals):
            self.shelf.remove(at)

    def _load(self, head: Head) -> None:
        self.shelf = Shelf(len(unpacked(head.probe)))
        self.shelf.put(self.all())
        self.head = head


def _lasting(entry: Shelved) -> dict[str, Any]:
    """An entry without its times, which affect no suggestion."""
    return entry.model_dump(mode="json", exclude={"known": {"born", "last_used"}})


def _put_op(at: tuple[str, ...], key: str, value: Value | None) -> PutOp:
    return PutOp(at, key, None if value is None else value.model_dump(mode="json"))


def _change_key(count: int) -> str:
    return f"{count:012}"  # a number below the first change matches no key


def _with_fate(entry: Shelved, now: str) -> Shelved:
    reason = fate(entry.known, now)
    if reason == entry.known.retired:
        return entry
    return entry.of(entry.known.model_copy(update={"retired": reason}))


def _name(embeddings: Embeddings) -> str:
    """Name of embeddings for messages, as close as possible to their configured name."""
    if isinstance(embeddings, LexicalEmbeddings):
        return "lexical"
    folder = getattr(embeddings, "folder", None)
    return type(embeddings).__name__ if folder is None else Path(folder).name
