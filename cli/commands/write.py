"""`quillgraph write`: criteria, a draft, and revisions under control, with a memory."""

import json
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.memory import Lesson
from quillgraph.agents.requests import writing_task
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.errors import BudgetReached
from quillgraph.cli.commands.criteria import STAGES as STUDY_STAGES
from quillgraph.cli.commands.criteria import Studying
from quillgraph.cli.commands.library import library_of
from quillgraph.cli.display.episode import attempts_told, outcome, overview, recalled_told
from quillgraph.cli.display.study import counted, criteria_tree
from quillgraph.cli.session.budget import budget_of
from quillgraph.cli.session.engines import Engines, connected, recorded, with_backend
from quillgraph.cli.session.folder import RunFolder
from quillgraph.cli.session.progress import ProgressWatch, plain_console
from quillgraph.cli.session.settings import Settings
from quillgraph.cli.session.supervisor import supervise
from quillgraph.graphs.episodes import Attempt, WrittenEpisode
from quillgraph.graphs.memory import Memory
from quillgraph.graphs.prebuilt import WRITING_ROLES, Assignment, Workshop, reflection
from quillgraph.graphs.prebuilt import judge as judging
from quillgraph.graphs.study import ROLES
from quillgraph.graphs.study import workflow as criteria

LOOP_STAGES = {
    "recall": "recalling lessons",
    "draft": "writing a first draft",
    "decide": "judging",
    "close": "reflecting and revising",
}
"""Nodes of the loop in order, and what is going on until each is done."""


