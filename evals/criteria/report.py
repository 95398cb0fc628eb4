"""The report on sources of criteria: every measure of each source, with intervals.

Some measures need people's criteria or a judge; those of `ALGORITHM.md` 6.2, step 13, need neither.
Measures of meaning take unit rows of one embedding model, so a cosine is a product.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from quillgraph.agents.domain import Value
from quillgraph.agents.grounded_theory import SIMILAR
from quillgraph.agents.judgements import judged
from quillgraph.agents.memory import silent, spreads
from quillgraph.agents.requests import segment, writing_task
from quillgraph.agents.text import language_of
from quillgraph.backends.embeddings import Vectors, vectors
from quillgraph.backends.errors import InputError
from quillgraph.evals.criteria.parity import agreement_differences, scored_texts
from quillgraph.evals.criteria.results import CriteriaResults
from quillgraph.evals.criteria.sources import OURS
from quillgraph.evals.data.cases import Case
from quillgraph.evals.judges.report import judge_report
from quillgraph.evals.judges.scores import JudgedText, ScoredPair
from quillgraph.evals.measures.intervals import Estimate, ratio_bootstrap
from quillgraph.evals.measures.matching import NEAR, wordings
from quillgraph.evals.measures.repeatability import ALIKE, consistency


def near_duplicates(criteria: Vectors) -> int:
    """Count criteria that are nearer than `SIMILAR` to an earlier one in the set."""
    cosines = np.tril(criteria @ criteria.T, -1)
    return int((cosines.max(axis=1) > SIMILAR).sum()) if len(criteria) else 0


def covered(clauses: Vectors, criteria: Vectors) -> int:
    """Count clauses of a request that some criterion is near (`NEAR`).

    The clauses that a study itself cites are another measure; other sources cite none.
    """
    return _within_reach(clauses, criteria, NEAR)


def reused(criteria: Vectors, others: Vectors) -> int:
    """Count criteria that another request has too (`ALIKE`)."""
    return _within_reach(criteria, others, ALIKE)


def run_to_run(runs: Sequence[Vectors]) -> float | None:
    """Measure how far several runs agree on criteria: the mean F1 of all pairs of runs.

    Returns:
        From 0 to 1; None for fewer than two runs with criteria.
    """
    filled = [run for run in runs if len(run)]
    pairs = [consistency(one, other) for one, other in combinations(filled, 2)]
    return fmean(pairs) if pairs else None


def _within_reach(rows: Vectors, others: Vectors, least: float) -> int:
    if not len(rows) or not len(others):
        return 0
    return int(((rows @ others.T).max(axis=1) >= least).sum())


@dataclass(frozen=True, slots=True)
class Profile:
    """Measures of the criteria of one source for one request; None is unmeasured."""

    request: str
    criteria: int
    calls: int
    tokens: int
    duplicates: int
    matched: int | None = None
    human: int | None = None
    clauses: int = 0
    covered: int = 0
    cited: float | None = None
    codes: int | None = None
    reused: int | None = None
    consistency: float | None = None
    spreads: tuple[float, ...] = ()
    """Spread of the texts' scores on each criterion, 0 to .5."""
    silences: tuple[str, ...] = ()
    """Reason to count of the criteria that do not separate texts."""


class SourceReport(Value):
    """The measures of one source."""

    requests: int
    """Requests for which it gave criteria."""
    measures: dict[str, Estimate]
    """`MEASURES`, and those of `judge_report` for a judge who uses these criteria."""
    excluded: dict[str, int]
    """Reason to count of what no measure includes."""


class CriteriaReport(Value):
    """Several sources of criteria, measured on the same requests and texts."""

    data: str
    model: str
    judge: str | None
    """Name of the judge that scored the texts; None if there were none."""
    confirmed: bool
    """Whether a judge confirmed the matches."""
    placed_by: str
    """Embeddings that measure nearness."""
    requests: int
    not_english: int
    """Requests in other languages, where English embeddings cannot measure nearness."""
    texts: int
    runs: int
    sources: dict[str, SourceReport]
    """By name, in the order of the columns."""
    differences: dict[str, dict[str, Estimate]]
    """`ours - other` to the differences in agreement, on texts with scores under both."""
    excluded: dict[str, int]


