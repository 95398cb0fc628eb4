"""Which run the running code belongs to, also where Python carries no context.

A run is heard through LangChain's callbacks, and these are inherited through a context variable.
Threads start without it, a `contextvars.Context()` of one's own is empty, and a call with its own
`callbacks` leaves the inherited ones out. So a run is noted here in a variable of our own. While
one is under way, threads and the work of thread pools get the context of whoever starts them, as
`asyncio.to_thread` and OpenTelemetry do, and each task is known by the context that it came from.
LangChain asks for the handlers of the run before each call.

What is left is a thread that ran before, and takes its work from a queue: a call from there is the
run's if there is one alone, and is noted with all of them as `unheard` if there are several. A
client that is no LangChain model, such as `openai.OpenAI()`, is not seen at all.
"""

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from multiprocessing.pool import ThreadPool
from typing import Any, TypeVar, cast
from uuid import UUID
from weakref import WeakKeyDictionary

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tracers.context import register_configure_hook

from quillgraph.backends.calls.listener import Listener

T = TypeVar("T")


class RunScope:
    """A run that is under way.

    Args:
        callbacks: Who hears its calls: three handlers at most, the one with a budget last.
    """

    def __init__(self, callbacks: tuple[BaseCallbackHandler, ...]) -> None:
        self.callbacks = callbacks
        self.unheard: list[str] = []
        """Where calls were made that may be this run's, or another's."""


_OUTSIDE = Context()
"""Where it is known that no run is around."""

_SCOPE: ContextVar[RunScope | None] = ContextVar("quillgraph_scope")
"""None where calls are not to be heard, as they are heard from somebody else."""

_running: list[RunScope] = []
_patched: list[bool] = []
_tasks: WeakKeyDictionary[asyncio.Task[Any], Context] = WeakKeyDictionary()
_here = threading.local()
_lock = threading.Lock()


@contextmanager
def running(scope: RunScope) -> Iterator[None]:
    """Have all code that is started from here belong to a run, until it ends."""
    task = asyncio.current_task()
    assert task is not None
    before = _tasks.get(task)
    token = _SCOPE.set(scope)
    _tasks[task] = copy_context()
    _here.hosts = getattr(_here, "hosts", 0) + 1
    with _lock:
        _running.append(scope)
        if not _patched:
            _patched.append(True)
            _patch()
    try:
        yield
    finally:
        with _lock:
            _running.remove(scope)
        _SCOPE.reset(token)
        _here.hosts -= 1
        if before is None:
            del _tasks[task]
        else:
            _tasks[task] = before


@contextmanager
def silence() -> Iterator[None]:
    """Make calls that are not to be heard: the call around them is."""
    token = _SCOPE.set(None)
    try:
        yield
    finally:
        _SCOPE.reset(token)


