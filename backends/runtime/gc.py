"""How often Python looks for unreachable reference cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG, MIDDLE, OLD = 50_000, 5, 5
"""Thresholds of `gc.set_threshold`; Python's own are 700, 10 and 10."""


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Make Python look for unreachable cycles less often, for runs with many calls in flight.

    Each call in flight keeps hundreds of objects alive (a graph's run, a task, a connection). With
    thousands, Python's own thresholds are passed all the time, and looking through what is alive
    takes more than half of the processor time (`benchmarks/client_concurrency.py --gc python`).
    Objects outside a cycle are freed at once as usual. The end of the block restores the earlier
    thresholds. They hold for the whole process, so this is for programs, not for libraries.
    """
    before = gc.get_threshold()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