async def profiles(
    cases: Sequence[Case], source: str, runs: int, results: CriteriaResults, embeddings: Embeddings
) -> list[Profile]:
    """Measure the criteria of one source for each request that has some."""
    answered = [case for case in cases if results.criteria(case.request.id, source)]
    placements = [
        [await _places(case, source, run, results, embeddings) for run in range(runs)]
        for case in answered
    ]
    return [
        await _profile(
            case,
            source,
            own,
            [other[0] for place, other in enumerate(placements) if place != number],
            results,
            embeddings,
        )
        for number, (case, own) in enumerate(zip(answered, placements, strict=True))
    ]


async def criteria_report(
    cases: Sequence[Case],
    sources: Sequence[str],
    results: CriteriaResults,
    embeddings: Embeddings,
    *,
    runs: int,
    seed: int,
    excluded: Mapping[str, int],
    **about: Any,
) -> CriteriaReport:
    """Measure all sources on the same requests and texts.

    Args:
        cases: The requests. Those on which a source failed count as excluded.
        sources: Names, in the order of the columns.
        results: Complete or partial results.
        embeddings: Measure nearness.
        runs: Runs of each source that varies.
        seed: Of the bootstrap.
        excluded: Reason to count of records that could not be used.
        about: Fields of the report that describe what was measured.
    """
    by_text = {row.key: row for row in results.scored.rows.values()}
    scored = {name: scored_texts(cases, by_text, name) for name in sources}
    is_judged = about["judge"] is not None
    columns = {}
    for name in sources:
        rows = await profiles(cases, name, runs, results, embeddings)
        measures = {at: _estimate(rows, how, seed) for at, how in MEASURES.items()}
        reasons = _reasons(cases, name, runs, results)
        if is_judged:
            of_judge = {"judge": about["judge"], "criteria": name, "data": about["data"]}
            agreed = judge_report(*scored[name], seed=seed, **of_judge)
            measures |= agreed.measures
            reasons += Counter(agreed.excluded)
        defined = {at: one for at, one in measures.items() if one.value is not None}
        columns[name] = SourceReport(requests=len(rows), measures=defined, excluded=dict(reasons))
    return CriteriaReport(
        requests=len(cases),
        not_english=sum(language_of(case.request.request) != "en" for case in cases),
        texts=sum(len(case.texts) for case in cases),
        runs=runs,
        sources=columns,
        differences=_parity(scored, seed) if is_judged else {},
        excluded=dict(excluded),
        **about,
    )


Beside = tuple[Sequence[JudgedText], Sequence[ScoredPair]]
"""Texts and pairs with the scores of the judge and of people."""


def _parity(scored: Mapping[str, Beside], seed: int) -> dict[str, dict[str, Estimate]]:
    """Compare our criteria with each other source's."""
    return {
        f"{OURS} - {name}": agreement_differences(scored[OURS], other, seed=seed)
        for name, other in scored.items()
        if OURS in scored and name != OURS
    }


UNREAD = "near pairs on which the judge could not be understood"


def _reasons(
    cases: Sequence[Case], source: str, runs: int, results: CriteriaResults
) -> Counter[str]:
    """Count why the source gave no criteria, run by run, and the unread answers."""
    reasons: Counter[str] = Counter()
    for case in cases:
        for run in range(runs):
            row = results.elicited.rows.get((case.request.id, source, run))
            if row and not row.found:
                reasons[row.reason if run == 0 else f"run {run + 1}: {row.reason}"] += 1
        matched = results.matched.rows.get((case.request.id, source))
        if matched and matched.overlap.unread:
            reasons[UNREAD] += matched.overlap.unread
    return reasons


