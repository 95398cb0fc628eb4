"""The replies of finished calls, kept so that a run that was killed asks for none of them again."""

import hashlib
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from langchain_core.caches import BaseCache
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.messages import AIMessage, message_to_dict, messages_from_dict
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables.config import ensure_config

from quillgraph.backends.budgets import Budget
from quillgraph.backends.errors import StorageError
from quillgraph.backends.places import Place

JOURNAL, REPLAYED = "journal", "replayed"
"""In a message's response metadata: the id of a reply in the journal, and that it came from it."""

_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
  thread TEXT, place TEXT, request TEXT, occurrence INTEGER, messages TEXT,
  PRIMARY KEY (thread, place, request, occurrence)
) WITHOUT ROWID
"""


class Journal(BaseCache):
    """A LangChain cache that gives each finished call back once, to the task that had made it.

    LangGraph's checkpoints keep what finished *nodes* wrote. A node that was killed runs again
    from its start, and with it the calls in it that had finished. Those are answered from here.
    It stands at LangChain's own cache seam, so it serves any chat model in any graph that runs
    under a checkpointer with a `thread_id`. Calls outside of one, models with `cache=False` and
    direct `stream` calls pass it by.

    Unlike a cache it never answers a question that is merely equal: a key is the thread, the
    task of the graph (`checkpoint_ns`, which a checkpoint restores), the request, and how many
    times that task has asked it. So equal samples stay independent.

    A budget is kept here, too: what is answered from the journal costs nothing.

    Args:
        path: SQLite file; made if it is not there.
        budget: What the calls may cost; None for no limit.
    """

    def __init__(self, path: Path, budget: Budget | None = None) -> None:
        self.path, self._budget = path, budget or Budget()
        self._asked: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()
        with _told(path):
            self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute(_TABLE)

    @property
    def budget(self) -> Budget | None:
        """What the call that is being made may cost; None for one that passes the journal by."""
        return self._budget if _task() else None

    def __enter__(self) -> Self:
        self._before = get_llm_cache()
        set_llm_cache(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        set_llm_cache(self._before)
        self._file.close()

    def rewind(self, thread: str) -> None:
        """Begin to answer a thread again: its unfinished tasks are about to run anew."""
        with self._lock:
            for key in [key for key in self._asked if key[0] == thread]:
                del self._asked[key]

    def forget(self, thread: str) -> None:
        """Drop what is kept of a thread that is over."""
        self.rewind(thread)
        with _told(self.path):
            self._file.execute("DELETE FROM replies WHERE thread = ?", (thread,))

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """Answer a call that had finished before; None lets the model answer.

        Raises:
            BudgetReached: If the model would have to answer, and the budget is spent.
        """
        if (key := _key(prompt, llm_string)) is None:
            return None
        with self._lock, _told(self.path):
            row = self._file.execute(
                "SELECT messages FROM replies WHERE thread=? AND place=? AND request=? "
                "AND occurrence=?",
                (*key, self._asked[key]),
            ).fetchone()
            if row is None:
                self._budget.admit(_nodes())
                return None
            self._asked[key] += 1
        messages = messages_from_dict(json.loads(row[0]))
        for message in messages:
            message.response_metadata[REPLAYED] = True
        return [ChatGeneration(message=message) for message in messages]

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep the reply of a call that has just finished."""
        messages = [each.message for each in return_val if isinstance(each, ChatGeneration)]
        if (key := _key(prompt, llm_string)) is None or not messages:
            return
        with self._lock, _told(self.path):
            for message in messages:
                if isinstance(message, AIMessage):
                    self._budget.count(message, _nodes())
                # the recorder reads it off the reply that is on its way to the graph
                message.response_metadata[JOURNAL] = f"{key[2][:16]}/{self._asked[key]}"
            kept = json.dumps([message_to_dict(each) for each in messages], default=str)
            self._file.execute(
                "INSERT INTO replies VALUES (?, ?, ?, ?, ?)", (*key, self._asked[key], kept)
            )
            self._asked[key] += 1

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """As `lookup`; it takes less time than a thread would."""
        return self.lookup(prompt, llm_string)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """As `update`."""
        self.update(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:
        """Drop everything."""
        with _told(self.path):
            self._file.execute("DELETE FROM replies")
        self._asked.clear()


def _nodes() -> tuple[str, ...]:
    """The nodes around the call that is being made."""
    return tuple(Place.of(ensure_config().get("metadata")).nodes)


def _task() -> tuple[str, str] | None:
    """Thread and task around the call that is being made; None where it is in none."""
    place = ensure_config().get("configurable", {})
    thread, namespace = place.get("thread_id"), place.get("checkpoint_ns")
    return None if thread is None or not namespace else (str(thread), str(namespace))


def _key(prompt: str, llm_string: str) -> tuple[str, str, str] | None:
    if (task := _task()) is None:
        return None
    asked = hashlib.sha256(f"{prompt}\x00{llm_string}".encode()).hexdigest()
    return *task, asked


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"cannot use the journal {path}: {error}") from error
