"""`quillgraph eval policy`: compare models, adapters and graphs on the same prompts."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from rich.console import Console

from quillgraph.agents.criteria import read_criteria
from quillgraph.agents.domain import Value
from quillgraph.agents.judges import is_scorer
from quillgraph.agents.text import visible
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError, InputError, nearest
from quillgraph.cli.display.evals import table_of
from quillgraph.cli.evals.evaluation import (
    INQUIRY,
    Output,
    at_least,
    refuse_unmet,
    reopened,
    tell_left_out,
    write_result,
)
from quillgraph.cli.session.engines import with_backend
from quillgraph.cli.session.progress import log_shown, plain_console, watch_on
from quillgraph.cli.session.settings import Settings
from quillgraph.evals import load
from quillgraph.evals.judges import requirement_of
from quillgraph.evals.picture import picture
from quillgraph.evals.policies import (
    Contest,
    ContestOptions,
    EngineTurns,
    PolicyComparison,
    PolicyReport,
    PolicyResults,
    Reading,
    against_rows,
    legend,
    measure_names,
    plot_policies,
    policies_markdown,
    policy_exclusions,
    policy_rows,
    read_contest,
    refuse_unfit,
)
from quillgraph.graphs.supervision import (
    Engines,
    RunFolder,
    Watch,
    alone_in,
    charge_earlier,
    supervise,
)

COMPARED = "compared"
"""Where `run.json` says what a comparison is of."""

STAGES = {
    "write": "having the policies write",
    "score": "scoring the texts",
    "compare": "comparing the texts",
    "measure": "measuring",
}


class PolicyInquiry(Value):
    """What to compare; stored with the run, so that it can resume."""

    policies: tuple[str, ...] = ()
    data: Path | None = None
    data_format: str | None = None
    criteria: Path | None = None
    limit: int | None = None
    texts: int = 2
    reading: str = "request"
    baselines: bool = False
    allow_same_judge: bool = False

    def resolved(self) -> "PolicyInquiry":
        """A copy with absolute file paths."""
        files = {"data": self.data, "criteria": self.criteria}
        return self.model_copy(update={k: v.resolve() for k, v in files.items() if v})

    def contest(self, settings: Settings) -> Contest:
        """Read the files and the policies.

        Raises:
            QuillError: If a file or an option is invalid.
        """
        if self.data is None:
            raise InputError("expected --data FILE with requests, got none")
        at_least(1, limit=self.limit, texts=self.texts)
        if self.reading not in get_args(Reading):
            raise ConfigError(f"expected --prompt request or writer, got {self.reading!r}")
        own = {name: getattr(self, name) for name in ContestOptions.model_fields if name in _OWN}
        measures = settings.model_dump(include=set(ContestOptions.model_fields) - _OWN)
        return read_contest(
            self.policies,
            load(self.data, format=self.data_format),
            str(settings.backend),
            criteria=read_criteria(self.criteria).criteria if self.criteria else None,
            criteria_name=self.criteria.name if self.criteria else "",
            options=ContestOptions(**own, **measures),
        )


_OWN = {"texts", "limit", "reading", "baselines", "allow_same_judge"}
"""Options of a contest that are no settings of a run."""


def begin_eval_policy(inquiry: PolicyInquiry, settings: Settings, output: Output) -> None:
    """Compare policies and show the results.

    Raises:
        QuillError: When the run fails; finished work is already in the run folder.
        Exit: With status 1 if a requirement is not met.
    """
    console = plain_console(sys.stderr)
    settings = _with_judge(settings, console)
    contest, engines = _prepared(inquiry, settings, output, console)
    title = f"eval policy {contest.data}"
    folder = RunFolder(settings.out, title, settings.model_dump(mode="json"))
    folder.note(**{COMPARED: contest.facts(), INQUIRY: inquiry.resolved().model_dump(mode="json")})
    folder.write_lines("prompts.jsonl", contest.prompts)
    with alone_in(folder.path):
        _compare(PolicyWork(contest, engines, settings, folder.path), folder, output)


def resume_eval_policy(
    path: Path, others: Mapping[str, Any], limits: Mapping[str, Any], output: Output
) -> None:
    """Resume a comparison that ended early; stored texts and scores stay.

    Args:
        path: The run's folder.
        others: Other options of the command line; must be empty, a run resumes unchanged.
        limits: New budgets and time limit.
        output: How to show and write the result.

    Raises:
        ConfigError: If an option is given that a resumed run does not take, or data changed.
        InputError: If the folder holds no such run.
        Exit: With status 1 if a requirement is not met.
    """
    run = reopened(path, PolicyInquiry, "eval policy", others=others, limits=limits)
    with run as (folder, inquiry, settings):
        contest, engines = _prepared(inquiry, settings, output, plain_console(sys.stderr))
        _refuse_other(folder, contest.facts())
        _compare(PolicyWork(contest, engines, settings, path), folder, output)


def _with_judge(settings: Settings, console: Console) -> Settings:
    """Use the judge as the backend: it is the only model that is not a policy."""
    if others := sorted(set(settings.roles) - {"judge"}):
        raise ConfigError(f"unknown role {others[0]!r}: {nearest(others[0], ['judge'])}")
    if judge := settings.roles.get("judge"):
        if is_scorer(judge):
            raise ConfigError(
                f"the judge of a comparison also says which of two texts is better, and {judge!r} "
                "gives scores alone; name a model, for example --judge openai:MODEL"
            )
        return settings.model_copy(update={"backend": judge, "roles": {}})
    return with_backend(settings, console)


def _prepared(
    inquiry: PolicyInquiry, settings: Settings, output: Output, console: Console
) -> tuple[Contest, EngineTurns]:
    """Prepare the contest and the models, so that errors end the run before it writes."""
    contest = inquiry.contest(settings)
    for each in output.require:
        requirement_of(each, measure_names([policy.name for policy in contest.policies]))
    if output.plot:
        picture()
    with log_shown(console):
        engines = EngineTurns(contest.models)
    refuse_unfit(contest, engines)
    tell_left_out(console, contest.excluded, contest.skipped)
    for note in contest.notes:
        console.print(f"note: {note}")
    return contest, engines


def _refuse_other(folder: RunFolder, facts: Mapping[str, Any]) -> None:
    before: Mapping[str, Any] = folder.facts[COMPARED]
    if other := [name for name in facts if before.get(name) != facts[name]]:
        raise ConfigError(
            f"the run in {folder.path} was begun with {other[0]} {before.get(other[0])!r}, now it "
            f"is {facts[other[0]]!r}; go on as it was begun, or start a new one"
        )


@dataclass(slots=True)
class PolicyWork:
    """Compares policies; each text, score and comparison is stored at once."""

    contest: Contest
    models: EngineTurns
    settings: Settings
    folder: Path
    results: PolicyResults = field(init=False)
    report: PolicyReport | None = None

    def __post_init__(self) -> None:
        """Load the results of earlier processes."""
        self.results = PolicyResults.within(self.folder)

    @property
    def stages(self) -> Mapping[str, str]:
        """Writing takes longest."""
        return STAGES

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Do the work that earlier processes left open."""
        budget = Budget(self.settings.max_calls, self.settings.max_tokens_total)
        charge_earlier(budget, self.folder)
        comparison = PolicyComparison(
            self.contest, self.models, self.results, budget, recorder, watch.finished
        )
        self.report = await comparison.run()

    def keep(self, folder: RunFolder) -> None:
        """Write the report, if there is one."""
        if self.report is None:
            return
        folder.write_json("report.json", self.result())
        folder.write_text("report.md", policies_markdown(self.report))
        if self.contest.data_format == "writingbench":
            for name, rows in self.results.writingbench_files(self.contest.all_places).items():
                folder.write_rows(name, rows)

    def reached(self) -> str:
        """Say how many texts and scores there are."""
        return (
            f"reached: {self.results.written} of {self.contest.wanted} texts, "
            f"{len(self.results.scores.rows)} scores, "
            f"{len(self.results.comparisons.rows)} comparisons"
        )

    def result(self) -> dict[str, Any]:
        """The report as JSON values."""
        assert self.report is not None
        return {"report": self.report.model_dump(mode="json")}


