"""The work of `quillgraph eval criteria`: sources of criteria side by side, each result kept."""

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from quillgraph.agents.domain import Value
from quillgraph.agents.grounded_theory import Pair, agreed, ask_sameness
from quillgraph.agents.judges import PromptedJudge
from quillgraph.agents.role import Role
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.errors import BackendError, InputError
from quillgraph.cli.display.criteria import markdown
from quillgraph.cli.display.study import counted
from quillgraph.cli.session.engines import Engines
from quillgraph.cli.session.folder import RunFolder
from quillgraph.cli.session.progress import ProgressWatch
from quillgraph.cli.session.settings import Settings
from quillgraph.evals import load
from quillgraph.evals.criteria import (
    ONE_SHOT,
    OURS,
    CriteriaComparison,
    CriteriaReport,
    CriteriaSource,
    Results,
    criteria_report,
    files_for,
    generic_source,
    human_source,
    one_shot_source,
    study_source,
)
from quillgraph.evals.data import Cases, cases_of
from quillgraph.evals.measures import Confirm, Wording
from quillgraph.graphs import cast
from quillgraph.graphs.study import ROLES, Study, stages_left_out

OTHER_SEED = 1_000_003
"""Added to the seed for each further run."""


class Asked(Value):
    """What the command line wants to know; kept with the run, so that it can go on."""

    data: tuple[Path, ...]
    data_format: str | None
    without: tuple[str, ...]
    runs: int
    limit: int | None
    data_sha: tuple[str, ...] = ()
    """Of the files as they were when the run began."""

    def checked(self) -> "Asked":
        """The same with the hashes of its files.

        Raises:
            InputError: If there is no file or a number makes no sense.
            ConfigError: If a study cannot do without a stage.
        """
        if not self.data:
            raise InputError("expected --data FILE with requests or judged texts, got none")
        for name, number in (("--runs", self.runs), ("--limit", self.limit)):
            if number is not None and number < 1:
                raise InputError(f"expected {name} of 1 or more, got {number}")
        stages_left_out(self.without)
        files = tuple(path.resolve() for path in self.data)
        return self.model_copy(update={"data": files, "data_sha": tuple(map(_sha, files))})

    def read(self, seed: int) -> Cases:
        """The requests that are used: all, or as many as the limit allows, drawn by the seed.

        Raises:
            InputError: If a file cannot be read, or is another than when the run began.
        """
        for path, sha in zip(self.data, self.data_sha, strict=True):
            if _sha(path) != sha:
                raise InputError(f"{path} has changed since the run began; start a new one")
        found = cases_of([load(path, format=self.data_format) for path in self.data])
        if self.limit is None:
            return found
        drawn = list(found.cases)
        random.Random(seed).shuffle(drawn)
        return found.model_copy(update={"cases": tuple(drawn[: self.limit])})


@dataclass
class Comparing:
    """The work of comparing sources of criteria."""

    asked: Asked
    settings: Settings
    cases: Cases
    folder: Path
    budget: Budget
    report: CriteriaReport | None = None

    @cached_property
    def results(self) -> Results:
        """What has been found, in the run's folder."""
        return Results.within(self.folder)

    @property
    def stages(self) -> Mapping[str, str]:
        """All sources of a request are worked on together."""
        return {
            "start": "starting the model",
            "compare": f"comparing criteria for {counted(len(self.cases.cases), 'request')}",
            "measure": "measuring",
        }

    async def run(self, engines: Engines, recorder: Recorder, watch: ProgressWatch) -> None:
        """Find, match and judge, then measure."""
        sources = self._sources(engines)
        model = engines.roles.get("judge", engines.common)
        role = Role("judge", model, self.settings.seed, self.budget)
        has_judge = "judge" in engines.roles
        judge = engines.judges.get("judge") or PromptedJudge((role,), self.settings.samples)
        has_texts = any(case.texts for case in self.cases.cases)
        work = CriteriaComparison(
            sources,
            engines.embeddings,
            self.results,
            judge=judge if has_texts else None,
            confirm=confirmed_by(role) if has_judge else None,
            runs=self.asked.runs,
            listeners=(recorder,),
        )
        await work.run(self.cases.cases)
        self._refuse_nothing()
        watch.finished("compare")
        self.report = await criteria_report(
            self.cases.cases,
            [source.name for source in sources],
            self.results,
            engines.embeddings,
            runs=self.asked.runs,
            seed=self.settings.seed,
            excluded=self.cases.excluded,
            data=", ".join(path.name for path in self.asked.data),
            model=str(getattr(engines.common, "model", self.settings.backend)),
            judge=judge.name if has_texts else None,
            confirmed=has_judge,
            placed_by=self.settings.embeddings,
        )
        watch.finished("measure")

    def _refuse_nothing(self) -> None:
        """A model that answered for no request at all has not been measured.

        Raises:
            BackendError: With what went wrong first.
        """
        elicited = self.results.elicited.rows.values()
        rows = [row for row in elicited if row.source in (OURS, ONE_SHOT)]
        if not any(row.found for row in rows):
            raise BackendError(f"there are no criteria for any request; first: {rows[0].reason}")

    def keep(self, folder: RunFolder) -> None:
        """Write the report, if it came to one; results are written as they are found."""
        if self.report is None:
            return
        folder.write_json("report.json", self.report)
        folder.write_text("report.md", markdown(self.report))
        files = files_for(self.cases, list(self.report.sources), self.results)
        for name, rows in files.items():
            (folder.path / name).parent.mkdir(exist_ok=True)
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            folder.write_text(name, "".join(lines))

    def reached(self) -> str:
        """Say how much has been found."""
        elicited, scored = len(self.results.elicited.rows), len(self.results.scored.rows)
        return f"reached: {elicited} sets of criteria and {scored} scores"

    def _sources(self, engines: Engines) -> list[CriteriaSource]:
        """The columns of the table: ours, ours without each stage, the baselines, people."""
        seeds = [self.settings.seed + run * OTHER_SEED for run in range(self.asked.runs)]
        studies = [self._study(engines, seed) for seed in seeds]
        prompts = [Role("one_shot", engines.common, seed, self.budget) for seed in seeds]
        people = [human_source()] if any(c.request.criteria for c in self.cases.cases) else []
        return [
            study_source(studies),
            *(study_source(studies, [stage]) for stage in dict.fromkeys(self.asked.without)),
            one_shot_source(prompts),
            generic_source(),
            *people,
        ]

    def _study(self, engines: Engines, seed: int) -> Study:
        return cast(
            Study,
            engines.common,
            embeddings=engines.embeddings,
            seed=seed,
            budget=self.budget,
            roles=dict(engines.cast(ROLES)),
            contrast=self.settings.contrast,
            drafts=self.settings.drafts,
            draft_tokens=self.settings.draft_tokens,
        )


def confirmed_by(role: Role) -> Confirm:
    """Have a judge say whether two criteria are the same."""

    async def confirm(automatic: Wording, human: Wording) -> bool | None:
        said = {"a": (automatic.name, automatic.description), "h": (human.name, human.description)}
        try:
            answers = await ask_sameness([Pair("p1", "a", "h")], said, role, "matching")
        except BackendError:
            return None
        return bool(agreed(answers)) if answers.items else None

    return confirm


def _sha(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
