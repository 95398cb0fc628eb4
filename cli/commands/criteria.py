"""`quillgraph criteria`: run the Grounded-Theory workflow and leave a run folder."""

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich.console import Console

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.requests import writing_task
from quillgraph.backends import Budget, Recorder
from quillgraph.cli.commands.library import library_file
from quillgraph.cli.display.items import write_json
from quillgraph.cli.display.study import criteria_markdown, criteria_tree, reached, summary
from quillgraph.cli.session.budget import budget_of
from quillgraph.cli.session.engines import Engines, connected, recorded, with_backend
from quillgraph.cli.session.folder import RunFolder
from quillgraph.cli.session.progress import ProgressWatch, plain_console
from quillgraph.cli.session.settings import Settings
from quillgraph.cli.session.supervisor import supervise
from quillgraph.graphs.memory import Library
from quillgraph.graphs.study import (
    ROLES,
    Grounding,
    Study,
    StudyRun,
    opened_library,
    provenance,
    workflow,
)

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
    """The work of finding the criteria of a task."""

    study: StudyRun
    settings: Settings
    budget: Budget

    @classmethod
    def of(cls, task: WritingTask, settings: Settings, budget: Budget) -> "StudyWork":
        """Begin with nothing but the task."""
        return cls(StudyRun.of(task), settings, budget)

    @property
    def state(self) -> Grounding:
        """What has been reached."""
        return self.study.state

    @property
    def stages(self) -> Mapping[str, str]:
        """Those of the workflow."""
        return STUDY_STAGES

    async def run(self, engines: Engines, recorder: Recorder, watch: ProgressWatch) -> None:
        """Run the workflow with the library that the settings name."""
        async with opened_library(library_file(self.settings), engines.embeddings) as library:
            await self.find(engines, recorder, watch, library)

    async def find(
        self, engines: Engines, recorder: Recorder, watch: ProgressWatch, library: Library | None
    ) -> None:
        """Run the workflow with a library that is open."""
        settings = self.settings
        study = Study.of(
            engines.common,
            engines.embeddings,
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
        """Write what the study has reached."""
        state = self.state
        folder.write_json("study.json", {k: v for k, v in state.items() if k != "criteria_set"})
        folder.write_lines("drafts.jsonl", state.get("drafts", []))
        if "criteria_set" not in state:
            return
        folder.write_json("criteria.json", state["criteria_set"])
        folder.write_text("criteria.md", criteria_markdown(state))
        graph = provenance.trace(state)
        folder.write("provenance.json", partial(provenance.write_graph, graph))
        folder.write("provenance.graphml", partial(provenance.write_graphml, graph))
        folder.write_text("provenance.mmd", provenance.mermaid(graph))

    def reached(self) -> str:
        """Say how far the study came."""
        return reached(self.state)


def run_criteria(request: str, settings: Settings, *, as_json: bool) -> None:
    """Find the criteria of a request and show them.

    Raises:
        QuillError: After what was finished has been written to the run folder.
    """
    task, console = writing_task(request), plain_console(sys.stderr)
    budget = budget_of(settings, [workflow.build()])
    settings = with_backend(settings, console)
    engines = connected(settings, ROLES, console)
    folder = RunFolder(settings.out, task.request, settings.model_dump(mode="json"))
    folder.write_text("request.txt", task.request)
    folder.write_text("graph.mmd", workflow.build().compile().get_graph(xray=1).draw_mermaid())
    work = StudyWork.of(task, settings, budget)
    with recorded(engines, settings) as engines:
        supervise(work, engines, folder, budget, timeout=settings.timeout)
    if as_json:
        write_json({"run": str(folder.path), **findings(work.state)})
    else:
        Console().print(criteria_tree(work.state))
        console.print(summary(work.state))
    folder.announce(console)


def findings(state: Grounding) -> dict[str, Any]:
    """The criteria of a study with their evidence, for machines."""
    criteria_set = state["criteria_set"]
    cited = {incident for each in criteria_set.criteria for incident in each.evidence}
    return {
        "criteria_set": criteria_set.model_dump(mode="json"),
        "evidence": {
            incident.id: incident.model_dump(mode="json")
            for incident in state["incidents"]
            if incident.id in cited
        },
        "coverage": criteria_set.stats["coverage"],
        "saturation": criteria_set.stats["saturation"],
        "dropped": dict(Counter(f"{entry.stage}: {entry.reason}" for entry in state["dropped"])),
    }
