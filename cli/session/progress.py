"""Progress of a run, as the user sees it."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from quillgraph.backends import Recorder

EVERY_S = 30.0
"""Longest time between two words on how far a long stage is, where there is no bar."""

STOPPING = "stopping … (Ctrl-C again stops at once)"


def plain_console(file: TextIO) -> Console:
    """Make a console that prints text unchanged: no wrapping, no markup."""
    return Console(file=file, soft_wrap=True, highlight=False, markup=False, emoji=False)


def announce(folder: Path, console: Console) -> None:
    """Print the folder of a run."""
    console.print(f"run folder: {folder}", style="dim")


@contextmanager
def log_shown(console: Console) -> Iterator[None]:
    """Show the package's log messages, such as a model download or a server without usage."""

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.print(record.getMessage(), style="dim")

    logger, handler = logging.getLogger("quillgraph"), Shown()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class ProgressWatch:
    """Shows where a run is: a bar on a terminal, a line per stage elsewhere.

    Shows the package's log messages too. Use it as a context manager, once.

    Args:
        console: Console for the user's eyes.
        recorder: Counts the calls that are shown.
        stages: Nodes of the graphs in order, each with the activity until it ends.
    """

    def __init__(self, console: Console, recorder: Recorder, stages: Mapping[str, str]) -> None:
        self._console, self._recorder, self._stages = console, recorder, stages
        self._done: list[str] = []
        self._told_at = time.monotonic()
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn()
        more = TextColumn("{task.fields[calls]} calls"), TimeElapsedColumn()
        # rich would route engines' logs to sys.stderr through this console
        self._progress = Progress(
            *columns, *more, console=console, transient=True, disable=not console.is_terminal,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._bar = self._progress.add_task(self.stage, total=len(stages), calls=0)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._progress)
        self._open.enter_context(log_shown(self._console))
        self._say(self.stage)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    @property
    def stage(self) -> str:
        """The current activity."""
        left = (doing for node, doing in self._stages.items() if node not in self._done)
        return next(left, list(self._stages.values())[-1])

    def finished(self, node: str) -> None:
        """Record that a node has finished."""
        before = self.stage
        if node in self._stages and node not in self._done:
            self._done.append(node)
        self._progress.update(
            self._bar,
            completed=len(self._done),
            description=self.stage,
            calls=self._recorder.calls,
        )
        if self.stage != before:
            self._say(self.stage)

    def reached(self, far: str) -> None:
        """Show how far a long stage is: in the bar, or in an occasional line."""
        self._progress.update(
            self._bar, description=f"{self.stage}: {far}", calls=self._recorder.calls
        )
        if not self._console.is_terminal and time.monotonic() - self._told_at >= EVERY_S:
            self._say(f"{self.stage}: {far}")

    def stopping(self) -> None:
        """Say that a stop was requested and the run is ending."""
        self._progress.update(self._bar, description=STOPPING)
        if not self._console.is_terminal:
            self._console.print(STOPPING, style="dim")

    def say(self, words: str, *, style: str = "") -> None:
        """Print how the run ended."""
        self._console.print(words, style=style)

    def _say(self, doing: str) -> None:
        self._told_at = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(f"{doing} …", style="dim")


def watch_on(terminal: TextIO, recorder: Recorder, stages: Mapping[str, str]) -> ProgressWatch:
    """Watch a run on the terminal."""
    return ProgressWatch(plain_console(terminal), recorder, stages)
