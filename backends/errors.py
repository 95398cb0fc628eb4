"""Errors of the package, in one tree.

QuillError
├── ConfigError             an option or combination does not exist or does not fit (exit 2)
├── InputError              the request or file cannot be used (exit 2)
├── StorageError            a file or folder cannot be read or written (exit 1)
├── BackendError            the model could not be reached or refused (exit 3)
│   ├── Unreachable         nobody answers at that address, or not in time; retryable
│   │   └── TimedOut        a call took longer than the backend's `timeout_s`; retryable
│   ├── RateLimited         the endpoint limits the rate of calls; retryable
│   ├── ServerFailed        the endpoint failed while answering; retryable
│   ├── Refused             wrong key, unknown model, malformed request: a retry does not help
│   ├── ContextOverflow     the prompt is longer than the model's window: shorten it
│   └── CassetteMiss        a recording holds no such call
├── ReplyError              the model answered, but not in the asked form (exit 3)
├── PolicyError             weights, adapter, memory or checkpoint do not fit the run (exit 2)
├── RewardError             a reward function failed, or gave nothing to learn from (exit 1)
├── OutOfMemory             the update does not fit the device (exit 1)
├── GuardTripped            training was stopped: its reward is not to be trusted (exit 1)
└── BudgetReached           the run's budget of calls, tokens or time is spent (exit 4)
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar


class QuillError(Exception):
    """Root of every error that the package raises on purpose."""

    exit_status: ClassVar[int] = 1
    retryable: ClassVar[bool] = False


class ConfigError(QuillError, ValueError):
    """An option, or a combination of options, does not exist or does not fit."""

    exit_status = 2


class InputError(QuillError, ValueError):
    """A request, text or file that cannot be used."""

    exit_status = 2


class StorageError(QuillError, OSError):
    """A file or folder that cannot be read or written."""


class BackendError(QuillError):
    """The model could not be reached, or refused."""

    exit_status = 3
    retry_after_s: float | None = None
    """How long to wait before a retry, as the endpoint asks, seconds; None if it does not say."""


class Unreachable(BackendError):
    """Nobody answers at the address, or not in time."""

    retryable = True


class TimedOut(Unreachable):
    """A call, with all its retries, took longer than the backend's `timeout_s`."""


class RateLimited(BackendError):
    """The endpoint limited the rate of calls until no retry was left."""

    retryable = True


class ServerFailed(BackendError):
    """The endpoint failed while it was answering."""

    retryable = True


class Refused(BackendError):
    """The endpoint rejects this call, and a retry does not help."""


class ContextOverflow(BackendError):
    """The prompt does not fit the model's context window."""


class CassetteMiss(BackendError):
    """A recording holds no such call; the lines after the first show the nearest one's diff."""


class ReplyError(QuillError):
    """A reply that could not be read; carries the reply, for inspection, and what may help."""

    exit_status = 3

    def __init__(
        self, expected: str, reply: str, remedy: str = "a larger model may do better"
    ) -> None:
        # args are the constructor's arguments, so that the error pickles
        super().__init__(expected, reply, remedy)
        self.expected, self.reply, self.remedy = expected, reply, remedy

    def __str__(self) -> str:
        return f"expected {self.expected}, got {self.reply[:200]!r}"


class PolicyError(QuillError, ValueError):
    """Weights, an adapter, a memory or a checkpoint do not fit the run."""

    exit_status = 2


class RewardError(QuillError):
    """A reward function failed, or gave nothing to learn from."""


class OutOfMemory(QuillError):
    """The update does not fit the device's memory."""


class GuardTripped(QuillError):
    """Training was stopped because its reward can no longer be trusted."""


class BudgetReached(QuillError):
    """The run's budget of calls, tokens or time is spent."""

    exit_status = 4


def nearest(name: str, valid: Iterable[str]) -> str:
    """Say which valid name the writer of `name` may have meant.

    Returns:
        A clause to append to an error message: the nearest valid name, if one is near,
        and all the valid ones.
    """
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}valid: {', '.join(names)}"