def _compare(work: PolicyWork, folder: RunFolder, output: Output) -> None:
    models = work.models
    chats = {f"policy {n}": chat for n, chat in enumerate(models.chats)}
    common = models.idle(work.contest.judge)
    engines = Engines(common, chats, LexicalEmbeddings(), at_once=False)
    supervise(work, engines, folder, timeout=work.settings.timeout, watching=watch_on)
    assert work.report is not None
    if output.plot:
        plot_policies(work.report, output.plot)
    if output.as_json:
        write_result(folder, work.result())
    else:
        _print(work.report)
    plain_console(sys.stderr).print(visible(f"run folder: {folder.path}"), style="dim")
    refuse_unmet(output.require, work.report.flat)


def _print(report: PolicyReport) -> None:
    sys.stdout.write(legend(report) + "\n")
    console = Console()
    title = f"{report.prompts} prompts of {report.data}, {report.texts} texts each"
    console.print(table_of(title, policy_rows(report)))
    if others := [against_rows(report, each.name) for each in report.policies[1:]]:
        title = f"Against {report.reference}, judged by {report.judge}"
        head = ["policy", "measure", "value", "95 % interval", "prompts"]
        console.print(table_of(title, [head], *others, left=["measure"]))
    sys.stdout.write(policy_exclusions(report) + "\n")
