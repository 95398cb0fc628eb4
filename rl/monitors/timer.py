"""Where the time of a training step goes."""

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
"""Methods of TRL's trainer, and what they do. They lie within each other; each is counted without
what lies within it."""


class Clock:
    """Measures the parts of a trainer's steps, in seconds."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._open: list[list[float]] = []

    def measure(self, trainer: Any) -> None:
        """Have a trainer's methods measured from now on."""
        for method, part in PARTS.items():
            if hasattr(trainer, method):
                setattr(trainer, method, self.timed(getattr(trainer, method), part))

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Wrap a function, so that its time counts for a part of the step."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            began, within = time.perf_counter(), [0.0]
            self._open.append(within)
            try:
                return function(*args, **kwargs)
            finally:
                self._open.pop()
                whole = time.perf_counter() - began
                self._spent[part] += whole - within[0]
                if self._open:
                    self._open[-1][0] += whole

        return wrapped

    def take(self) -> dict[str, float]:
        """The seconds since the last call, by part, as metrics."""
        seconds = {f"time/{part}_s": round(spent, 4) for part, spent in sorted(self._spent.items())}
        self._spent.clear()
        return seconds
