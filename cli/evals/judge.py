"""`quillgraph eval judge`: a judge held against people, and probed."""

import asyncio
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import typer
from rich.console import Console

from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.agents.judges import Judge, PromptedJudge, PromptedPairJudge
from quillgraph.agents.requests import NO_REQUEST, writing_task
from quillgraph.agents.role import Role
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.errors import InputError
from quillgraph.cli.display.evals import (
    exclusions,
    findings_table,
    markdown,
    measures_table,
    write_curve,
)
from quillgraph.cli.session.engines import JUDGES, Engines, connected, with_backend
from quillgraph.cli.session.folder import RunFolder
from quillgraph.cli.session.inputs import read_criteria
from quillgraph.cli.session.progress import ProgressWatch, plain_console
from quillgraph.cli.session.settings import Settings
from quillgraph.cli.session.supervisor import supervise
from quillgraph.evals import Loaded, Preference, RatedText, load
from quillgraph.evals.data import generic_rubric
from quillgraph.evals.judges import (
    CHANGES,
    HumanDataScorer,
    JudgedText,
    JudgeReport,
    ProbeResult,
    ScoredPair,
    judge_report,
    probe_change,
    probe_degenerate,
    probe_position,
    probe_retest,
    texts_for_probes,
    unmet,
)

STAGES = {
    "start": "starting the model",
    "score": "scoring what people have judged",
    "probe": "probing the judge",
}

OTHER_SEED = 1_000_003
"""Added to the seed for the second test of test–retest."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a judge is to be held against."""

    name: str
    data: Loaded
    criteria: tuple[Criterion, ...]
    criteria_name: str
    limit: int | None
    probes: int

    @classmethod
    def of(
        cls,
        data: Path | None,
        data_format: str | None,
        criteria: Path | None,
        *,
        limit: int | None,
        probes: int,
    ) -> Self:
        """Read the files.

        Raises:
            InputError: If there are no human judgements in them.
        """
        if data is None:
            raise InputError("expected --data FILE with human scores or preferences, got none")
        if limit is not None and limit < 1:
            raise InputError(f"expected --limit of 1 or more, got {limit}")
        if probes < 0:
            raise InputError(f"expected --probes of 0 or more, got {probes}")
        found = load(data, format=data_format)
        if not found.rated and not found.preferences:
            raise InputError(
                f"{data} ({found.format}) holds requests and no judgements of people to hold a "
                "judge against"
            )
        chosen = read_criteria(criteria).criteria if criteria else generic_rubric()
        return cls(
            name=data.name,
            data=found,
            criteria=chosen,
            criteria_name=criteria.name if criteria else "generic rubric",
            limit=limit,
            probes=probes,
        )

    def drawn(self, seed: int) -> tuple[list[RatedText], list[Preference]]:
        """The texts and the pairs that are used: all, or as many as the limit allows.

        Pairs are drawn by prompt, since pairs of one prompt hang together.
        """
        texts, pairs = list(self.data.rated), list(self.data.preferences)
        if self.limit is None:
            return texts, pairs
        draw = random.Random(seed)
        draw.shuffle(texts)
        groups = list(dict.fromkeys(pair.group for pair in pairs))
        draw.shuffle(groups)
        place = {group: number for number, group in enumerate(groups)}
        pairs.sort(key=lambda pair: place[pair.group])
        return texts[: self.limit], pairs[: self.limit]


