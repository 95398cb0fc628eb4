"""Evaluates a judge: has it score what people have judged, and probes it for known failures."""

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
"""What an evaluation goes through, in order."""

OTHER_SEED = 1_000_003
"""Added to the judge's seed for the second test of test–retest."""


class JudgeOptions(Value):
    """How a judge is evaluated."""

    limit: int | None = Field(default=None, ge=1)
    """Most texts, and most pairs, drawn by the seed; None takes all."""
    probes: int = Field(default=12, ge=0)
    """Texts to probe the judge with; 0 for no probes."""
    seed: int = 0
    criteria_name: str = "generic rubric"
    """What the report calls the criteria."""


@dataclass(slots=True)
class JudgeResults:
    """What an evaluation has come to so far; it is filled as the evaluation goes on."""

    texts: list[JudgedText] = field(default_factory=list)
    pairs: list[ScoredPair] = field(default_factory=list)
    probes: list[ProbeResult] = field(default_factory=list)
    report: JudgeReport | None = None
    """None until all texts and pairs have been scored."""

    def as_dict(self) -> dict[str, Any]:
        """Report and probes, as JSON holds them."""
        probes = ({**each.model_dump(mode="json"), "verdict": each.verdict} for each in self.probes)
        report = self.report.model_dump(mode="json") if self.report else None
        return {"report": report, "probes": list(probes)}


def _ignored(stage: str) -> None:
    """Nobody waits to hear of a stage."""


async def evaluate_judge(
    judge: Judge,
    data: Loaded,
    *,
    criteria: Sequence[Criterion] | None = None,
    options: JudgeOptions | None = None,
    results: JudgeResults | None = None,
    on_stage: Callable[[str], None] = _ignored,
) -> JudgeResults:
    """Hold a judge against people's scores and preferences, and probe it for known failures.

    Args:
        judge: Scores every text by all criteria.
        data: Scored texts, pairs with preferences, or both.
        criteria: What it judges by; None is a generic rubric.
        options: How it is evaluated.
        results: Filled as the evaluation goes on, for whoever wants what there is if it is cut
            short; None begins anew.
        on_stage: Hears of each of `STAGES` as it ends.

    Returns:
        Scores, report and probes. A judge that draws no samples is not probed for what only those
        show: retests, and the place that it prefers.

    Raises:
        InputError: If there are no judgements of people in the data.
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
    """Refuse data in which people have judged nothing.

    Raises:
        InputError: Naming the file.
    """
    if not data.rated and not data.preferences:
        raise InputError(
            f"{data.path} ({data.format}) holds requests and no judgements of people to hold a "
            "judge against"
        )


def _drawn(data: Loaded, options: JudgeOptions) -> tuple[list[RatedText], list[Preference]]:
    """The texts and the pairs that are used: all, or as many as the limit allows.

    Pairs are drawn by prompt, since pairs of one prompt hang together.
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
    """The same judge on other seeds."""
    return replace(
        judge, roles=tuple(replace(role, seed=role.seed + OTHER_SEED) for role in judge.roles)
    )


async def _probe(scorer: HumanDataScorer, texts: Sequence[str], results: JudgeResults) -> None:
    """The probes that any judge can be put to."""
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
    """The probes of a judge that draws its answers, and sees two texts at a time.

    A trained scorer does neither: it gives a text the same score each time, by itself.
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
