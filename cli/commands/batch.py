"""The work of `quillgraph run`: one graph on every input of the command line."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from quillgraph.agents.text import amount
from quillgraph.backends import Recorder
from quillgraph.cli.session.settings import Settings
from quillgraph.graphs.episodes import Batch, Excluded, cast, fitting
from quillgraph.graphs.supervision import FAILURES, Engines, Inputs, RunFolder, Watch

MEASURES = {"drafts", "draft_tokens", "rounds", "text_tokens", "samples"}
"""Settings that a graph's context may ask for by name."""


@dataclass(slots=True)
class BatchWork:
    """Runs a graph on all inputs."""

    batch: Batch
    inputs: Inputs
    settings: Settings

    @property
    def stages(self) -> Mapping[str, str]:
        """The whole graph is one stage: its own stages are unknown here."""
        waiting = amount(len(self.batch.waiting), "request")
        return {"start": "starting the model", "run": f"running {waiting}"}

    @property
    def excluded(self) -> list[Excluded]:
        """Inputs without an episode, by position."""
        return sorted([*self.batch.excluded, *self.inputs.unreadable], key=lambda each: each.number)

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Run each input that has no episode yet; a failure does not stop the others.

        Raises:
            BudgetReached: When a budget is spent and the episodes in flight have ended.
            QuillError: If no input gave an episode.
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
        """Write the inputs without an episode; each episode is written when it ends."""
        folder.write_rows(FAILURES, map(asdict, self.excluded))

    def reached(self) -> str:
        """Say how many episodes have ended."""
        many = amount(len(self.inputs.entries), "request")
        return f"reached: {len(self.batch.episodes)} of {many}"

    def _far(self) -> str:
        lost = len(self.batch.excluded)
        return f"{len(self.batch.episodes)} done" + (f", {lost} without an episode" if lost else "")
