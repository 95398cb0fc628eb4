"""The verbs of the packages as plain calls: each waits for its coroutine.

All run on one loop on a thread of its own. So a call works whether its caller has a running loop
(a notebook) or none (a script), and engines keep their connections from one call to the next.
"""

import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from quillgraph import evals, graphs
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.runtime import BackgroundLoop

__all__ = [
    "compare_criteria",
    "compare_policies",
    "find_criteria",
    "judge",
    "run_graph",
    "run_graphs",
    "write",
]

P = ParamSpec("P")
T = TypeVar("T")

THREAD = "quillgraph-verbs"
"""Name of the thread. Its loop is not that of a model's own `invoke`: a graph may call it."""


def _plain(verb: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make of a coroutine function a function that returns what the coroutine does."""

    @wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return _outcome(verb(*args, **kwargs), verb.__name__)

    return call


def _each(verb: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, Iterator[T]]:
    """Make of an asynchronous generator function one that is read with `for`."""

    @wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        items = verb(*args, **kwargs)

        async def following() -> tuple[T, ...]:
            async for item in items:
                return (item,)
            return ()

        try:
            while item := _outcome(following(), verb.__name__):
                yield item[0]
        finally:
            _outcome(items.aclose(), verb.__name__)

    return call


compare_criteria = _plain(evals.compare_criteria)
compare_policies = _plain(evals.compare_policies)
find_criteria = _plain(graphs.find_criteria)
judge = _plain(graphs.judge)
run_graph = _plain(graphs.run_graph)
run_graphs = _each(graphs.run_graphs)
write = _plain(graphs.write)


def _outcome(coroutine: Coroutine[Any, Any, T], verb: str) -> T:
    """What a coroutine returns or raises; an interrupt of the caller cancels it.

    Raises:
        ConfigError: If the verb is called by a coroutine of a verb, which would wait for itself.
    """
    if threading.current_thread().name == THREAD:
        coroutine.close()
        raise ConfigError(
            f"{verb}() was called within a graph that another verb runs; `await a{verb}()` there"
        )
    future = _background().submit(coroutine)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _background() -> BackgroundLoop:
    global _loop
    with _starting:  # callers come on many threads
        if _loop is None:
            _loop = BackgroundLoop(THREAD)
        return _loop


_loop: BackgroundLoop | None = None
_starting = threading.Lock()
