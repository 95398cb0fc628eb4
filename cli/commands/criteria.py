"""`quillgraph criteria`: run the Grounded-Theory workflow and keep a run folder."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.requests import writing_task
from quillgraph.backends import Budget, Recorder
from quillgraph.cli.commands.library import library_file
from quillgraph.cli.display.items import write_json
from quillgraph.cli.display.study import criteria_tree
from quillgraph.cli.session.engines import budget_of, connected, recorded_run, with_backend
from quillgraph.cli.session.progress import announce, plain_console, watch_on
from quillgraph.cli.session.settings import Settings
from quillgraph.graphs.episodes import cast
from quillgraph.graphs.memory import Library
from quillgraph.graphs.study import (
    ROLES,
    Grounding,
    Study,
    StudyRun,
    findings,
    opened_library,
    reached,
    summary,
    workflow,
    write_study,
)
from quillgraph.graphs.supervision import Engines, RunFolder, Watch, mermaid_of, supervise

STUDY_STAGES = {
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


@dataclass(slots=True)
class StudyWork:
    """Finds the criteria of a task."""

    study: StudyRun
    settings: Settings
    budget: Budget

    @classmethod
    def of(cls, task: WritingTask, settings: Settings, budget: Budget) -> "StudyWork":
        """Start from the task alone, with an empty state."""
        return cls(StudyRun.of(task), settings, budget)

    @property
    def state(self) -> Grounding:
        """The state of the study so far."""
        return self.study.state

    @property
    def stages(self) -> Mapping[str, str]:
        """The stages of the workflow."""
        return STUDY_STAGES

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Run the workflow with the library that the settings name."""
        async with opened_library(library_file(self.settings), engines.embeddings) as library:
            await self.find(engines, recorder, watch, library)

    async def find(
        self, engines: Engines, recorder: Recorder, watch: Watch, library: Library | None
    ) -> None:
        """Run the workflow with an open library."""
        settings = self.settings
        study = cast(
            Study,
            engines.common,
            embeddings=engines.embeddings,
            seed=settings.seed,
            budget=self.budget,
            roles=dict(engines.cast(ROLES)),
            library=library,
            contrast=settings.contrast,
            drafts=settings.drafts,
            draft_tokens=settings.draft_tokens,
        )
        await self.study.run(study, recorder, watch.finished)

    def keep(self, folder: RunFolder) -> None:
        """Write the results of the study so far."""
        write_study(self.state, folder)

    def reached(self) -> str:
        """Say how far the study got."""
        return reached(self.state)


def run_criteria(request: str, settings: Settings, *, as_json: bool) -> None:
    """Find the criteria of a request and show them.

    Raises:
        QuillError: When the run fails; finished work is already in the run folder.
    """
    task, console = writing_task(request), plain_console(sys.stderr)
    budget = budget_of(settings, [workflow.build()])
    settings = with_backend(settings, console)
    engines = connected(settings, ROLES, console)
    folder = RunFolder(settings.out, task.request, settings.model_dump(mode="json"))
    folder.write_text("request.txt", task.request)
    folder.write_text("graph.mmd", mermaid_of(workflow.build()))
    work = StudyWork.of(task, settings, budget)
    with recorded_run(settings, engines) as engines:
        supervise(work, engines, folder, budget, timeout=settings.timeout, watching=watch_on)
    if as_json:
        write_json({"run": str(folder.path), **findings(work.state)})
    else:
        Console().print(criteria_tree(work.state))
        console.print(summary(work.state))
    announce(folder.path, console)
