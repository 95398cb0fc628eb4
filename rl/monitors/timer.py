"""Timing of the parts of a training step."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

PARTS = {
    "_generate": "generate",
    "_calculate_rewards": "judge",
    "_get_per_token_logps_and_entropies": "logps",
    "training_step": "update",
}
"""Methods of TRL's trainer, and the part of a step that each does. Calls nest; the time of a call
excludes the calls nested in it."""


class Clock:
    """Measures the parts of a trainer's steps, in seconds."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._open: list[list[float]] = []

    def measure(self, trainer: Any) -> None:
        """Start measuring a trainer's methods."""
        for method, part in PARTS.items():
            if hasattr(trainer, method):
                setattr(trainer, method, self.timed(getattr(trainer, method), part))

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Wrap a function, so that its time counts for a part of the step."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            start, nested = time.perf_counter(), [0.0]
            self._open.append(nested)
            try:
                return function(*args, **kwargs)
            finally:
                self._open.pop()
                total = time.perf_counter() - start
                self._spent[part] += total - nested[0]
                if self._open:
                    self._open[-1][0] += total

        return wrapped

    def take(self) -> dict[str, float]:
        """Seconds per part since the last call, as metrics."""
        seconds = {f"time/{part}_s": round(spent, 4) for part, spent in sorted(self._spent.items())}
        self._spent.clear()
        return seconds
