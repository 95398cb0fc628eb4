"""Are automatic criteria as good as people's? The measures of all sources, with intervals."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from quillgraph.agents.comparing import vectors
from quillgraph.agents.contrast import silent, spreads
from quillgraph.agents.domain import Value
from quillgraph.agents.judgements import judged
from quillgraph.agents.segmenting import segment
from quillgraph.agents.tasks import writing_task
from quillgraph.backends.errors import InputError
from quillgraph.evals.cases import Case
from quillgraph.evals.comparison import Results, wordings
from quillgraph.evals.criteria_measures import (
    Vectors,
    covered,
    near_duplicates,
    reused,
    run_to_run,
)
from quillgraph.evals.eliciting import OURS
from quillgraph.evals.intervals import Estimate, cluster_bootstrap
from quillgraph.evals.judge_report import report as judge_report
from quillgraph.evals.parity import differences, scored_texts

SHARED = ("length_spearman", "length_pair_accuracy", "human_agreement")
"""Measures of the texts alone, the same whatever the criteria."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is measured of the criteria of one source for one request; None is unmeasured."""

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
    """Of the scores of the texts on each criterion, 0 to .5."""
    silences: tuple[str, ...] = field(default=())
    """How those criteria are silent that tell no texts apart."""


class SourceReport(Value):
    """The measures of one source."""

    source: str
    requests: int
    """Requests that it gave criteria for."""
    measures: dict[str, Estimate]
    excluded: dict[str, int]
    """What is in no measure: reason to count."""


class CriteriaReport(Value):
    """Several sources of criteria, measured on the same requests and texts."""

    data: str
    model: str
    judge: str | None
    """Who scored the texts; None if there were none."""
    confirmed: bool
    """Whether a judge confirmed what is called a match."""
    placed_by: str
    """Embeddings that tell what lies near."""
    requests: int
    texts: int
    runs: int
    sources: tuple[SourceReport, ...]
    texts_alone: dict[str, Estimate]
    """What length alone reaches, and people among themselves."""
    differences: dict[str, dict[str, Estimate]]
    """`ours - other` to measure of agreement with people, on texts with scores under both."""
    excluded: dict[str, int]


async def profiles(
    cases: Sequence[Case], source: str, runs: int, results: Results, embeddings: Embeddings
) -> list[Profile]:
    """Measure the criteria of one source for each request that it gave some for."""
    found = [case for case in cases if results.criteria(case.request.id, source)]
    placed = [
        [await _placed(case, source, run, results, embeddings) for run in range(runs)]
        for case in found
    ]
    return [
        await _profile(
            case,
            source,
            own,
            [other[0] for place, other in enumerate(placed) if place != number],
            results,
            embeddings,
        )
        for number, (case, own) in enumerate(zip(found, placed, strict=True))
    ]


async def report(
    cases: Sequence[Case],
    sources: Sequence[str],
    results: Results,
    embeddings: Embeddings,
    *,
    runs: int,
    seed: int,
    excluded: Mapping[str, int],
    **about: Any,
) -> CriteriaReport:
    """Put the sources side by side.

    Args:
        cases: The requests; those that a source failed on are counted as excluded.
        sources: Names, in the order of the columns.
        results: What has been found, all of it or some.
        embeddings: Tell what lies near.
        runs: Runs of each source that varies.
        seed: Of the bootstrap.
        excluded: Records that could not be used at all.
        about: The fields of the report that say what was measured.
    """
    by_text = {row.key: row for row in results.scored}
    judged_texts = any(case.texts for case in cases) and about["judge"] is not None
    scored = {name: scored_texts(cases, by_text, name) for name in sources}
    columns, alone = [], {}
    for name in sources:
        measured = await profiles(cases, name, runs, results, embeddings)
        measures = {at: _estimate(measured, how, seed) for at, how in MEASURES.items()}
        lost = Counter(_lost(cases, name, results))
        if judged_texts:
            agreed = judge_report(
                *scored[name], judge=about["judge"], criteria=name, data=about["data"], seed=seed
            )
            alone = {at: one for at, one in agreed.measures.items() if at in SHARED}
            measures |= {at: one for at, one in agreed.measures.items() if at not in SHARED}
            lost += Counter(agreed.excluded)
        columns.append(
            SourceReport(
                source=name,
                requests=len(measured),
                measures={at: one for at, one in measures.items() if one.value is not None},
                excluded=dict(lost),
            )
        )
    compared = {
        f"{OURS} - {name}": differences(scored[OURS], scored[name], seed=seed)
        for name in sources
        if judged_texts and OURS in sources and name != OURS
    }
    return CriteriaReport(
        requests=len(cases),
        texts=sum(len(case.texts) for case in cases),
        runs=runs,
        sources=tuple(columns),
        texts_alone=alone,
        differences=compared,
        excluded=dict(excluded),
        **about,
    )


