"""`quillgraph run`: any graph on a request, a state or a file of them, and on again after a stop."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quillgraph.agents.domain import CriteriaSet
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.errors import BudgetReached, ConfigError, InputError, QuillError
from quillgraph.cli.display import counted
from quillgraph.cli.engines import Engines, connected, with_backend
from quillgraph.cli.inputs import Entry, Unreadable, read_inputs
from quillgraph.cli.progress import Watch, plain_console
from quillgraph.cli.run_folder import RunFolder
from quillgraph.cli.settings import Settings
from quillgraph.cli.supervising import supervise
from quillgraph.graphs import registry
from quillgraph.graphs.casting import Ensemble, cast, roles_of
from quillgraph.graphs.durable import Durable, compiled, durable
from quillgraph.graphs.starting import Graph, builder_of

AT_ONCE = 16
"""Entries that are run side by side; how many calls an engine takes at a time is its own matter."""

INPUT, EPISODES, FAILURES = "input.jsonl", "episodes.jsonl", "failures.jsonl"


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
    entries: list[Entry]
    settings: Settings
    folder: RunFolder
    budget: Budget
    episodes: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By the number of the entry; those of earlier processes among them."""
    failures: list[Failure] = field(default_factory=list)

    @property
    def stages(self) -> Mapping[str, str]:
        """A graph of which nothing is known has one."""
        return {"start": "starting the model", "run": f"running {counted(len(self.entries), 'request')}"}

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Run what has no episode yet, so many at once; one that fails does not stop the others."""
        ensemble = Ensemble(
            model=engines.common,
            embeddings=engines.embeddings,
            roles=engines.roles,
            seed=self.settings.seed,
            budget=self.budget,
            measures=self.settings.model_dump(
                include={"drafts", "draft_tokens", "rounds", "text_tokens", "samples"}
            ),
        )
        context = cast(builder_of(self.graph).context_schema, ensemble)
        waiting = iter([entry for entry in self.entries if entry.number not in self.episodes])
        with durable(self.graph, self.folder.path) as kept:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(self._work(waiting, kept, context, recorder))
        watch.finished("run")

    async def _work(self, waiting: Any, kept: Durable, context: Any, recorder: Recorder) -> None:
        for entry in waiting:
            try:
                done = await self._one(entry, kept, context, recorder)
            except Exception as error:
                self.failures.append(Failure(entry.number, f"{type(error).__name__}: {error}", error))
                if isinstance(error, BudgetReached):
                    return
            else:
                self._keep(entry, done)
                kept.forget(str(entry.number))

    async def _one(self, entry: Entry, kept: Durable, context: Any, recorder: Recorder) -> Any:
        thread = str(entry.number)
        return await kept.graph.ainvoke(
            await kept.begin(thread, entry.start),
            {"callbacks": [recorder], "configurable": {"thread_id": thread}},
            context=context,
            durability="sync",
        )

    def _keep(self, entry: Entry, output: Any) -> None:
        from pydantic_core import to_jsonable_python

        self.episodes[entry.number] = {"number": entry.number, "output": to_jsonable_python(output)}
        with (self.folder.path / EPISODES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.episodes[entry.number], ensure_ascii=False) + "\n")

    def keep(self, folder: RunFolder) -> None:
        """Write what failed; episodes are written as they are finished."""
        folder.write_text(
            FAILURES,
            "".join(
                json.dumps({"number": each.number, "reason": each.reason}, ensure_ascii=False) + "\n"
                for each in sorted(self.failures, key=lambda each: each.number)
            ),
        )

    def reached(self) -> str:
        """Say how many are done."""
        return f"reached: {len(self.episodes)} of {counted(len(self.entries), 'request')}"


def run_run(spec: str, request: str | None, file: Path | None, criteria: CriteriaSet | None, settings: Settings, *, as_json: bool) -> None:
    graph = registry.build(spec)
    compiled(graph)
    said = plain_console(sys.stderr)
    extra = {"criteria_set": criteria} if criteria else {}
    entries, unreadable = read_inputs(graph, request, file, extra)
    settings = with_backend(settings, said)
    engines = connected(settings, roles_of(builder_of(graph).context_schema), said)
    folder = RunFolder(settings.out, spec, settings.model_dump(mode="json"))
    folder.note(graph=spec)
    budget = Budget(settings.max_calls, settings.max_tokens_total)
    work = Running(graph, entries, settings, folder, budget)
    work.failures += [Failure(each.number, each.reason) for each in unreadable]
    supervise(work, engines, folder, timeout=settings.timeout)
    sys.stdout.write(json.dumps(list(work.episodes.values()), ensure_ascii=False)[:3000] + "\n")