async def _places(
    case: Case, source: str, run: int, results: CriteriaResults, embeddings: Embeddings
) -> Vectors:
    criteria = results.criteria(case.request.id, source, run)
    return await vectors([each.as_text for each in wordings(criteria)], embeddings)


async def _profile(
    case: Case,
    source: str,
    own: Sequence[Vectors],
    others: Sequence[Vectors],
    results: CriteriaResults,
    embeddings: Embeddings,
) -> Profile:
    row = results.elicited.rows.get((case.request.id, source, 0))
    assert row is not None
    assert row.found is not None
    matched = results.matched.rows.get((case.request.id, source))
    clauses = await vectors(_clauses(case), embeddings)
    scores = _scores_by_criterion(case, source, results)
    return Profile(
        request=case.request.id,
        criteria=len(row.found.criteria),
        calls=row.calls,
        tokens=row.tokens,
        duplicates=near_duplicates(own[0]),
        matched=len(matched.overlap.matches) if matched else None,
        human=matched.overlap.human if matched else None,
        clauses=len(clauses),
        covered=covered(clauses, own[0]),
        cited=row.found.cited,
        codes=row.found.codes,
        reused=reused(own[0], np.concatenate(others)) if others else None,
        consistency=run_to_run(own),
        spreads=tuple(spreads(scores).values()),
        silences=tuple(silent(scores).values()),
    )


def _clauses(case: Case) -> list[str]:
    try:
        return [incident.text for incident in segment(writing_task(case.request.request))]
    except InputError:  # another source may parse a request that we cannot
        return []


def _scores_by_criterion(
    case: Case, source: str, results: CriteriaResults
) -> dict[str, tuple[float, ...]]:
    """Criterion id to the scores of the request's texts on it."""
    rows = results.scores(case, source)
    by_text = [{v.criterion_id: v.score for v in row.verdicts} for row in rows]
    criteria = judged(results.criteria(case.request.id, source))
    return {
        each.id: tuple(scores[each.id] for scores in by_text if each.id in scores)
        for each in criteria
    }


RatioParts = tuple[float, float] | None
"""A request's numerator and denominator of a ratio; None if it is not measured there."""


def _mean_of(value: float | None) -> RatioParts:
    return None if value is None else (value, 1.0)


def _share_of(part: float | None, whole: float | None) -> RatioParts:
    """Parts of a share over all requests, so that every criterion counts the same."""
    return None if part is None or whole is None else (part, whole)


MEASURES: dict[str, Callable[[Profile], RatioParts]] = {
    "criteria": lambda row: _mean_of(row.criteria),
    "recall": lambda row: _share_of(row.matched, row.human),
    "precision": lambda row: _share_of(row.matched, row.criteria),
    "coverage": lambda row: _share_of(row.covered, row.clauses),
    "cited": lambda row: _mean_of(row.cited),
    "near_duplicates": lambda row: _share_of(row.duplicates, row.criteria),
    "criteria_per_code": lambda row: _share_of(row.criteria, row.codes),
    "reusability": lambda row: _share_of(row.reused, row.criteria),
    "consistency": lambda row: _mean_of(row.consistency),
    "discrimination": lambda row: _share_of(sum(row.spreads), len(row.spreads)),
    "saturated": lambda row: _share_of(row.silences.count("saturated"), len(row.spreads)),
    "dead": lambda row: _share_of(row.silences.count("dead"), len(row.spreads)),
    "calls": lambda row: _mean_of(row.calls),
    "tokens": lambda row: _mean_of(row.tokens),
}
"""Name of a measure to a request's parts of it."""


def _estimate(
    rows: Sequence[Profile], parts_of: Callable[[Profile], RatioParts], seed: int
) -> Estimate:
    parts = [parts for row in rows if (parts := parts_of(row)) is not None]
    return ratio_bootstrap(parts, seed=seed)
