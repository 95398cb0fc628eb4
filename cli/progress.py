"""A running study, as its user sees it: where it is, and what it has reached."""

import logging
from types import TracebackType
from typing import Any, Self, cast

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
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


class Watch:
    """Shows where a study is: a bar on a terminal, a line per stage elsewhere.

    What the package logs is shown too. Use it as a context manager.

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
        self._handler = RichHandler(
            logging.WARNING, said, show_time=False, show_path=False, highlighter=NullHighlighter()
        )

    def __enter__(self) -> Self:
        logging.getLogger("quillgraph").addHandler(self._handler)
        self._progress.start()
        self._say()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
        logging.getLogger("quillgraph").removeHandler(self._handler)

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
            self._say()

    def _say(self) -> None:
        if not self._said.is_terminal:
            self._said.print(f"{self.stage} …", style="dim", highlight=False)


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
