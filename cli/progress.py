"""A running study, as its user sees it: where it is, and what it has reached."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from quillgraph.backends import Recorder
from quillgraph.graphs import criteria
from quillgraph.graphs.study import Grounding, Study

STAGES = {
    "start": "starting the model",
    "split": "reading the request",
    "sampling": "sampling drafts and coding the request",
    "code_request": "sampling drafts and coding the request",
    "code_drafts": "coding the drafts",
    "axial_coding": "axial coding",
    "selective_coding": "selective coding",
    "criteria_writing": "writing and trying criteria",
    "freeze": "freezing the criteria",
}
"""Nodes of the workflow in order, and what is going on until each is done."""

GROWING = ("drafts", "incidents")
"""What the nodes of a stage add to one by one."""

REPLACED = ("codes", "saturation", "categories", "core", "tiers")
"""What a node of a stage writes whole."""


def plain_console(file: TextIO) -> Console:
    """Make a console that prints words as they are: paths stay whole, brackets stay brackets."""
    return Console(file=file, soft_wrap=True, highlight=False, markup=False, emoji=False)


@contextmanager
def log_shown(said: Console) -> Iterator[None]:
    """Show what the package logs: a model that is being fetched, a server that counts nothing."""

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.print(record.getMessage(), style="dim")

    logger, handler = logging.getLogger("quillgraph"), Shown()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class Watch:
    """Shows where a study is: a bar on a terminal, a line per stage elsewhere.

    What the package logs is shown too. Use it as a context manager, once.

    Args:
        said: Console for the user's eyes.
        recorder: Counts the calls that are shown.
    """

    def __init__(self, said: Console, recorder: Recorder) -> None:
        self._said, self._recorder = said, recorder
        self._done: list[str] = []
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn()
        more = TextColumn("{task.fields[calls]} calls"), TimeElapsedColumn()
        # rich would have engines that log to sys.stderr print through this console
        self._progress = Progress(
            *columns, *more, console=said, transient=True, disable=not said.is_terminal,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._bar = self._progress.add_task(self.stage, total=len(STAGES), calls=0)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._progress)
        self._open.enter_context(log_shown(self._said))
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
        """What is going on."""
        left = (said for node, said in STAGES.items() if node not in self._done)
        return next(left, STAGES["freeze"])

    def finished(self, node: str) -> None:
        """Take note of a node that has finished."""
        before = self.stage
        if node in STAGES and node not in self._done:
            self._done.append(node)
        self._progress.update(
            self._bar,
            completed=len(self._done),
            description=self.stage,
            calls=self._recorder.calls,
        )
        if self.stage != before:
            self._say(self.stage)

    def stopping(self) -> None:
        """Say that the run has been told to stop, and does."""
        self._progress.update(self._bar, description="stopping")
        self._say("stopping")

    def _say(self, doing: str) -> None:
        if not self._said.is_terminal:
            self._said.print(f"{doing} …", style="dim")


async def follow(state: Grounding, study: Study, recorder: Recorder, watch: Watch) -> None:
    """Run the workflow, keeping in `state` whatever has been reached."""
    graph = criteria.build().compile()
    async for part in graph.astream(
        {"task": state["task"]},
        {"callbacks": [recorder], "recursion_limit": 100},
        context=study,
        stream_mode=["values", "updates"],
        subgraphs=True,
        version="v2",
    ):
        if part["type"] == "updates":
            for node, written in part["data"].items():
                watch.finished(node if not part["ns"] else "")
                _take(state, written or {})
        elif part["type"] == "values" and not part["ns"]:
            state.update(part["data"])


def _take(state: Grounding, written: dict[str, Any]) -> None:
    """Keep what a node wrote; its stage may not live to hand it over."""
    known = cast("dict[str, Any]", state)  # the keys come from the tuples above
    known.update({key: written[key] for key in REPLACED if key in written})
    for key in GROWING:
        have = {entry.id for entry in known.get(key, [])}
        new = [entry for entry in written.get(key, []) if entry.id not in have]
        if new:
            known[key] = [*known.get(key, []), *new]
