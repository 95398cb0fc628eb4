"""`quillgraph write`: criteria, a draft, controlled revisions, and a memory."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from quillgraph.agents.domain import CriteriaSet, WritingTask
from quillgraph.agents.requests import writing_task
from quillgraph.agents.text import amount
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.errors import BudgetReached
from quillgraph.cli.commands.criteria import STUDY_STAGES, StudyWork
from quillgraph.cli.commands.library import library_file
from quillgraph.cli.display.episode import attempts_tree, outcome, overview, recalled_lessons
from quillgraph.cli.display.items import write_json
from quillgraph.cli.display.study import criteria_tree
from quillgraph.cli.session.engines import budget_of, connected, recorded_run, with_backend
from quillgraph.cli.session.progress import announce, plain_console, watch_on
from quillgraph.cli.session.settings import Settings
from quillgraph.graphs.episodes import Graph, WrittenEpisode, cast
from quillgraph.graphs.memory import MEMORY
from quillgraph.graphs.prebuilt import (
    WRITING_ROLES,
    Workshop,
    WritingRun,
    opened_memory,
    reflection,
)
from quillgraph.graphs.prebuilt import judge as judging
from quillgraph.graphs.study import ROLES, opened_library, workflow
from quillgraph.graphs.supervision import Engines, RunFolder, Watch, mermaid_of, supervise

LOOP_STAGES = {
    "recall": "recalling lessons",
    "draft": "writing a first draft",
    "decide": "judging",
    "close": "reflecting and revising",
}
"""Nodes of the loop in order, and what is going on until each is done."""


@dataclass(slots=True)
class WritingWork:
    """Writes a text: finds criteria if none are given, then runs the loop."""

    task: WritingTask
    settings: Settings
    budget: Budget
    criteria_set: CriteriaSet | None
    study: StudyWork | None
    """The search for criteria; None where the command line names some."""
    loop: WritingRun | None = None
    """None until there are criteria."""

    @classmethod
    def of(
        cls, task: WritingTask, settings: Settings, budget: Budget, criteria: CriteriaSet | None
    ) -> "WritingWork":
        """Start from the task, and from criteria if they are given."""
        study = None if criteria else StudyWork.of(task, settings, budget)
        return cls(task, settings, budget, criteria, study)

    @property
    def stages(self) -> Mapping[str, str]:
        """The stages of the study, if one runs, and of the loop."""
        start = STUDY_STAGES if self.study else {"start": STUDY_STAGES["start"]}
        return {**start, **LOOP_STAGES}

    @property
    def episode(self) -> WrittenEpisode | None:
        """The finished episode, or the partial one of a run that ended early."""
        return self.loop.episode if self.loop else None

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Find the criteria, then run the loop.

        Raises:
            BudgetReached: When a budget is spent; the best text so far is kept.
        """
        settings = self.settings
        # opened first: a faulty memory file must not cost a finished study
        async with (
            opened_memory(_memory_file(settings), engines.embeddings) as memory,
            opened_library(library_file(settings), engines.embeddings) as library,
        ):
            if self.study:
                await self.study.find(engines, recorder, watch, library)
                self.criteria_set = self.study.state["criteria_set"]
            assert self.criteria_set is not None
            workshop = cast(
                Workshop,
                engines.common,
                seed=settings.seed,
                budget=self.budget,
                roles=dict(engines.cast(WRITING_ROLES)),
                judges=engines.judges,
                memory=memory,
                library=library,
                rounds=settings.rounds,
                text_tokens=settings.text_tokens,
                samples=settings.samples,
            )
            self.loop = WritingRun(self.task, self.criteria_set)
            await self.loop.run(workshop, recorder, watch.finished)
        assert self.episode is not None
        if not self.episode.is_complete:
            raise BudgetReached(f"{self.episode.stopped}; the best text so far is kept")

    def keep(self, folder: RunFolder) -> None:
        """Write the study, each attempt with its judgement, and the episode."""
        if self.study:
            self.study.keep(folder)
        elif self.criteria_set:
            folder.write_json("criteria.json", self.criteria_set)
        if self.episode:
            attempts = self.episode.attempts
            folder.write_lines("attempts.jsonl", attempts)
            folder.write_lines("judgements.jsonl", [each.judgement for each in attempts])
            folder.write_json("episode.json", self.episode)
            folder.write_text("text.txt", self.episode.text + "\n")

    def reached(self) -> str:
        """Say how many texts there are, or how far the study got."""
        if self.episode:
            return f"reached: {amount(len(self.episode.attempts), 'text')}"
        return self.study.reached() if self.study else "reached: nothing yet"


def run_write(
    request: str,
    settings: Settings,
    criteria_set: CriteriaSet | None,
    *,
    as_json: bool,
    verbose: bool = False,
) -> None:
    """Write a text for a request and show it; `--verbose` shows how it came about.

    Raises:
        QuillError: When the run fails; finished work is already in the run folder.
    """
    task, console = writing_task(request), plain_console(sys.stderr)
    graphs: list[Graph] = [workflow.build(), reflection.build()]
    budget = budget_of(settings, [*graphs, judging.build()])
    if criteria_set and criteria_set.request_hash != task.request_hash:
        console.print("note: these criteria were made for another request", style="yellow")
    settings = with_backend(settings, console)
    engines = connected(settings, (*ROLES, *WRITING_ROLES), console)
    folder = RunFolder(settings.out, task.request, settings.model_dump(mode="json"))
    folder.write_text("request.txt", task.request)
    folder.write_text("graph.mmd", "\n".join(map(mermaid_of, graphs)))
    if settings.memory is None and (settings.record or engines.is_replay):
        # lessons of earlier runs would make each repetition a different run
        settings = settings.model_copy(update={"memory": folder.path / "memory.sqlite"})
    work = WritingWork.of(task, settings, budget, criteria_set)
    try:
        with recorded_run(settings, engines) as engines:
            supervise(work, engines, folder, budget, timeout=settings.timeout, watching=watch_on)
    finally:
        if work.episode:
            _show(work, work.episode, folder, as_json=as_json, verbose=verbose)
        announce(folder.path, console)


def _show(
    work: WritingWork, episode: WrittenEpisode, folder: RunFolder, *, as_json: bool, verbose: bool
) -> None:
    if as_json:
        write_json({"run": str(folder.path), "episode": episode.model_dump(mode="json")})
        return
    console = Console()
    if not verbose:
        console.print(overview(episode))
        console.print(f"in full: --verbose, or quillgraph report {folder.path}", style="dim")
        return
    if work.study:
        console.print(criteria_tree(work.study.state))
    console.print(recalled_lessons(episode), attempts_tree(episode), sep="\n")
    console.print(outcome(episode))


def _memory_file(settings: Settings) -> Path | None:
    """Path of the memory file that a run uses; None if it uses none."""
    return None if settings.no_memory else settings.memory or MEMORY.default_path()
