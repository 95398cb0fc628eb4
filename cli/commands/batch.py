"""The work of `quillgraph run`: entries side by side, each kept as soon as it is done."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from quillgraph.backends import Budget, Recorder
from quillgraph.backends.calls import JsonLines
from quillgraph.backends.errors import BackendError, BudgetReached, QuillError
from quillgraph.cli.display.study import counted
from quillgraph.cli.session.engines import Engines
from quillgraph.cli.session.folder import RunFolder
from quillgraph.cli.session.inputs import InputEntry, Inputs
from quillgraph.cli.session.progress import ProgressWatch
from quillgraph.cli.session.settings import Settings
from quillgraph.graphs.episodes import (
    EPISODES,
    Answer,
    Ensemble,
    Episode,
    Graph,
    Resuming,
    context_for,
    durable,
    episode_source,
    run_graph,
    schema_of,
)

AT_ONCE = 16
"""Entries that are run side by side; how many calls an engine takes at a time is its own matter."""

FAILURES = "failures.jsonl"

MEASURES = {"drafts", "draft_tokens", "rounds", "text_tokens", "samples"}
"""Settings that a graph's context may ask for by name."""

ERRORS: Mapping[str, type[QuillError]] = {"budget": BudgetReached, "backend": BackendError}
"""By the kind of failure: as what error it ends a run that has come to nothing."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """An entry that gave no episode, and why."""

    number: int
    kind: str
    reason: str


@dataclass(slots=True)
class Running:
    """The work of running a graph on all that is given."""

    graph: Graph
    inputs: Inputs
    settings: Settings
    folder: Path
    budget: Budget
    episodes: dict[int, Episode]
    """By the number of the entry; those of earlier processes among them."""
    answer: Answer | None = None
    excluded: list[Excluded] = field(default_factory=list)

    @property
    def stages(self) -> Mapping[str, str]:
        """A graph of which nothing is known has one."""
        return {"start": "starting the model", "run": f"running {self._number(len(self.waiting))}"}

    @property
    def waiting(self) -> list[InputEntry]:
        """What has no episode yet."""
        return [entry for entry in self.inputs.entries if entry.number not in self.episodes]

    async def run(self, engines: Engines, recorder: Recorder, watch: ProgressWatch) -> None:
        """Run what has no episode yet, so many at once; one that fails does not stop the others.

        Raises:
            BudgetReached: After what was in flight has come to its end.
            QuillError: If nothing has come of any entry.
        """
        ensemble = Ensemble(
            model=engines.common,
            embeddings=engines.embeddings,
            roles=engines.roles,
            judges=engines.judges,
            seed=self.settings.seed,
            measures=self.settings.model_dump(include=MEASURES),
        )
        waiting = iter(self.waiting)
        JsonLines(self.folder / EPISODES).mend()
        with durable(self.graph, self.folder, self.budget) as graph:
            workers = [
                asyncio.ensure_future(self._work(waiting, graph, ensemble, recorder, watch))
                for _ in range(AT_ONCE)
            ]
            try:
                await asyncio.gather(*workers)
            finally:  # one that raised must not close the files under the others
                for each in workers:
                    each.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        watch.finished("run")
        self._judge_the_end()

    async def _work(
        self,
        waiting: Iterator[InputEntry],
        graph: Resuming,
        ensemble: Ensemble,
        recorder: Recorder,
        watch: ProgressWatch,
    ) -> None:
        for entry in waiting:
            episode = await self._one(entry, graph, ensemble, recorder)
            if episode.failure is None:
                self._add(entry.number, episode)
                graph.forget(str(entry.number))
                watch.reached(self._far())
                continue
            failed = episode.failure
            where = f"in node {failed.node}: " if failed.node else ""
            self.excluded.append(Excluded(entry.number, failed.kind, f"{where}{failed.reason}"))
            watch.reached(self._far())
            if failed.kind == "budget":
                return

    async def _one(
        self, entry: InputEntry, graph: Resuming, ensemble: Ensemble, recorder: Recorder
    ) -> Episode:
        name, schema = str(entry.number), schema_of(graph, "context_schema")
        # a budget of its own for each entry: some graphs ask theirs what a text has cost
        context = context_for(schema, replace(ensemble, budget=Budget()))
        source = episode_source(graph, context=context, answer=self.answer)
        task, rest = entry.start.task, entry.start.rest
        return await run_graph(source, task, start=rest, episode_id=name, record=recorder)

    def _add(self, number: int, episode: Episode) -> None:
        """Keep an episode; its calls are in calls.jsonl, under its id."""
        self.episodes[number] = episode.model_copy(update={"calls": ()})
        JsonLines(self.folder / EPISODES).append(self.episodes[number].model_dump_json())

    def _judge_the_end(self) -> None:
        for each in self.excluded:
            if each.kind == "budget" or not self.episodes:
                kind = ERRORS.get(each.kind, QuillError)
                raise kind(f"{self._place(each)}{each.reason}")

    def _place(self, each: Excluded) -> str:
        return f"line {each.number}: " if self.inputs.is_batch else ""

    def _number(self, entries: int) -> str:
        return counted(entries, "request")

    def keep(self, folder: RunFolder) -> None:
        """Write what gave no episode; episodes are written as they are finished."""
        unreadable = (Excluded(e.number, "input", e.reason) for e in self.inputs.unreadable)
        self.excluded = sorted([*self.excluded, *unreadable], key=lambda each: each.number)
        lines = (json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in self.excluded)
        folder.write_text(FAILURES, "".join(lines))

    def reached(self) -> str:
        """Say how many are done."""
        return f"reached: {len(self.episodes)} of {self._number(len(self.inputs.entries))}"

    def _far(self) -> str:
        lost = f", {len(self.excluded)} without an episode" if self.excluded else ""
        return f"{len(self.episodes)} done{lost}"
