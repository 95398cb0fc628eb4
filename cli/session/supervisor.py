"""How a run is watched over: its models start, its graphs run, and what is done is kept."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol

from quillgraph.backends import Budget, Recorder, collecting_seldom, read_records
from quillgraph.backends.calls import continuity
from quillgraph.backends.errors import BackendError, BudgetReached, StorageError
from quillgraph.backends.runtime import output_to
from quillgraph.cli.session.engines import Engines
from quillgraph.cli.session.folder import RunFolder
from quillgraph.cli.session.progress import ProgressWatch, plain_console

GRACE_S = 5.0
"""Seconds that a graph has to come to its end once its time is over."""


class Work(Protocol):
    """What a command has its models do."""

    @property
    def stages(self) -> Mapping[str, str]:
        """Nodes of the graphs in order, and what is going on until each is done."""

    async def run(self, engines: Engines, recorder: Recorder, watch: ProgressWatch) -> None:
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
) -> None:
    """Do the work, and write down how it went however it ends.

    Args:
        work: What is to be done.
        engines: The models; they are closed at the end, and started first unless they take turns.
        folder: Where calls are recorded and results kept.
        budget: What the calls of the work may spend.
        timeout: Most seconds, counted from when the models are up.

    Raises:
        QuillError: After what was finished has been written to the run folder.
    """
    log, before = folder.path / "engine.log", _made_before(folder)
    with (
        Recorder(folder.path / "calls.jsonl", run=folder.path.name, budget=budget) as recorder,
        output_to(log) as terminal,
    ):
        console = plain_console(terminal)
        watch = ProgressWatch(console, recorder, work.stages)
        try:
            with watch, collecting_seldom():
                asyncio.run(_run(work, engines, recorder, watch, timeout))
            work.keep(folder)
        except BaseException as error:
            console.print(f"stopped while {watch.stage}; {work.reached()}, kept in {folder.path}")
            _end(work, folder, error, _usage(recorder, folder, before))
            if _is_engines_own(error, engines, folder) and log.stat().st_size:
                raise type(error)(f"{error}; the engine's own words are in {log}") from error
            raise
        usage = _usage(recorder, folder, before)
        folder.finish("done", **usage)
        console.print(_in_words(usage), style="dim")


async def _run(
    work: Work, engines: Engines, recorder: Recorder, watch: ProgressWatch, time: float | None
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
    calls = read_records(folder.path / "calls.jsonl")
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
    file, counts = folder.path / "calls.jsonl", Counter[str]()
    for call in read_records(file) if file.exists() else ():
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
        "continuity": continuity(read_records(folder.path / "calls.jsonl")).as_dict(),
    }


def _in_words(usage: Mapping[str, Any]) -> str:
    held = usage["continuity"]
    words = f"{usage['calls']} calls"
    if held["fork"]:
        words += f", of which {held['fork']} go on from other tokens than the model's own"
    if held["missing"]:
        words += f", of which {held['missing']} came without token ids: no rows for training"
    return words
