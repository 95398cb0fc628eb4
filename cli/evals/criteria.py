"""`quillgraph eval criteria`: compare automatic criteria with people's and with baselines."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from quillgraph.agents.domain import Value
from quillgraph.agents.text import amount
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.errors import InputError
from quillgraph.cli.display.evals import table_of
from quillgraph.cli.evals.evaluation import (
    INQUIRY,
    Output,
    at_least,
    reopened,
    tell_left_out,
    write_result,
)
from quillgraph.cli.session.engines import budget_of, connected, with_backend
from quillgraph.cli.session.progress import plain_console, watch_on
from quillgraph.cli.session.settings import Settings
from quillgraph.evals import load
from quillgraph.evals.criteria import (
    CriteriaOptions,
    CriteriaReport,
    CriteriaResults,
    Observer,
    caveat,
    compare_criteria,
    comparison_rows,
    comparison_title,
    criteria_exclusions,
    parity_rows,
    plot_criteria,
    sources_markdown,
)
from quillgraph.evals.data import Cases, cases_of
from quillgraph.graphs.study import ROLES, stages_left_out
from quillgraph.graphs.supervision import (
    Engines,
    RunFolder,
    Watch,
    alone_in,
    charge_earlier,
    supervise,
)

PLAYERS = (*ROLES, "judge")
"""The roles that the command line may give another model."""


class CriteriaInquiry(Value):
    """What to compare; stored with the run, so that it can resume."""

    data: tuple[Path, ...] = ()
    data_format: str | None = None
    without: tuple[str, ...] = ()
    runs: int = 1
    limit: int | None = None
    data_sha: tuple[str, ...] = ()
    """Of the files as they were when the run began."""

    def checked(self) -> "CriteriaInquiry":
        """A copy with the hashes of its files.

        Raises:
            InputError: If there is no file or a number makes no sense.
            ConfigError: If a stage that is left out cannot be left out.
        """
        if not self.data:
            raise InputError("expected --data FILE with requests or judged texts, got none")
        at_least(1, runs=self.runs, limit=self.limit)
        stages_left_out(self.without)
        files = tuple(path.resolve() for path in self.data)
        return self.model_copy(update={"data": files, "data_sha": tuple(map(_sha, files))})

    def read(self, seed: int) -> Cases:
        """Read the requests: all, or a seeded sample as large as the limit.

        Raises:
            InputError: If a file cannot be read, or has changed since the run began.
        """
        for path, sha in zip(self.data, self.data_sha, strict=True):
            if _sha(path) != sha:
                raise InputError(f"{path} has changed since the run began; start a new one")
        files = [load(path, format=self.data_format) for path in self.data]
        return cases_of(files, limit=self.limit, seed=seed)


def begin_eval_criteria(inquiry: CriteriaInquiry, settings: Settings, output: Output) -> None:
    """Compare criteria in a new folder, and show the results.

    Raises:
        QuillError: When the run fails; finished work is already in the run folder.
    """
    inquiry, console = inquiry.checked(), plain_console(sys.stderr)
    cases = inquiry.read(settings.seed)
    tell_left_out(console, cases.excluded, cases.skipped)
    settings = with_backend(settings, console)
    engines = connected(settings, PLAYERS, console)
    title = f"eval criteria {inquiry.data[0].name}"
    folder = RunFolder(settings.out, title, settings.model_dump(mode="json"))
    folder.note(**{INQUIRY: inquiry.model_dump(mode="json")})
    with alone_in(folder.path):
        work = CriteriaWork(inquiry, settings, cases, folder.path, budget_of(settings, []))
        _compare(work, engines, folder, output)


def resume_eval_criteria(
    path: Path, others: Mapping[str, Any], limits: Mapping[str, Any], output: Output
) -> None:
    """Resume a comparison that ended early; stored results are not computed again.

    Args:
        path: The run's folder.
        others: Other options of the command line; must be empty, a run resumes unchanged.
        limits: New budgets and time limit.
        output: How to show and write the result.

    Raises:
        ConfigError: If an option is given that a resumed run does not take.
        InputError: If the folder holds no such run, or its data have changed.
    """
    run = reopened(path, CriteriaInquiry, "eval criteria", others=others, limits=limits)
    with run as (folder, inquiry, settings):
        budget = budget_of(settings, [])
        charge_earlier(budget, path)
        work = CriteriaWork(inquiry, settings, inquiry.read(settings.seed), path, budget)
        engines = connected(settings, PLAYERS, plain_console(sys.stderr))
        _compare(work, engines, folder, output)


@dataclass(slots=True)
class CriteriaWork:
    """Compares sources of criteria; each result is stored at once."""

    inquiry: CriteriaInquiry
    settings: Settings
    cases: Cases
    folder: Path
    budget: Budget
    results: CriteriaResults = field(init=False)
    report: CriteriaReport | None = None

    def __post_init__(self) -> None:
        """Load the results of earlier processes."""
        self.results = CriteriaResults.within(self.folder)

    @property
    def stages(self) -> Mapping[str, str]:
        """One stage compares all requests: the sources of a request run together."""
        return {
            "start": "starting the model",
            "compare": f"comparing criteria for {amount(len(self.cases.cases), 'request')}",
            "measure": "measuring",
        }

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Find, match and judge criteria, then measure."""
        measures = self.settings.model_dump(include=set(CriteriaOptions.model_fields))
        options = CriteriaOptions(without=self.inquiry.without, runs=self.inquiry.runs, **measures)
        report = await compare_criteria(
            self.cases,
            engines.common,
            engines.embeddings,
            roles={**engines.cast(PLAYERS), **engines.judges},
            options=options,
            results=self.results,
            budget=self.budget,
            observer=Observer((recorder,), watch.finished),
        )
        self.report = report.model_copy(update={"placed_by": self.settings.embeddings})

    def keep(self, folder: RunFolder) -> None:
        """Write the report, if there is one."""
        if self.report is None:
            return
        folder.write_json("report.json", self.report)
        folder.write_text("report.md", sources_markdown(self.report))
        files = self.results.writingbench_files(self.cases, list(self.report.sources))
        for name, rows in files.items():
            folder.write_rows(name, rows)

    def reached(self) -> str:
        """Say how many results there are."""
        sets, scores = len(self.results.elicited.rows), len(self.results.scored.rows)
        return f"reached: {sets} sets of criteria and {scores} scores"


def _compare(work: CriteriaWork, engines: Engines, folder: RunFolder, output: Output) -> None:
    supervise(work, engines, folder, work.budget, timeout=work.settings.timeout, watching=watch_on)
    assert work.report is not None
    if output.plot:
        plot_criteria(work.report, output.plot)
    if output.as_json:
        write_result(folder, {"report": work.report.model_dump(mode="json")})
    else:
        _print(work.report)
    plain_console(sys.stderr).print(f"run folder: {folder.path}", style="dim")


def _print(report: CriteriaReport) -> None:
    console = Console()
    console.print(table_of(comparison_title(report), comparison_rows(report)))
    if report.differences:
        title = "Decision parity: differences in agreement"
        console.print(table_of(title, parity_rows(report)))
    for line in filter(None, (criteria_exclusions(report), caveat(report))):
        console.print(line, markup=False)


def _sha(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