@dataclass(slots=True)
class Writing:
    """The work of writing a text: the criteria if there are none yet, then the loop."""

    task: WritingTask
    settings: Settings
    budget: Budget
    criteria_set: CriteriaSet | None
    study: Studying | None
    """The search for criteria; None where they were given."""
    so_far: WrittenEpisode | None = None
    """The finished episode, or what one that was ended early has come to."""
    lessons: tuple[Lesson, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    @classmethod
    def of(
        cls, task: WritingTask, settings: Settings, budget: Budget, given: CriteriaSet | None
    ) -> "Writing":
        """Begin with the task, and with criteria if some were given."""
        study = None if given else Studying.of(task, settings, budget)
        return cls(task, settings, budget, given, study)

    @property
    def stages(self) -> Mapping[str, str]:
        """Those of the study, if there is one, and those of the loop."""
        start = STUDY_STAGES if self.study else {"start": STUDY_STAGES["start"]}
        return {**start, **LOOP_STAGES}

    async def run(self, engines: Engines, recorder: Recorder, watch: ProgressWatch) -> None:
        """Find the criteria, then run the loop.

        Raises:
            BudgetReached: After the best text so far has been taken note of.
        """
        settings = self.settings
        remembers = not settings.no_memory
        # opened first: what is wrong with it must not cost the study
        async with (
            Memory.open(settings.memory, engines.embeddings)
            if remembers
            else nullcontext() as memory,
            library_of(settings, engines) as library,
        ):
            if self.study:
                await self.study.find(engines, recorder, watch, library)
                self.criteria_set = self.study.state["criteria_set"]
            workshop = Workshop.of(
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
            await self._loop(workshop, recorder, watch)
        assert self.so_far is not None
        if not self.so_far.is_complete:
            raise BudgetReached(f"{self.so_far.stopped}; the best text so far is kept")

    async def _loop(self, workshop: Workshop, recorder: Recorder, watch: ProgressWatch) -> None:
        assert self.criteria_set is not None
        async for part in (
            reflection.build()
            .compile()
            .astream(
                Assignment(task=self.task, criteria_set=self.criteria_set),
                {"callbacks": [recorder], "recursion_limit": 20 + 8 * workshop.rounds},
                context=workshop,
                stream_mode=["updates"],
                version="v2",
            )
        ):
            if part["type"] == "updates":
                for node, written in part["data"].items():
                    watch.finished(node)
                    self._take(written or {})

    def _take(self, written: dict[str, Any]) -> None:
        self.lessons = written.get("lessons", self.lessons)
        self.dropped += tuple(written.get("dropped", ()))
        if "attempts" in written:
            self.so_far = self._unfinished(written["attempts"], written["best"])
        self.so_far = written.get("episode", self.so_far)

    def _unfinished(self, new: list[Attempt], best: int) -> WrittenEpisode:
        """What the episode is if it ends here and now."""
        assert self.criteria_set is not None
        return WrittenEpisode(
            task=self.task,
            criteria_set=self.criteria_set,
            lessons=self.lessons,
            attempts=(*(self.so_far.attempts if self.so_far else ()), *new),
            best=best,
            stopped="the run ended before the loop did",
            is_complete=False,
            dropped=self.dropped,
        )

    def keep(self, folder: RunFolder) -> None:
        """Write the study, each attempt with its judgement, and the episode."""
        if self.study:
            self.study.keep(folder)
        elif self.criteria_set:
            folder.write_json("criteria.json", self.criteria_set)
        if self.so_far:
            attempts = self.so_far.attempts
            folder.write_lines("attempts.jsonl", attempts)
            folder.write_lines("judgements.jsonl", [each.judgement for each in attempts])
            folder.write_json("episode.json", self.so_far)
            folder.write_text("text.txt", self.so_far.text + "\n")

    def reached(self) -> str:
        """Say how many texts there are, or how far the criteria came."""
        if self.so_far:
            return f"reached: {counted(len(self.so_far.attempts), 'text')}"
        return self.study.reached() if self.study else "reached: nothing yet"


def run_write(
    request: str,
    settings: Settings,
    criteria_set: CriteriaSet | None,
    *,
    as_json: bool,
    verbose: bool = False,
) -> None:
    """Write a text for a request and show it, and how it came about as far as is asked.

    Raises:
        QuillError: After what was finished has been written to the run folder.
    """
    task, said = writing_task(request), plain_console(sys.stderr)
    budget = budget_of(settings, [criteria.build(), reflection.build(), judging.build()])
    if criteria_set and criteria_set.request_hash != task.request_hash:
        said.print("note: these criteria were made for another request", style="yellow")
    settings = with_backend(settings, said)
    engines = connected(settings, (*ROLES, *WRITING_ROLES), said)
    folder = RunFolder(settings.out, task.request, settings.model_dump(mode="json"))
    folder.write_text("request.txt", task.request)
    folder.write_text("graph.mmd", _drawn())
    if settings.memory is None and (settings.record or engines.is_replay):
        # what earlier runs have left would make each repetition another run
        settings = settings.model_copy(update={"memory": folder.path / "memory.sqlite"})
    work = Writing.of(task, settings, budget, criteria_set)
    try:
        with recorded(engines, settings) as engines:
            supervise(work, engines, folder, budget, timeout=settings.timeout)
    finally:
        if work.so_far:
            _show(work, folder, as_json=as_json, verbose=verbose)
        said.print(f"run folder: {folder.path}", style="dim")


def _show(work: Writing, folder: RunFolder, *, as_json: bool, verbose: bool) -> None:
    assert work.so_far is not None
    if as_json:
        shown = {"run": str(folder.path), "episode": work.so_far.model_dump(mode="json")}
        sys.stdout.write(json.dumps(shown, ensure_ascii=False) + "\n")
        return
    console = Console()
    if not verbose:
        console.print(overview(work.so_far))
        console.print(f"in full: --verbose, or quillgraph report {folder.path}", style="dim")
        return
    if work.study:
        console.print(criteria_tree(work.study.state))
    console.print(recalled_told(work.so_far), attempts_told(work.so_far), sep="\n")
    console.print(outcome(work.so_far))


def _drawn() -> str:
    graphs = (criteria.build().compile(), reflection.build().compile())
    return "\n".join(graph.get_graph(xray=1).draw_mermaid() for graph in graphs)
