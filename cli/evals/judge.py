"""`quillgraph eval judge`: compare a judge with people, and probe it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from quillgraph.agents.criteria import read_criteria
from quillgraph.agents.domain import Criterion
from quillgraph.agents.judges import Judge, PromptedJudge
from quillgraph.agents.role import Role
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.errors import InputError
from quillgraph.cli.display.evals import table_of
from quillgraph.cli.evals.evaluation import (
    Output,
    at_least,
    refuse_unmet,
    tell_left_out,
    write_result,
)
from quillgraph.cli.session.engines import connected, with_backend
from quillgraph.cli.session.progress import plain_console, watch_on
from quillgraph.cli.session.settings import Settings
from quillgraph.evals import Loaded, evaluate_judge, load
from quillgraph.evals.judges import (
    JudgeOptions,
    JudgeResults,
    judge_exclusions,
    judge_markdown,
    judge_rows,
    plot_curve,
    probe_rows,
    refuse_unjudged,
)
from quillgraph.graphs.supervision import JUDGES, Engines, RunFolder, Watch, supervise

STAGES = {
    "start": "starting the model",
    "score": "scoring what people have judged",
    "probe": "probing the judge",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The human judgements to compare a judge with."""

    data: Loaded
    criteria: tuple[Criterion, ...] | None
    options: JudgeOptions


def read_evidence(
    data: Path | None,
    data_format: str | None,
    criteria: Path | None,
    *,
    limit: int | None,
    probes: int,
) -> Evidence:
    """Read the files that the command line names.

    Raises:
        InputError: If the files hold no human judgements.
    """
    if data is None:
        raise InputError("expected --data FILE with human scores or preferences, got none")
    at_least(1, limit=limit)
    at_least(0, probes=probes)
    loaded = load(data, format=data_format)
    refuse_unjudged(loaded)
    options = JudgeOptions(limit=limit, probes=probes)
    if criteria is None:
        return Evidence(loaded, None, options)
    options = options.model_copy(update={"criteria_name": criteria.name})
    return Evidence(loaded, read_criteria(criteria).criteria, options)


@dataclass(slots=True)
class JudgeWork:
    """Compares a judge with people."""

    evidence: Evidence
    settings: Settings
    results: JudgeResults = field(default_factory=JudgeResults)

    @property
    def stages(self) -> Mapping[str, str]:
        """Scoring takes longest."""
        return STAGES

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Score, then probe."""
        from langchain_core.runnables.config import var_child_runnable_config

        evidence, seed = self.evidence, self.settings.seed
        before = var_child_runnable_config.set({"callbacks": [recorder]})
        try:
            await evaluate_judge(
                self._judge(engines),
                evidence.data,
                criteria=evidence.criteria,
                options=evidence.options.model_copy(update={"seed": seed}),
                results=self.results,
                on_stage=watch.finished,
            )
        finally:
            var_child_runnable_config.reset(before)

    def _judge(self, engines: Engines) -> Judge:
        if judge := engines.judges.get("judge"):
            return judge
        model = engines.roles.get("judge", engines.common)
        budget = Budget(self.settings.max_calls, self.settings.max_tokens_total)
        role = Role("judge", model, self.settings.seed, budget)
        return PromptedJudge((role,), self.settings.samples)

    def keep(self, folder: RunFolder) -> None:
        """Write the scores, and the report if there is one."""
        folder.write_lines("scores.jsonl", self.results.texts)
        folder.write_lines("pairs.jsonl", self.results.pairs)
        if self.results.report:
            folder.write_json("report.json", self.result())
            folder.write_text("report.md", judge_markdown(self.results.report))

    def reached(self) -> str:
        """Say how many judgements there are."""
        return f"reached: {len(self.results.texts)} texts and {len(self.results.pairs)} pairs"

    def result(self) -> dict[str, Any]:
        """Report and probes as JSON values."""
        return self.results.as_dict()


def run_eval_judge(evidence: Evidence, settings: Settings, output: Output) -> None:
    """Compare a judge with people and show how far they agree.

    Raises:
        QuillError: When the run fails; finished work is already in the run folder.
        Exit: With status 1 if a requirement is not met.
    """
    console = plain_console(sys.stderr)
    skipped = evidence.data.skipped
    tell_left_out(console, {"records that could not be read": len(skipped)}, skipped)
    settings = with_backend(settings, console, playing=JUDGES)
    settings = settings.model_copy(update={"embeddings": "lexical"})
    engines = connected(settings, JUDGES, console, playing=JUDGES)
    title = f"eval judge {evidence.data.name}"
    folder = RunFolder(settings.out, title, settings.model_dump(mode="json"))
    work = JudgeWork(evidence, settings)
    supervise(work, engines, folder, timeout=settings.timeout, watching=watch_on)
    report = work.results.report
    assert report is not None
    if output.plot:
        plot_curve(report, output.plot)
    if output.as_json:
        write_result(folder, work.result())
    else:
        title = f"{report.judge} on {report.data} ({report.criteria})"
        Console().print(table_of(title, judge_rows(report)), judge_exclusions(report), sep="\n")
        Console().print(table_of("Probes", probe_rows(work.results.probes), left=["verdict"]))
    console.print(f"run folder: {folder.path}", style="dim")
    refuse_unmet(output.require, report.measures)
