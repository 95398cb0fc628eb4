"""Supervision of a run: start its models, run its graphs, save the results."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol, Self, TextIO

from quillgraph.backends import Budget, Recorder, collecting_seldom
from quillgraph.backends.calls import continuity
from quillgraph.backends.errors import BackendError, BudgetReached, StorageError
from quillgraph.backends.runtime import output_to
from quillgraph.graphs.episodes.durability import CALLS, read_calls
from quillgraph.graphs.supervision.engines import Engines
from quillgraph.graphs.supervision.folder import RunFolder

GRACE_S = 5.0
"""Seconds that a graph has to finish after its time limit."""


class Watch(Protocol):
    """Shows where a run is; a context manager that is used once."""

    @property
    def stage(self) -> str:
        """What is going on."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *ending: Any) -> None: ...

    def finished(self, node: str) -> None:
        """Record that a node has finished."""

    def reached(self, far: str) -> None:
        """Say how far a long stage is."""

    def stopping(self) -> None:
        """Say that the run is stopping on request."""

    def say(self, words: str, *, style: str = "") -> None:
        """Say how the run has ended."""


Watching = Callable[[TextIO, Recorder, Mapping[str, str]], Watch]
"""Makes the watch of a run from an output stream, the recorder of its calls, and its stages."""


class Work(Protocol):
    """The task of a run."""

    @property
    def stages(self) -> Mapping[str, str]:
        """Nodes of the graphs in order, each with the activity that it ends."""

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Run the graphs, and keep partial results."""

    def keep(self, folder: RunFolder) -> None:
        """Write what has been reached."""

    def reached(self) -> str:
        """Say what has been reached."""


def supervise(
    work: Work,
    engines: Engines,
    folder: RunFolder,
    budget: Budget | None = None,
    *,
    timeout: float | None,
    watching: Watching,
) -> None:
    """Run the work, and record its outcome however it ends.

    Args:
        work: The work.
        engines: The models; they are closed at the end, and started first unless they take turns.
        folder: Where calls are recorded and results kept.
        budget: Limit on the calls of the work.
        timeout: Most seconds, counted from when the models are ready.
        watching: Makes the display of progress.

    Raises:
        QuillError: After the finished parts are written to the run folder.
    """
    log, before = folder.path / "engine.log", _earlier_usage(folder)
    with (
        Recorder(folder.path / CALLS, run=folder.path.name, budget=budget) as recorder,
        output_to(log) as terminal,
    ):
        watch = watching(terminal, recorder, work.stages)
        try:
            with watch, collecting_seldom():
                asyncio.run(_run(work, engines, recorder, watch, timeout))
            work.keep(folder)
        except BaseException as error:
            watch.say(f"stopped while {watch.stage}; {work.reached()}, kept in {folder.path}")
            _end(work, folder, error, _usage(recorder, folder, before))
            if _is_engines_own(error, engines, folder) and log.stat().st_size:
                raise type(error)(f"{error}; the engine's own words are in {log}") from error
            raise
        usage = _usage(recorder, folder, before)
        folder.finish("done", **usage)
        watch.say(_in_words(usage), style="dim")


async def _run(
    work: Work, engines: Engines, recorder: Recorder, watch: Watch, time: float | None
) -> None:
    # a budget ends the calls in time; the grace is for work that makes no calls
    grace = GRACE_S if recorder.budget else 0.0
    async with AsyncExitStack() as stack:
        for chat in engines.chats:
            stack.push_async_callback(chat.aclose)
        limit = asyncio.timeout(time and time + grace)
        try:
            for chat in engines.chats if engines.at_once else ():
                await chat.start()
            watch.finished("start")
            async with limit:
                await work.run(engines, recorder, watch)
        except asyncio.CancelledError:
            # An engine may take a while to close. The loop says so and not this coroutine, where a
            # second Ctrl-C would count as an error to clean up after.
            asyncio.get_running_loop().call_soon(watch.stopping)
            raise
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise BudgetReached(f"the {time:g} s of the run are over; raise --timeout") from error


def _is_engines_own(error: BaseException, engines: Engines, folder: RunFolder) -> bool:
    """Whether an engine whose words are in the log failed, and not a server elsewhere."""
    if not isinstance(error, BackendError):
        return False
    message = f"{type(error).__name__}: {error}"
    calls = read_calls(folder.path)
    # what fails without a call fails on starting
    return engines.prints_here(next((call.role for call in calls if call.error == message), None))


def _end(work: Work, folder: RunFolder, error: BaseException, usage: Mapping[str, Any]) -> None:
    """Record that a run ended early, and save its partial results."""
    try:
        work.keep(folder)
    except StorageError:
        # if a full disk ended the run, its own error is enough
        if not isinstance(error, StorageError):
            raise
    else:
        folder.end_early(error, {BudgetReached: "budget reached"}, **usage)


def _earlier_usage(folder: RunFolder) -> Counter[str]:
    """Calls and tokens that earlier processes of the run have spent."""
    counts = Counter[str]()
    for call in read_calls(folder.path):
        if not call.replayed:
            counts["calls"] += 1
            counts["failed_calls"] += call.error is not None
            counts["prompt_tokens"] += call.prompt_tokens
            counts["completion_tokens"] += call.completion_tokens
    return counts


def _usage(recorder: Recorder, folder: RunFolder, before: Counter[str]) -> dict[str, Any]:
    return {
        "calls": before["calls"] + recorder.calls,
        "failed_calls": before["failed_calls"] + recorder.failed,
        "prompt_tokens": before["prompt_tokens"] + recorder.prompt_tokens,
        "completion_tokens": before["completion_tokens"] + recorder.completion_tokens,
        "continuity": continuity(read_calls(folder.path)).as_dict(),
    }


def _in_words(usage: Mapping[str, Any]) -> str:
    counts = usage["continuity"]
    words = f"{usage['calls']} calls"
    if counts["fork"]:
        words += f", of which {counts['fork']} go on from other tokens than the model's own"
    if counts["missing"]:
        words += f", of which {counts['missing']} came without token ids: no rows for training"
    return words
