"""A LangGraph store that is changed by one at a time, and whose faults are told in our words."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote

from langgraph.store.base import BaseStore, GetOp, Item, PutOp, SearchOp

from quillgraph.agents.domain import Value
from quillgraph.backends.errors import StorageError
from quillgraph.graphs.memory.store import FileKind, alone, told

V = TypeVar("V", bound=Value)

_ALL = 1_000_000_000
"""A search gives ten items unless it is told otherwise."""


_AT_ONCE = 500
"""Keys in one query: old SQLites take 999 parameters."""


class GuardedStore:
    """A store behind a lock of this process and, if it lies in a file, one between processes.

    Args:
        store: Any LangGraph store that answers synchronous calls from a thread.
        kind: What is kept in it.
        path: The file behind the store; None if the store belongs to this process alone.
    """

    def __init__(self, store: BaseStore, kind: FileKind, path: Path | None) -> None:
        self.store, self.kind, self.path = store, kind, path
        self._lock = Lock()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store: what reads before it writes does both in here."""
        with self._lock:
            if self.path is None:
                yield
            else:
                with alone(self.path, self.kind):
                    yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the store against other threads of this process."""
        with self._lock:
            yield

    def put(self, puts: Sequence[PutOp]) -> None:
        """Write items in one transaction."""
        if puts:
            self._batch(puts)

    def get(self, at: tuple[str, ...], keys: Sequence[str], form: type[V]) -> list[V | None]:
        """Read the items of keys; None where there is none.

        Raises:
            StorageError: If one has not the form.
        """
        with self._reading(form):
            found: list[Item | None] = []
            for start in range(0, len(keys), _AT_ONCE):
                found += self._batch([GetOp(at, k) for k in keys[start : start + _AT_ONCE]])
            return [None if item is None else form.model_validate(item.value) for item in found]

    def all(self, at: tuple[str, ...], form: type[V]) -> list[V]:
        """Read all items under a namespace.

        Raises:
            StorageError: If one has not the form.
        """
        with self._reading(form):
            found = self._batch([SearchOp(at, limit=_ALL)])[0]
            return [form.model_validate(item.value) for item in found]

    @contextmanager
    def _reading(self, form: type[Value]) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise StorageError(
                f"expected items of the form {form.__name__} in {self.path or 'the store'}, got "
                f"{str(error)[:120]}; something else has written there: begin another file"
            ) from error

    def _batch(self, operations: Sequence[Any]) -> list[Any]:
        with nullcontext() if self.path is None else told(self.path, self.kind):
            return self.store.batch(operations)


def label(word: str) -> str:
    """A word as a part of a namespace, which may be neither empty nor hold a full stop."""
    return quote(word, safe="").replace(".", "%2E") or "%"