@dataclass(slots=True)
class Holding:
    """The work of holding a judge against people."""

    question: Question
    settings: Settings
    scored: list[JudgedText] = field(default_factory=list)
    pairs: list[ScoredPair] = field(default_factory=list)
    findings: list[ProbeResult] = field(default_factory=list)
    report: JudgeReport | None = None

    @property
    def stages(self) -> Mapping[str, str]:
        """Scoring takes longest."""
        return STAGES

    async def run(self, engines: Engines, recorder: Recorder, watch: ProgressWatch) -> None:
        """Score, then probe."""
        from langchain_core.runnables.config import var_child_runnable_config

        heard = var_child_runnable_config.set({"callbacks": [recorder]})
        try:
            await self._run(engines, watch)
        finally:
            var_child_runnable_config.reset(heard)

    async def _run(self, engines: Engines, watch: ProgressWatch) -> None:
        model = engines.roles.get("judge", engines.common)
        budget = Budget(self.settings.max_calls, self.settings.max_tokens_total)
        role = Role("judge", model, self.settings.seed, budget)
        judge = engines.judges.get("judge") or PromptedJudge((role,), self.settings.samples)
        scorer = HumanDataScorer(judge, self._criteria_for)
        texts, pairs = self.question.drawn(self.settings.seed)
        self.scored = await scorer.texts(texts)
        self.pairs = await scorer.pairs(pairs)
        self.report = self._report(judge)
        watch.finished("score")
        if self.question.probes:
            await self._probe(scorer, [*_texts(texts, pairs)])
            if isinstance(judge, PromptedJudge):
                await self._probe_samples(scorer, role, [*_texts(texts, pairs)])
        watch.finished("probe")

    async def _criteria_for(self, task: WritingTask) -> tuple[Criterion, ...]:
        return self.question.criteria

    def _report(self, judge: Judge) -> JudgeReport:
        return judge_report(
            self.scored,
            self.pairs,
            judge=judge.name,
            criteria=self.question.criteria_name,
            data=self.question.name,
            skipped=len(self.question.data.skipped),
            seed=self.settings.seed,
        )

    async def _probe(self, scorer: HumanDataScorer, texts: Sequence[str]) -> None:
        """The probes that any judge can be put to."""
        chosen = texts_for_probes(texts, self.question.probes, self.settings.seed)
        for name in CHANGES:
            self.findings.append(await probe_change(name, chosen, _score(scorer)))
        self.findings.append(await probe_degenerate(chosen, _score(scorer)))

    async def _probe_samples(
        self, scorer: HumanDataScorer, role: Role, texts: Sequence[str]
    ) -> None:
        """The probes of a judge that draws its answers, and sees two texts at a time.

        A trained scorer does neither: it gives a text the same score each time, by itself.
        """
        chosen = texts_for_probes(texts, self.question.probes, self.settings.seed)
        other = Role(role.name, role.model, role.seed + OTHER_SEED, role.budget)
        again = HumanDataScorer(PromptedJudge((other,), self.settings.samples), self._criteria_for)
        self.findings.append(await probe_retest(chosen, _score(scorer), _score(again)))
        task, judge = writing_task(NO_REQUEST), PromptedPairJudge(role)
        neighbours = pairwise(chosen)
        compared = await asyncio.gather(*(judge.compare(task, a, b) for a, b in neighbours))
        self.findings.append(probe_position(compared))

    def keep(self, folder: RunFolder) -> None:
        """Write the scores, and the report as far as there is one."""
        folder.write_lines("scores.jsonl", self.scored)
        folder.write_lines("pairs.jsonl", self.pairs)
        if self.report:
            folder.write_json("report.json", self.result())
            folder.write_text("report.md", markdown(self.report))

    def reached(self) -> str:
        """Say how many judgements there are."""
        return f"reached: {len(self.scored)} texts and {len(self.pairs)} pairs"

    def result(self) -> dict[str, Any]:
        """Report and findings, for machines."""
        assert self.report is not None
        return {
            "report": self.report.model_dump(mode="json"),
            "probes": [
                {**found.model_dump(mode="json"), "verdict": found.verdict}
                for found in self.findings
            ],
        }


def run_eval_judge(
    question: Question,
    settings: Settings,
    require: Sequence[str],
    *,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Hold a judge against people and show what was found.

    Raises:
        QuillError: After what was finished has been written to the run folder.
        Exit: With status 1 if a requirement is not met.
    """
    said = plain_console(sys.stderr)
    settings = with_backend(settings, said, playing=JUDGES)
    settings = settings.model_copy(update={"embeddings": "lexical"})
    engines = connected(settings, JUDGES, said, playing=JUDGES)
    folder = RunFolder(
        settings.out, f"eval judge {question.name}", settings.model_dump(mode="json")
    )
    work = Holding(question, settings)
    supervise(work, engines, folder, timeout=settings.timeout)
    assert work.report is not None
    if plot:
        write_curve(work.report, plot)
    if as_json:
        sys.stdout.write(json.dumps({"run": str(folder.path), **work.result()}) + "\n")
    else:
        Console().print(measures_table(work.report), exclusions(work.report), sep="\n")
        Console().print(findings_table(work.findings))
    said.print(f"run folder: {folder.path}", style="dim")
    missed = [told for each in require if (told := unmet(each, work.report.measures))]
    for told in missed:
        said.print(f"not met: {told}")
    if missed:
        raise typer.Exit(1)


def _texts(rated: Sequence[RatedText], pairs: Sequence[Preference]) -> list[str]:
    return [*(each.text for each in rated), *(text for p in pairs for text in (p.left, p.right))]


def _score(scorer: HumanDataScorer) -> Any:
    async def score(text: str) -> float | None:
        value, _ = await scorer.score("", text)
        return value

    return score
