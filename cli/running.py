"""The work of `quillgraph run`: entries side by side, each kept as soon as it is done."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from quillgraph.backends import Budget, CallRecord, Recorder
from quillgraph.backends.errors import BudgetReached, StorageError
from quillgraph.cli.display import counted
from quillgraph.cli.engines import Engines
from quillgraph.cli.inputs import Entry, Inputs
from quillgraph.cli.progress import Watch
from quillgraph.cli.run_folder import RunFolder
from quillgraph.cli.settings import Settings
from quillgraph.graphs.durable import EPISODES, Durable, durable
from quillgraph.graphs.ensemble import Ensemble, context_for
from quillgraph.graphs.episode import Episode
from quillgraph.graphs.running import run_graph
from quillgraph.graphs.starting import Graph, builder_of

AT_ONCE = 16
"""Entries that are run side by side; how many calls an engine takes at a time is its own matter."""

FAILURES = "failures.jsonl"

MEASURES = {"drafts", "draft_tokens", "rounds", "text_tokens", "samples"}
"""Settings that a graph's context may ask for by name."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An entry that gave no episode, and why."""

    number: int
    reason: str
    error: Exception | None = None


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
    earlier: dict[str, list[CallRecord]]
    """Calls of earlier processes for entries that have no episode yet, by number."""
    failures: list[Failure] = field(default_factory=list)

    @property
    def stages(self) -> Mapping[str, str]:
        """A graph of which nothing is known has one."""
        number = counted(len(self.inputs.entries), "request")
        return {"start": "starting the model", "run": f"running {number}"}

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Run what has no episode yet, so many at once; one that fails does not stop the others.

        Raises:
            BudgetReached: After what is in flight has come to its end.
        """
        ensemble = Ensemble(
            model=engines.common,
            embeddings=engines.embeddings,
            roles=engines.roles,
            seed=self.settings.seed,
            budget=self.budget,
            measures=self.settings.model_dump(include=MEASURES),
        )
        context = context_for(builder_of(self.graph).context_schema, ensemble)
        waiting = iter([each for each in self.inputs.entries if each.number not in self.episodes])
        with durable(self.graph, self.folder) as kept:
            workers = [self._work(waiting, kept, context, recorder) for _ in range(AT_ONCE)]
            await asyncio.gather(*workers)
        watch.finished("run")
        errors = [each.error for each in self.failures if each.error]
        for error in errors:
            if isinstance(error, BudgetReached) or not self.episodes:
                raise error

    async def _work(
        self, waiting: Iterator[Entry], kept: Durable, context: Any, recorder: Recorder
    ) -> None:
        for entry in waiting:
            try:
                done = await self._one(entry, kept, context, recorder)
            except Exception as error:
                told = f"{type(error).__name__}: {error}"
                self.failures.append(Failure(entry.number, told, error))
                if isinstance(error, BudgetReached):
                    return
            else:
                self._add(entry.number, done)
                kept.forget(str(entry.number))

    async def _one(self, entry: Entry, kept: Durable, context: Any, recorder: Recorder) -> Episode:
        name = str(entry.number)
        start = dict(entry.start)
        task = start.pop("task", None) or json.dumps(to_jsonable_python(start, fallback=repr))

        with Recorder(None, name, recorder.add, self.earlier.get(name, ())) as own:
            episode = await run_graph(
                kept.thread(name, [own]), task, start=start, context=context, episode_id=name
            )
        return episode.model_copy(update={"calls": ()})  # they are in calls.jsonl, by its id

    def _add(self, number: int, episode: Episode) -> None:
        self.episodes[number] = episode
        try:
            with (self.folder / EPISODES).open("a", encoding="utf-8") as file:
                file.write(episode.model_dump_json() + "\n")
        except OSError as error:
            raise StorageError(f"cannot write {self.folder / EPISODES}: {error.strerror}") from error

    def keep(self, folder: RunFolder) -> None:
        """Write what failed; episodes are written as they are finished."""
        for each in self.inputs.unreadable:
            self.failures.append(Failure(each.number, each.reason))
        lines = (
            json.dumps({"number": each.number, "reason": each.reason}, ensure_ascii=False) + "\n"
            for each in sorted(self.failures, key=lambda each: each.number)
        )
        folder.write_text(FAILURES, "".join(lines))

    def reached(self) -> str:
        """Say how many are done."""
        number = counted(len(self.inputs.entries), "request")
        return f"reached: {len(self.episodes)} of {number}"
