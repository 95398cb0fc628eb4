"""How a run is watched over: its models start, its graphs run, and what is done is kept."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol

from quillgraph.backends import Budget, Recorder, read_records
from quillgraph.backends.errors import BackendError, BudgetReached, StorageError
from quillgraph.backends.lineage import continuity
from quillgraph.cli.engine_log import engines_print_to
from quillgraph.cli.engines import Engines
from quillgraph.cli.progress import Watch, plain_console
from quillgraph.cli.run_folder import RunFolder

GRACE_S = 5.0
"""Seconds that a graph has to come to its end once its time is over."""


class Work(Protocol):
    """What a command has its models do."""

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
    log = folder.path / "engine.log"
    with (
        Recorder(folder.path / "calls.jsonl", run=folder.path.name, budget=budget) as recorder,
        engines_print_to(log) as terminal,
    ):
        said = plain_console(terminal)
        watch = Watch(said, recorder, work.stages)
        try:
            with watch:
                asyncio.run(_run(work, engines, recorder, watch, timeout))
            work.keep(folder)
        except BaseException as error:
            said.print(f"stopped while {watch.stage}; {work.reached()}, kept in {folder.path}")
            _end(work, folder, recorder, error)
            if _is_engines_own(error, engines, folder) and log.stat().st_size:
                raise type(error)(f"{error}; the engine's own words are in {log}") from error
            raise
        usage = _usage(recorder, folder)
        folder.finish("done", **usage)
        said.print(_told(usage), style="dim")


def say(line: str) -> None:
    """Tell the user something beside the result."""
    plain_console(sys.stderr).print(line, style="dim")


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
    told = f"{type(error).__name__}: {error}"
    calls = read_records(folder.path / "calls.jsonl")
    # what fails without a call fails on starting
    return engines.prints_here(next((call.role for call in calls if call.error == told), None))


def _end(work: Work, folder: RunFolder, recorder: Recorder, error: BaseException) -> None:
    """Write down that a run ended early, and what it had reached."""
    status = {KeyboardInterrupt: "interrupted", BudgetReached: "budget reached"}
    told = f"{type(error).__name__}: {error}".removesuffix(": ")
    try:
        work.keep(folder)
        folder.finish(status.get(type(error), "failed"), error=told, **_usage(recorder, folder))
    except StorageError:
        # a disk that is full has ended the run already; another end is told for what it was
        if not isinstance(error, StorageError):
            raise


def _usage(recorder: Recorder, folder: RunFolder) -> dict[str, Any]:
    return {
        "calls": recorder.calls,
        "failed_calls": recorder.failed,
        "prompt_tokens": recorder.prompt_tokens,
        "completion_tokens": recorder.completion_tokens,
        "continuity": continuity(read_records(folder.path / "calls.jsonl")).as_dict(),
    }


def _told(usage: Mapping[str, Any]) -> str:
    held = usage["continuity"]
    return (
        f"{usage['calls']} calls; of those that carry on a conversation, {held['clean']} have its "
        f"exact tokens and {held['fork']} others; {held['missing']} calls came without tokens"
    )
