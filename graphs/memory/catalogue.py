"""Where the library's criteria lie: a store with a version, and its copy in memory.

Each change is one transaction that also writes what it touched, so that another process takes
over no more than that.
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
"""Changes of others that are taken over one by one; after more, everything is read again, so older
ones are not kept."""

_CRITERIA, _CHANGES, _LIBRARY, _HEAD = ("criteria",), ("changes",), ("library",), "head"


class Head(Value):
    """Where the library stands."""

    count: int = 0
    """Changes so far."""
    digest: str
    """Of all changes in their order, times left out: equal digests mean equal suggestions."""
    embeddings: str
    """What its vectors were made with, for messages."""
    probe: str
    """Vector of `PROBE`, as `packed` writes it."""

    @property
    def version(self) -> str:
        """Number and digest of the last change."""
        return f"{self.count}-{self.digest[:12]}" if self.count else "0"


class Change(Value):
    """Which criteria a change put or took away."""

    before: str
    """Digest before it."""
    ids: tuple[str, ...]


async def head_for(embeddings: Embeddings) -> Head:
    """The head of a library that is begun with these embeddings."""
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
        """What the shelf holds; None before the library was opened for look-ups."""
        self.shelf = Shelf(0)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store against other threads and processes."""
        with self._kept.alone():
            yield

    def begin(self, own: Head) -> None:
        """Load the shelf, and begin the library where there is none.

        Raises:
            ConfigError: If it was made with other embeddings than `own` says.
        """
        with self._kept.alone():
            known = self.read_head()
            if known is None:
                self._kept.put([_put(_LIBRARY, _HEAD, own)])
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
        """The criteria of these ids, from the store itself; those that are gone are left out."""
        known = self._kept.get(_CRITERIA, list(dict.fromkeys(ids)), Shelved)
        return {entry.known.id: entry for entry in known if entry is not None}

    def read_head(self) -> Head | None:
        """Where the store stands; None before anything was kept there."""
        return self._kept.get(_LIBRARY, [_HEAD], Head)[0]

    def write(
        self, head: Head, before: Mapping[str, Shelved], after: Mapping[str, Shelved], now: str
    ) -> tuple[KnownCriterion, ...]:
        """Put what has changed and take away what is gone, in one transaction.

        Returns:
            What has been retired by it.
        """
        judged = {at: _judged(entry, now) for at, entry in after.items()}
        changed = {at: entry for at, entry in judged.items() if before.get(at) != entry}
        gone = before.keys() - after.keys()
        ids = tuple(sorted(changed.keys() | gone))
        if not ids:
            return ()
        content = [(at, _lasting(changed[at]) if at in changed else None) for at in ids]
        said_now = json.dumps([head.digest, content], sort_keys=True, ensure_ascii=False)
        new = head.model_copy(
            update={
                "count": head.count + 1,
                "digest": hashlib.sha256(said_now.encode()).hexdigest(),
            }
        )
        change = Change(before=head.digest, ids=ids)
        self._kept.put(
            [
                *(_put(_CRITERIA, at, changed.get(at)) for at in ids),
                _put(_CHANGES, _change_key(new.count), change),
                _put(_CHANGES, _change_key(new.count - MOST_CHANGES), None),
                _put(_LIBRARY, _HEAD, new),
            ]
        )
        if self.head == head:
            self._apply(changed, gone)
            self.head = new
        fates = [(before.get(at), entry.known) for at, entry in changed.items()]
        return tuple(
            known
            for old, known in fates
            if known.retired and (old is None or old.known.retired != known.retired)
        )

    @contextmanager
    def current(self) -> Iterator[Head]:
        """Hold the shelf as the store has it now; without news no lock of the file is taken."""
        with self._kept.held():
            head = self.read_head()
            if head is not None and head == self.head:
                yield head
                return
        with self._kept.alone():
            yield self.refresh()

    def refresh(self) -> Head:
        """Bring the shelf to where the store stands; the store must be held.

        Raises:
            StorageError: If somebody has emptied the store meanwhile.
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
        """Take over what others have changed; False if that cannot be told from the changes."""
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

    def _apply(self, changed: Mapping[str, Shelved], gone: Iterable[str]) -> None:
        self.shelf.put(changed.values())
        for at in sorted(gone):
            self.shelf.remove(at)

    def _load(self, head: Head) -> None:
        self.shelf = Shelf(len(unpacked(head.probe)))
        self.shelf.put(self.all())
        self.head = head


def _lasting(entry: Shelved) -> dict[str, Any]:
    """An entry without its times, on which no suggestion depends."""
    return entry.model_dump(mode="json", exclude={"known": {"born", "last_used"}})


def _put(at: tuple[str, ...], key: str, value: Value | None) -> PutOp:
    return PutOp(at, key, None if value is None else value.model_dump(mode="json"))


def _change_key(count: int) -> str:
    return f"{count:012}"  # one before the first change is the key of nothing


def _judged(entry: Shelved, now: str) -> Shelved:
    reason = fate(entry.known, now)
    if reason == entry.known.retired:
        return entry
    return entry.of(entry.known.model_copy(update={"retired": reason}))


def _name(embeddings: Embeddings) -> str:
    """What messages call embeddings, as near as can be to how they are asked for."""
    if isinstance(embeddings, LexicalEmbeddings):
        return "lexical"
    folder = getattr(embeddings, "folder", None)
    return type(embeddings).__name__ if folder is None else Path(folder).name
