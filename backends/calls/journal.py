"""Stores the replies of finished calls, so that a resumed run does not repeat these calls."""

import hashlib
import json
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self
from uuid import UUID

from langchain_core.caches import BaseCache
from langchain_core.callbacks import BaseCallbackManager
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.messages import AIMessage, message_to_dict, messages_from_dict
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from quillgraph.backends.calls.budget import Budget
from quillgraph.backends.calls.listener import Listener
from quillgraph.backends.calls.place import Place
from quillgraph.backends.calls.scope import config_around
from quillgraph.backends.errors import StorageError

JOURNAL, REPLAYED = "journal", "replayed"
"""Keys of a message's response metadata: the id of a reply in the journal, and whether the reply
was read from there."""

VERSION = 1
"""Version of the file (SQLite's `user_version`); in version 0, keys held metadata of replies."""

_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
  thread TEXT, place TEXT, request TEXT, occurrence INTEGER, messages TEXT,
  PRIMARY KEY (thread, place, request, occurrence)
) WITHOUT ROWID
"""

_VISIBLE = ("type", "role", "name", "content", "tool_calls", "invalid_tool_calls", "tool_call_id")
"""The fields of a message that reach a model."""


class Journal(Listener):
    """Returns the reply of each finished call once, to the task that made the call.

    LangGraph's checkpoints keep the updates of finished *nodes*. A node that was killed runs again
    from its start, and repeats the calls that it had finished. The journal answers those.
    It replaces LangChain's own cache, so it works for any chat model in any graph that runs
    under a checkpointer with a `thread_id` and has the journal among its callbacks. Graphs pass
    callbacks on, so each run of a process can have its own journal. It does not see other calls,
    models with `cache=False` or direct `stream` calls.

    Unlike a cache, it does not answer a request just because it equals an earlier one. A key is
    the thread, the task of the graph (`checkpoint_ns`, which a checkpoint restores), the prompt and
    options, and how many times that task has made this request. So equal samples stay independent.

    The journal also applies a budget: a reply from the journal costs nothing, and a call that does
    not look here is counted when it begins.

    Args:
        path: SQLite file; created if missing.
        budget: What the calls may cost; None for no limit.

    Raises:
        StorageError: If the file cannot be used, or has replies under keys of an earlier version.
    """

    ignore_chain = ignore_agent = ignore_retriever = ignore_custom_event = ignore_retry = True

    def __init__(self, path: Path, budget: Budget | None = None) -> None:
        super().__init__()
        self.path, self.budget = path, budget or Budget()
        self._occurrences: Counter[tuple[str, str, str]] = Counter()
        self._passing: set[UUID] = set()
        self._is_closed = False
        self._lock = threading.Lock()
        with _storage_errors(path):
            self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute(_TABLE)
            (version,) = self._file.execute("PRAGMA user_version").fetchone()
            (is_used,) = self._file.execute("SELECT EXISTS (SELECT 1 FROM replies)").fetchone()
        if is_used and version != VERSION:
            self._file.close()
            raise StorageError(
                f"expected a journal of version {VERSION}, got version {version} in {path}: none "
                "of its replies would be found again; resume with the release that began the run, "
                "or start a new run in another folder"
            )
        with _storage_errors(path):
            self._file.execute(f"PRAGMA user_version = {VERSION}")

    def __enter__(self) -> Self:
        _SEAM.join()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _SEAM.leave()
        with self._lock:  # a thread that the run has left behind may still be at work
            self._is_closed = True
            self._file.close()

    def rewind(self, thread: str) -> None:
        """Answer a thread from the start again, before its unfinished tasks run again."""
        with self._lock:
            for key in [key for key in self._occurrences if key[0] == thread]:
                del self._occurrences[key]

    def forget(self, thread: str) -> None:
        """Delete the replies of a thread that has ended."""
        self.rewind(thread)
        with self._lock, _storage_errors(self.path):
            self._file.execute("DELETE FROM replies WHERE thread = ?", (thread,))

    def on_chat_model_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """Admit a call that will not look here, or no longer can.

        Raises:
            BudgetReached: If the budget is spent.
        """
        if self._is_closed or _passes_by():
            self.budget.on_chat_model_start(run_id=run_id, metadata=config_around().get("metadata"))
            self._passing.add(run_id)

    def on_llm_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """As `on_chat_model_start`."""
        self.on_chat_model_start(run_id=run_id)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Count the tokens of such a call."""
        if run_id in self._passing:
            self._passing.discard(run_id)
            self.budget.on_llm_end(response, run_id=run_id)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Forget such a call."""
        if run_id in self._passing:
            self._passing.discard(run_id)
            self.budget.on_llm_error(error, run_id=run_id)

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """Answer a call that finished before; None lets the model answer.

        Raises:
            BudgetReached: If the model would have to answer, and the budget is spent.
        """
        if (key := _key(prompt, llm_string)) is None:
            return None
        with self._lock, _storage_errors(self.path):
            row = self._file.execute(
                "SELECT messages FROM replies WHERE thread=? AND place=? AND request=? "
                "AND occurrence=?",
                (*key, self._occurrences[key]),
            ).fetchone()
            if row is None:
                self.budget.admit(_nodes())
                return None
            self._occurrences[key] += 1
        messages = messages_from_dict(json.loads(row[0]))
        for message in messages:
            message.response_metadata[REPLAYED] = True
        return [ChatGeneration(message=message) for message in messages]

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Store the reply of a call that has just finished."""
        messages = [each.message for each in return_val if isinstance(each, ChatGeneration)]
        if (key := _key(prompt, llm_string)) is None or not messages:
            return
        with self._lock, _storage_errors(self.path):
            for message in messages:
                if isinstance(message, AIMessage):
                    self.budget.count(message, _nodes())
                # the recorder reads the id off the reply before the graph gets it
                message.response_metadata[JOURNAL] = f"{key[2][:16]}/{self._occurrences[key]}"
            replies = json.dumps([message_to_dict(each) for each in messages], default=str)
            self._file.execute(
                "INSERT INTO replies VALUES (?, ?, ?, ?, ?)",
                (*key, self._occurrences[key], replies),
            )
            self._occurrences[key] += 1


