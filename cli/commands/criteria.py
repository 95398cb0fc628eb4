"""`quillgraph criteria`: run the Grounded-Theory workflow and leave a run folder."""

import json
import sys
import typing
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich.console import Console

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.requests import writing_task
from quillgraph.backends import Budget, Recorder
from quillgraph.cli.commands.library import library_of
from quillgraph.cli.display.study import criteria_markdown, criteria_tree, reached, summary
from quillgraph.cli.session.budget import budget_of
from quillgraph.cli.session.engines import Engines, connected, recorded, with_backend
from quillgraph.cli.session.folder import RunFolder
from quillgraph.cli.session.progress import ProgressWatch, plain_console
from quillgraph.cli.session.settings import Settings
from quillgraph.cli.session.supervisor import supervise
from quillgraph.graphs import cast
from quillgraph.graphs.memory import Library
from quillgraph.graphs.study import ROLES, Grounding, Study, provenance
from quillgraph.graphs.study import workflow as criteria

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


@dataclass(slots=True)
class Studying:
    """The work of finding the criteria of a task."""

    state: Grounding
    settings: Settings
    budget: Budget
    stages: Mapping[str, str]

    @classmethod
    def of(cls, task: WritingTask, settings: Settings, budget: Budget) -> "Studying":
        """Begin with nothing but the task."""
        return cls(Grounding(task=task), settings, budget, STAGES)

    async def run(self, engines: Engines, recorder: Recorder, watch: ProgressWatch) -> None:
        """Run the workflow with the library that the settings name."""
        async with library_of(self.settings, engines) as library:
            await self.find(engines, recorder, watch, library)

    async def find(
        self, engines: Engines, recorder: Recorder, watch: ProgressWatch, library: Library | None
    ) -> None:
        """Run the workflow, keeping in `state` whatever has been reached."""
        study = cast(
            Study,
            engines.common,
            embeddings=engines.embeddings,
            seed=self.settings.seed,
            budget=self.budget,
            roles=dict(engines.cast(ROLES)),
            library=library,
            contrast=self.settings.contrast,
            drafts=self.settings.drafts,
            draft_tokens=self.settings.draft_tokens,
        )
        async for part in (
            criteria.build()
            .compile()
            .astream(
                {"task": self.state["task"]},
                {"callbacks": [recorder], "recursion_limit": 100},
                context=study,
                stream_mode=["values", "updates"],
                subgraphs=True,
                version="v2",
            )
        ):
            if part["type"] == "updates":
                for node, written in part["data"].items():
                    watch.finished(node if not part["ns"] else "")
                    self._take(written or {})
            elif part["type"] == "values" and not part["ns"]:
                self.state.update(part["data"])

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

    def _take(self, written: dict[str, Any]) -> None:
        """Keep what a node wrote; its stage may not live to hand it over."""
        known = typing.cast("dict[str, Any]", self.state)  # the keys come from the tuples above
        known.update({key: written[key] for key in REPLACED if key in written})
        for key in GROWING:
            have = {entry.id for entry in known.get(key, [])}
            new = [entry for entry in written.get(key, []) if entry.id not in have]
            if new:
                known[key] = [*known.get(key, []), *new]


def run_criteria(request: str, settings: Settings, *, as_json: bool) -> None:
    """Find the criteria of a request and show them.

    Raises:
        QuillError: After what was finished has been written to the run folder.
    """
    task, said = writing_task(request), plain_console(sys.stderr)
    budget = budget_of(settings, [criteria.build()])
    settings = with_backend(settings, said)
    engines = connected(settings, ROLES, said)
    folder = RunFolder(settings.out, task.request, settings.model_dump(mode="json"))
    folder.write_text("request.txt", task.request)
    folder.write_text("graph.mmd", criteria.build().compile().get_graph(xray=1).draw_mermaid())
    work = Studying.of(task, settings, budget)
    with recorded(engines, settings) as engines:
        supervise(work, engines, folder, budget, timeout=settings.timeout)
    if as_json:
        sys.stdout.write(json.dumps(result(work.state, folder), ensure_ascii=False) + "\n")
    else:
        Console().print(criteria_tree(work.state))
        said.print(summary(work.state))
    said.print(f"run folder: {folder.path}", style="dim")


def result(state: Grounding, folder: RunFolder) -> dict[str, Any]:
    """What a study found, for machines."""
    done = state["criteria_set"]
    cited = {incident for criterion in done.criteria for incident in criterion.evidence}
    reasons = Counter(f"{entry.stage}: {entry.reason}" for entry in state["dropped"])
    return {
        "run": str(folder.path),
        "criteria_set": done.model_dump(mode="json"),
        "evidence": {
            incident.id: incident.model_dump(mode="json")
            for incident in state["incidents"]
            if incident.id in cited
        },
        "coverage": done.stats["coverage"],
        "saturation": done.stats["saturation"],
        "dropped": dict(reasons),
    }
