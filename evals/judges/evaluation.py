"""Evaluates a judge: compares its scores with people's, and probes it for known failures."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from pydantic import Field

from quillgraph.agents.domain import Criterion, Value
from quillgraph.agents.judges import Judge, PromptedJudge, PromptedPairJudge
from quillgraph.agents.requests import NO_REQUEST, writing_task
from quillgraph.agents.role import Role
from quillgraph.backends.errors import InputError
from quillgraph.evals.data.loader import Loaded
from quillgraph.evals.data.records import Preference, RatedText
from quillgraph.evals.data.rubrics import generic_rubric
from quillgraph.evals.judges.probes import (
    CHANGES,
    ProbeResult,
    Score,
    probe_change,
    probe_degenerate,
    probe_position,
    probe_retest,
    texts_for_probes,
)
from quillgraph.evals.judges.report import JudgeReport, judge_report
from quillgraph.evals.judges.scores import HumanDataScorer, JudgedText, ScoredPair

STAGES = ("score", "probe")
"""Stages of an evaluation, in order."""

OTHER_SEED = 1_000_003
"""Added to the judge's seed for the retest."""


class JudgeOptions(Value):
    """How a judge is evaluated."""

    limit: int | None = Field(default=None, ge=1)
    """Highest number of texts, and of pairs, drawn by the seed; None takes all."""
    probes: int = Field(default=12, ge=0)
    """Texts to probe the judge with; 0 for no probes."""
    seed: int = 0
    criteria_name: str = "generic rubric"
    """Name of the criteria in the report."""


@dataclass(slots=True)
class JudgeResults:
    """Results of an evaluation so far; they grow while it runs."""

    texts: list[JudgedText] = field(default_factory=list)
    pairs: list[ScoredPair] = field(default_factory=list)
    probes: list[ProbeResult] = field(default_factory=list)
    report: JudgeReport | None = None
    """None until all texts and pairs have scores."""

    def as_dict(self) -> dict[str, Any]:
        """Report and probes as JSON values."""
        probes = ({**each.model_dump(mode="json"), "verdict": each.verdict} for each in self.probes)
        report = self.report.model_dump(mode="json") if self.report else None
        return {"report": report, "probes": list(probes)}


def _ignored(stage: str) -> None:
    """Ignore the end of a stage: the default where nobody observes."""


async def evaluate_judge(
    judge: Judge,
    data: Loaded,
    *,
    criteria: Sequence[Criterion] | None = None,
    options: JudgeOptions | None = None,
    results: JudgeResults | None = None,
    on_stage: Callable[[str], None] = _ignored,
) -> JudgeResults:
    """Compare a judge with people's scores and preferences, and probe it for known failures.

    Args:
        judge: Scores every text by all criteria.
        data: Scored texts, pairs with preferences, or both.
        criteria: Criteria that it judges by; None takes a generic rubric.
        options: How it is evaluated.
        results: Filled during the evaluation, so that partial results survive an interruption;
            None starts empty.
        on_stage: Called with each of `STAGES` as it ends.

    Returns:
        Scores, report and probes. Only a judge that samples its answers is probed with retests and
        for a preferred position.

    Raises:
        InputError: If the data hold no human judgements.
        BudgetReached: If the judge may spend no more.
    """
    options, results = options or JudgeOptions(), results or JudgeResults()
    texts, pairs = _drawn(data, options)
    rubric = tuple(criteria) if criteria else generic_rubric()
    scorer = HumanDataScorer(judge, rubric)
    results.texts = await scorer.texts(texts)
    results.pairs = await scorer.pairs(pairs)
    results.report = judge_report(
        results.texts,
        results.pairs,
        judge=judge.name,
        criteria=options.criteria_name,
        data=data.name,
        skipped=len(data.skipped),
        seed=options.seed,
    )
    on_stage("score")
    words = [*(each.text for each in texts), *(t for p in pairs for t in (p.left, p.right))]
    sample = texts_for_probes(words, options.probes, options.seed)
    if sample:
        await _probe(scorer, sample, results)
        if isinstance(judge, PromptedJudge):
            again = HumanDataScorer(_reseeded(judge), rubric)
            await _probe_samples(scorer, again, judge.roles[0], sample, results)
    on_stage("probe")
    return results


def refuse_unjudged(data: Loaded) -> None:
    """Refuse data without human judgements.

    Raises:
        InputError: Naming the file.
    """
    if not data.rated and not data.preferences:
        raise InputError(
            f"{data.path} ({data.format}) holds requests and no human judgements to compare a "
            "judge with"
        )


def _drawn(data: Loaded, options: JudgeOptions) -> tuple[list[RatedText], list[Preference]]:
    """Draw the texts and the pairs to use: all, or as many as the limit allows.

    Pairs are drawn by prompt, since pairs of one prompt are not independent.
    """
    refuse_unjudged(data)
    texts, pairs = list(data.rated), list(data.preferences)
    if options.limit is None:
        return texts, pairs
    draw = random.Random(options.seed)
    draw.shuffle(texts)
    groups = list(dict.fromkeys(pair.group for pair in pairs))
    draw.shuffle(groups)
    place = {group: number for number, group in enumerate(groups)}
    pairs.sort(key=lambda pair: place[pair.group])
    return texts[: options.limit], pairs[: options.limit]


def _reseeded(judge: PromptedJudge) -> PromptedJudge:
    """The same judge with other seeds."""
    return replace(
        judge, roles=tuple(replace(role, seed=role.seed + OTHER_SEED) for role in judge.roles)
    )


async def _probe(scorer: HumanDataScorer, texts: Sequence[str], results: JudgeResults) -> None:
    """Run the probes that work on any judge."""
    for name in CHANGES:
        results.probes.append(await probe_change(name, texts, _score(scorer)))
    results.probes.append(await probe_degenerate(texts, _score(scorer)))


async def _probe_samples(
    scorer: HumanDataScorer,
    again: HumanDataScorer,
    role: Role,
    texts: Sequence[str],
    results: JudgeResults,
) -> None:
    """Run the probes of a judge that samples its answers and compares two texts.

    A trained scorer does neither: it is deterministic and reads one text at a time.
    """
    results.probes.append(await probe_retest(texts, _score(scorer), _score(again)))
    task, judge = writing_task(NO_REQUEST), PromptedPairJudge(role)
    comparisons = await asyncio.gather(*(judge.compare(task, a, b) for a, b in pairwise(texts)))
    results.probes.append(probe_position(comparisons))


def _score(scorer: HumanDataScorer) -> Score:
    async def score(text: str) -> float | None:
        value, _ = await scorer.score("", text)
        return value

    return score