class _Seam(BaseCache):
    """Passes each call to the journal of its own run; LangChain has one cache per process.

    Calls without a journal use the cache that was set before.
    """

    def __init__(self) -> None:
        self._before: BaseCache | None = None
        self._open = 0
        self._lock = threading.Lock()

    def join(self) -> None:
        """Replace LangChain's cache, for one more journal."""
        with self._lock:
            if not self._open:
                self._before = get_llm_cache()
                set_llm_cache(self)
            self._open += 1

    def leave(self) -> None:
        """Restore LangChain's cache after the last journal."""
        with self._lock:
            self._open -= 1
            if not self._open:
                set_llm_cache(self._before)
                self._before = None

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        if (keeper := _journal() or self._before) is None:
            return None
        return keeper.lookup(prompt, llm_string)

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        if keeper := _journal() or self._before:
            keeper.update(prompt, llm_string, return_val)

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        # a journal takes less time than a thread would
        if _journal() or self._before is None:
            return self.lookup(prompt, llm_string)
        return await self._before.alookup(prompt, llm_string)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        if _journal() or self._before is None:
            self.update(prompt, llm_string, return_val)
        else:
            await self._before.aupdate(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:
        if self._before:
            self._before.clear(**kwargs)


_SEAM = _Seam()


_STREAMS = frozenset(
    each.__code__
    for kind in (BaseChatModel, BaseLLM)
    for name in ("stream", "astream")
    if (each := getattr(kind, name))
)
_LOOKING = frozenset(
    each.__code__
    for kind in (BaseChatModel, BaseLLM)
    for name in ("generate", "agenerate")
    if (each := getattr(kind, name))
)


def _passes_by() -> bool:
    """Whether LangChain is about to make a call without a look at its cache.

    It tells the handlers nothing of that. It is to be seen in which of its methods makes the call.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in _STREAMS:
            return True
        if frame.f_code in _LOOKING:
            return frame.f_locals["self"].cache is False
        frame = frame.f_back
    return False


def _journal() -> Journal | None:
    """The journal of the run that makes the call; the innermost one of nested runs."""
    callbacks = config_around().get("callbacks")
    handlers = callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks or ()
    return next((each for each in reversed(handlers) if isinstance(each, Journal)), None)


def _nodes() -> tuple[str, ...]:
    """The nodes around the call that is being made."""
    return tuple(Place.of(config_around().get("metadata")).nodes)


def _key(prompt: str, llm_string: str) -> tuple[str, str, str] | None:
    place = config_around().get("configurable", {})
    thread, namespace = place.get("thread_id"), place.get("checkpoint_ns")
    if thread is None or not namespace:
        return None
    request = hashlib.sha256(f"{_visible(prompt)}\x00{llm_string}".encode()).hexdigest()
    return str(thread), str(namespace), request


def _visible(prompt: str) -> str:
    """The part of LangChain's dump of the messages that reaches a model.

    A dump holds replies with their metadata, and a reply from the journal has other metadata
    than the same reply had when it came from the model. The hash of a `ChatRequest` is no help
    here, because foreign chat models have none.
    """
    try:
        messages = json.loads(prompt)
        visible = [{k: v for k, v in each["kwargs"].items() if k in _VISIBLE} for each in messages]
    except (ValueError, TypeError, LookupError):
        return prompt  # the text of a model that is no chat model, or no dump of messages
    return json.dumps(visible, sort_keys=True)


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"cannot use the journal {path}: {error}") from error
