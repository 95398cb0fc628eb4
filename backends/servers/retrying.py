"""How long to wait before a server is asked again."""

import random

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0


def pause_s(attempt: int, retry_after_s: float | None) -> float:
    """Seconds to wait after a failed attempt.

    They double with each attempt and are drawn from the upper half of that span, so that calls
    which failed together do not come back together. What the server asks for is waited for, and
    a little more for the same reason.

    Args:
        attempt: Number of the attempt that failed, from 0.
        retry_after_s: What the server asked for, seconds; None if it asked for nothing.
    """
    if retry_after_s is not None:
        return retry_after_s * random.uniform(1.0, 1.25)
    span = min(FIRST_PAUSE_S * 2.0**attempt, LONGEST_PAUSE_S)
    return span * random.uniform(0.5, 1.0)
