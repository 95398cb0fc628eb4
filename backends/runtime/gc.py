"""How often Python looks for objects that hold each other and nobody else does."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG, MIDDLE, OLD = 50_000, 5, 5
"""Thresholds of `gc.set_threshold`; Python's own are 700, 10 and 10."""


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Have Python look for unreachable cycles less often, as many calls in flight want it.

    Each call in flight keeps hundreds of objects alive (a graph's run, a task, a connection). With
    thousands, Python's own thresholds are passed all the time, and looking through what is alive
    takes more than half of the processor time (`benchmarks/client_concurrency.py --gc python`).
    Objects that are not part of a cycle are freed at once as ever. The earlier thresholds are back
    when the block ends; they are the whole process's, so this is for programs, not for libraries.
    """
    before = gc.get_threshold()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