def _lost(cases: Sequence[Case], source: str, results: Results) -> list[str]:
    """Why the source gave nothing, once for each request on which it did not."""
    rows = (results.elicited.get((case.request.id, source, 0)) for case in cases)
    return [row.reason if row else "not reached" for row in rows if row is None or not row.found]


async def _placed(
    case: Case, source: str, run: int, results: Results, embeddings: Embeddings
) -> Vectors:
    criteria = results.criteria(case.request.id, source, run)
    return await vectors([each.shown for each in wordings(criteria)], embeddings)


async def _profile(
    case: Case,
    source: str,
    own: Sequence[Vectors],
    others: Sequence[Vectors],
    results: Results,
    embeddings: Embeddings,
) -> Profile:
    row = results.elicited.get((case.request.id, source, 0))
    assert row is not None
    assert row.found is not None
    matched = results.matched.get((case.request.id, source))
    clauses = await vectors(_clauses(case), embeddings)
    told = _told_apart(case, source, results)
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
        spreads=tuple(spreads(told).values()),
        silences=tuple(silent(told).values()),
    )


def _clauses(case: Case) -> list[str]:
    try:
        return [incident.text for incident in segment(writing_task(case.request.request))]
    except InputError:  # the source of the criteria may read what we do not
        return []


def _told_apart(case: Case, source: str, results: Results) -> dict[str, tuple[float, ...]]:
    """Criterion id to the scores of the request's texts on it."""
    rows = results.scores(case, source)
    given = [{v.criterion_id: v.score for v in row.verdicts} for row in rows]
    criteria = judged(results.criteria(case.request.id, source))
    return {
        each.id: tuple(scores[each.id] for scores in given if each.id in scores)
        for each in criteria
    }


Rows = Sequence[Profile]
Number = Callable[[Profile], float | None]


def _mean(number: Number) -> Callable[[Rows], float | None]:
    def measure(rows: Rows) -> float | None:
        found = [value for row in rows if (value := number(row)) is not None]
        return fmean(found) if found else None

    return measure


def _share(part: Number, whole: Number) -> Callable[[Rows], float | None]:
    """A share over all requests together, so that every criterion counts the same."""

    def measure(rows: Rows) -> float | None:
        both = [(part(row), whole(row)) for row in rows]
        known = [(p, w) for p, w in both if p is not None and w is not None]
        total = sum(w for _, w in known)
        return sum(p for p, _ in known) / total if total else None

    return measure


def _spread(rows: Rows) -> float | None:
    found = [value for row in rows for value in row.spreads]
    return fmean(found) if found else None


def _silence(kind: str) -> Callable[[Rows], float | None]:
    return _share(lambda row: row.silences.count(kind), lambda row: len(row.spreads))


MEASURES: dict[str, Callable[[Rows], float | None]] = {
    "criteria": _mean(lambda row: row.criteria),
    "recall": _share(lambda row: row.matched, lambda row: row.human),
    "precision": _share(lambda row: row.matched, lambda row: row.criteria),
    "coverage": _share(lambda row: row.covered, lambda row: row.clauses),
    "cited": _mean(lambda row: row.cited),
    "near_duplicates": _share(lambda row: row.duplicates, lambda row: row.criteria),
    "criteria_per_code": _share(lambda row: row.criteria, lambda row: row.codes),
    "reusability": _share(lambda row: row.reused, lambda row: row.criteria),
    "consistency": _mean(lambda row: row.consistency),
    "discrimination": _spread,
    "saturated": _silence("saturated"),
    "dead": _silence("dead"),
    "calls": _mean(lambda row: row.calls),
    "tokens": _mean(lambda row: row.tokens),
}
"""Name of a measure to how it is computed from the requests of a source."""


def _estimate(measured: Rows, how: Callable[[Rows], float | None], seed: int) -> Estimate:
    return cluster_bootstrap(measured, lambda row: row.request, how, seed=seed)
