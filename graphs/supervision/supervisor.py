"""How a run is watched over: its models start, its graphs run, and what is done is kept."""

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
"""Seconds that a graph has to come to its end once its time is over."""


class Watch(Protocol):
    """Shows where a run is; a context manager that is used once."""

    @property
    def stage(self) -> str:
        """What is going on."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *ending: Any) -> None: ...

    def finished(self, node: str) -> None:
        """Take note of a node that has finished."""

    def reached(self, far: str) -> None:
        """Say how far a long stage is."""

    def stopping(self) -> None:
        """Say that the run has been told to stop, and does."""

    def say(self, words: str, *, style: str = "") -> None:
        """Say how the run has ended."""


Watching = Callable[[TextIO, Recorder, Mapping[str, str]], Watch]
"""Makes the watch of a run: of where to show it, what counts its calls, and its stages."""


class Work(Protocol):
    """What a run has its models do."""

    @property
    def stages(self) -> Mapping[str, str]:
        """Nodes of the graphs in order, and what is going on until each is done."""

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Run the graphs, remembering whatever is reached."""

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
    """Do the work, and write down how it went however it ends.

    Args:
        work: What is to be done.
        engines: The models; they are closed at the end, and started first unless they take turns.
        folder: Where calls are recorded and results kept.
        budget: What the calls of the work may spend.
        timeout: Most seconds, counted from when the models are up.
        watching: Makes what shows how the run goes.

    Raises:
        QuillError: After what was finished has been written to the run folder.
    """
    log, before = folder.path / "engine.log", _made_before(folder)
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
    # a budget ends the calls in time; what is left to end then is what goes on without any
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
            # An engine may take a while to close. Said by the loop and not here: a second Ctrl-C
            # in this coroutine would be taken for an error to clean up after.
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
    """Write down that a run ended early, and what it had reached."""
    try:
        work.keep(folder)
    except StorageError:
        # a disk that is full has ended the run already; another end is told for what it was
        if not isinstance(error, StorageError):
            raise
    else:
        folder.end_early(error, {BudgetReached: "budget reached"}, **usage)


def _made_before(folder: RunFolder) -> Counter[str]:
    """What earlier processes have spent that were at the run."""
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
    held = usage["continuity"]
    words = f"{usage['calls']} calls"
    if held["fork"]:
        words += f", of which {held['fork']} go on from other tokens than the model's own"
    if held["missing"]:
        words += f", of which {held['missing']} came without token ids: no rows for training"
    return words
