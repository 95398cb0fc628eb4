"""The work of `quillgraph run`: a graph on all that the command line names."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from quillgraph.agents.text import amount
from quillgraph.backends import Recorder
from quillgraph.cli.session.settings import Settings
from quillgraph.graphs.episodes import Batch, Excluded, cast, fitting
from quillgraph.graphs.supervision import Engines, Inputs, RunFolder, Watch

FAILURES = "failures.jsonl"

MEASURES = {"drafts", "draft_tokens", "rounds", "text_tokens", "samples"}
"""Settings that a graph's context may ask for by name."""


@dataclass(slots=True)
class BatchWork:
    """The work of running a graph on all inputs."""

    batch: Batch
    inputs: Inputs
    settings: Settings

    @property
    def stages(self) -> Mapping[str, str]:
        """A graph of which nothing is known has one."""
        waiting = amount(len(self.batch.waiting), "request")
        return {"start": "starting the model", "run": f"running {waiting}"}

    @property
    def excluded(self) -> list[Excluded]:
        """What gave no episode, by its place."""
        return sorted([*self.batch.excluded, *self.inputs.unreadable], key=lambda each: each.number)

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Run what has no episode yet; one that fails does not stop the others.

        Raises:
            BudgetReached: After what was in flight has come to its end.
            QuillError: If nothing has come of any entry.
        """

        def context(schema: Any) -> Any:
            return cast(
                schema,
                engines.common,
                roles=engines.roles,
                judges=engines.judges,
                embeddings=engines.embeddings,
                seed=self.settings.seed,
                **fitting(schema, self.settings.model_dump(include=MEASURES)),
            )

        await self.batch.run(context, recorder, lambda: watch.reached(self._far()))
        watch.finished("run")

    def keep(self, folder: RunFolder) -> None:
        """Write what gave no episode; episodes are written as they are finished."""
        folder.write_rows(FAILURES, map(asdict, self.excluded))

    def reached(self) -> str:
        """Say how many are done."""
        many = amount(len(self.inputs.entries), "request")
        return f"reached: {len(self.batch.episodes)} of {many}"

    def _far(self) -> str:
        lost = len(self.batch.excluded)
        return f"{len(self.batch.episodes)} done" + (f", {lost} without an episode" if lost else "")
