"""Decision parity: one judge scores one set of texts by the criteria of several sources.

Criteria are as good as others if a judge who uses them agrees with people as well. Only criteria
that a judge scores count here: code decides hard criteria, and only the study has any.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from quillgraph.agents.domain import Criterion, Value
from quillgraph.agents.judgements import Verdict, text_hash
from quillgraph.agents.judges import Judge
from quillgraph.agents.requests import writing_task
from quillgraph.evals.data.cases import Case
from quillgraph.evals.data.records import Preference, RatedText
from quillgraph.evals.judges.report import (
    preference_accuracy,
    rank_agreement,
    rank_agreement_within,
)
from quillgraph.evals.judges.scores import JudgedText, ScoredPair, points, verdicts_on
from quillgraph.evals.measures.intervals import Estimate, cluster_bootstrap

Row = TypeVar("Row", JudgedText, ScoredPair)


class TextScores(Value):
    """The judge's scores of one text by the criteria of one source."""

    request: str
    """Id of the request."""
    text_sha: str
    source: str
    verdicts: tuple[Verdict, ...]
    judged: float | None
    """From 1 to 10; None if a verdict is missing."""
    reason: str = ""
    """Why there is no score."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Request, hash of the text and source: identifies the row."""
        return (self.request, self.text_sha, self.source)


Scores = Mapping[tuple[str, str, str], TextScores]
"""Scores by id of the request, hash of the text and name of the source."""


async def score_case_text(
    judge: Judge, case: Case, text: str, source: str, criteria: tuple[Criterion, ...]
) -> TextScores:
    """Judge one text of a case by the criteria of one source."""
    task = writing_task(case.request.request)
    verdicts, reason = await verdicts_on(judge, task, text, criteria)
    return TextScores(
        request=case.request.id,
        text_sha=text_hash(text),
        source=source,
        verdicts=verdicts,
        judged=None if reason else points(verdicts, criteria),
        reason=reason,
    )


def scored_texts(
    cases: Sequence[Case], scores: Scores, source: str
) -> tuple[list[JudgedText], list[ScoredPair]]:
    """Pair a source's scores with people's, in the form that reports on judges take."""
    texts = [_rated(case, text, scores, source) for case in cases for text in case.rated]
    pairs = [_paired(case, pair, scores, source) for case in cases for pair in case.pairs]
    return texts, pairs


def agreement_differences(
    left: tuple[Sequence[JudgedText], Sequence[ScoredPair]],
    right: tuple[Sequence[JudgedText], Sequence[ScoredPair]],
    *,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Estimate how much higher agreement with people is under the left criteria than the right.

    Both sides use the texts that have a score under both, and are resampled together, so that a
    text that is hard to judge is hard for both.

    Returns:
        Measure to estimate, for the measures that the data allow.
    """
    texts = _common(left[0], right[0], lambda row: row.judged is not None)
    pairs = _common(left[1], right[1], lambda row: row.choice is not None)
    differences = {}
    if texts:
        differences["spearman"] = _difference(texts, rank_agreement, seed)
        differences["spearman_within"] = _difference(texts, rank_agreement_within, seed)
    if pairs:
        differences["pair_accuracy"] = _difference(pairs, preference_accuracy, seed)
    return differences


def _common(
    left: Sequence[Row], right: Sequence[Row], is_read: Callable[[Row], bool]
) -> list[tuple[Row, Row]]:
    others = {row.id: row for row in right if is_read(row)}
    return [(row, others[row.id]) for row in left if is_read(row) and row.id in others]


def _difference(
    rows: Sequence[tuple[Row, Row]], measure: Callable[[Sequence[Row]], float | None], seed: int
) -> Estimate:
    def gained(sample: Sequence[tuple[Row, Row]]) -> float | None:
        one, other = (measure([row[side] for row in sample]) for side in (0, 1))
        return None if one is None or other is None else one - other

    return cluster_bootstrap(rows, lambda row: row[0].group, gained, seed=seed)


def _rated(case: Case, text: RatedText, scores: Scores, source: str) -> JudgedText:
    return _scored(case, text.id, text.text, scores, source).model_copy(
        update={"human": text.score}
    )


def _paired(case: Case, pair: Preference, scores: Scores, source: str) -> ScoredPair:
    left, right = (
        _scored(case, f"{pair.id}/{side}", text, scores, source)
        for side, text in (("left", pair.left), ("right", pair.right))
    )
    return ScoredPair(id=pair.id, group=case.request.id, left=left, right=right, votes=pair.votes)


def _scored(case: Case, name: str, text: str, scores: Scores, source: str) -> JudgedText:
    row = scores.get((case.request.id, text_hash(text), source))
    reason = row.reason if row else f"no criteria ({source})"
    return JudgedText(
        id=name,
        group=case.request.id,
        text=text,
        judged=row.judged if row else None,
        reason=reason,
    )