async def outside_runs(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await what belongs to no run, wherever it was started: such as a trainer's judge."""
    with silence():
        return await coroutine


def handlers_around() -> list[BaseCallbackHandler]:
    """Who will hear a call that is made here."""
    callbacks = config_around().get("callbacks")
    own = callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks or []
    scope = current_scope()
    return [*own, *(scope.callbacks if scope else ())]


def config_around() -> RunnableConfig:
    """The configuration of the node around a call, also where the context has lost it."""
    own = ensure_config()
    if own.get("callbacks") or (context := _context()) is None:
        return own
    return context.run(ensure_config) if context is not _OUTSIDE else own


def with_place(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A call's metadata, with where in the graph it is made, if the call itself has lost that."""
    own = metadata or {}
    if "langgraph_checkpoint_ns" in own or not _running:
        return own
    around = config_around().get("metadata") or {}
    return {**{key: around[key] for key in around if key.startswith("langgraph_")}, **own}


def current_scope() -> RunScope | None:
    """The run that the running code belongs to; None if there is none, or nobody can tell."""
    if (scope := _SCOPE.get(_UNKNOWN)) is not _UNKNOWN:
        return scope
    context = _context()
    if context is None:
        return _running[0] if len(_running) == 1 else None
    return context.get(_SCOPE)


_UNKNOWN = RunScope(())


def _context() -> Context | None:
    """The context that the running code was started from; None if that was not noted.

    A copy, as the one that is noted may be in use.
    """
    if not _running:
        return None
    try:
        context = _tasks.get(task) if (task := asyncio.current_task()) else None
    except RuntimeError:
        context = None
    if context is None:
        context = getattr(_here, "context", None)
    if context is None and _is_outside():
        return _OUTSIDE
    return context.copy() if context is not None and context is not _OUTSIDE else context


def _is_outside() -> bool:
    """Whether code that was not noted can be none of a run: all else on this thread is noted."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main or bool(getattr(_here, "hosts", 0))


class _Lost(Listener):
    """Hears a call of which nobody can tell whose it is."""

    def on_chat_model_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """Note it with all runs that it may be of, and with their budget if they share one.

        Raises:
            BudgetReached: If that is spent.
        """
        self._note()

    def on_llm_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """As `on_chat_model_start`."""
        self._note()

    def _note(self) -> None:
        with _lock:
            runs = tuple(_running)
        for each in runs:
            each.unheard.append(threading.current_thread().name)
        budgets = {
            id(budget): budget
            for run in runs
            for each in run.callbacks
            if (budget := getattr(each, "budget", None)) is not None
        }
        if len(budgets) == 1:
            next(iter(budgets.values())).admit()


_LOST = _Lost()


class _Hook:
    """Gives LangChain a handler of the present run, where it would ask a context variable."""

    def __init__(self, number: int) -> None:
        self._number = number

    def get(self) -> BaseCallbackHandler | None:
        """The handler; None if there is no run."""
        if not _running and _SCOPE.get(None) is None:
            return None
        if (scope := current_scope()) is not None:
            return scope.callbacks[self._number] if self._number < len(scope.callbacks) else None
        is_lost = _SCOPE.get(_UNKNOWN) is _UNKNOWN and _context() is None
        return _LOST if is_lost and self._number == 0 else None


for _number in range(3):
    register_configure_hook(cast(ContextVar[Any], _Hook(_number)), inheritable=True)


def _carried() -> Context | None:
    """The context that is to be carried to where Python carries none."""
    if _SCOPE.get(_UNKNOWN) is not _UNKNOWN:
        return copy_context()
    return _context()


def _in(context: Context, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a function in a context, and have what loses it find it."""
    before = getattr(_here, "context", None)
    _here.context = context
    try:
        if context is _OUTSIDE:
            return function(*args, **options)
        return context.copy().run(function, *args, **options)
    finally:
        _here.context = before


def _start(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def start(thread: threading.Thread) -> None:
        # the threads of a pool serve many runs: their work is carried, one by one
        if not getattr(_here, "pools", False) and (context := _carried()) is not None:
            thread.run = functools.partial(_in, context, thread.run)  # type: ignore[method-assign]
        original(thread)

    return start


def _submit(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(pool: Any, function: Any, /, *args: Any, **options: Any) -> Any:
        if (context := _carried()) is not None:
            function = functools.partial(_in, context, function)
        with _pooled():
            return original(pool, function, *args, **options)

    return submit


def _create_task(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def create_task(loop: Any, coroutine: Any, **options: Any) -> Any:
        task = original(loop, coroutine, **options)
        given = options.get("context")
        context = given if given is not None and _SCOPE in given else _carried()
        if context is not None:
            _tasks[task] = context
        return task

    return create_task


@contextmanager
def _pooled() -> Iterator[None]:
    before = getattr(_here, "pools", False)
    _here.pools = True
    try:
        yield
    finally:
        _here.pools = before


def _patch() -> None:
    """Carry contexts from now on; it does nothing as long as no run is under way.

    It is not taken back: to change a class costs all code that uses it more than is left here.
    """
    ways = ("apply_async", "_map_async", "imap", "imap_unordered")
    for owner, name, wrapper in (
        (threading.Thread, "start", _start),
        (ThreadPoolExecutor, "submit", _submit),
        *((ThreadPool, way, _submit) for way in ways),
        (asyncio.BaseEventLoop, "create_task", _create_task),
    ):
        setattr(owner, name, wrapper(getattr(owner, name)))
