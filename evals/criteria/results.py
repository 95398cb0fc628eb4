"""Results of a comparison of criteria: the criteria, their matches with people's, the scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quillgraph.agents.domain import Criterion, Value
from quillgraph.agents.judgements import Verdict, judged, text_hash
from quillgraph.evals.criteria.parity import TextScores
from quillgraph.evals.criteria.sources import HUMAN, Elicited
from quillgraph.evals.data.cases import Case, Cases
from quillgraph.evals.data.writingbench import (
    WRITINGBENCH,
    checklist_row,
    is_writingbench_id,
    scores_row,
)
from quillgraph.evals.ledger import Ledger
from quillgraph.evals.measures.matching import Overlap

ELICITED, MATCHED, SCORED = "criteria.jsonl", "overlaps.jsonl", "scores.jsonl"
"""Files of results, one JSON line each; interrupted work resumes from them."""


class Matched(Value):
    """Overlap of a source's criteria with people's for one request."""

    request: str
    source: str
    overlap: Overlap


@dataclass(frozen=True, slots=True)
class CriteriaResults:
    """Results of a comparison, by request and source."""

    elicited: Ledger[tuple[str, str, int], Elicited]
    """By request, source and run."""
    matched: Ledger[tuple[str, str], Matched]
    """By request and source."""
    scored: Ledger[tuple[str, str, str], TextScores]
    """By request, hash of the text and source."""

    @classmethod
    def within(cls, folder: Path | None = None) -> "CriteriaResults":
        """Open or create the results in a folder; None keeps them in memory."""
        return cls(
            Ledger.within(
                folder, ELICITED, Elicited, lambda row: (row.request, row.source, row.run)
            ),
            Ledger.within(folder, MATCHED, Matched, lambda row: (row.request, row.source)),
            Ledger.within(folder, SCORED, TextScores, lambda row: row.key),
        )

    def scores(self, case: Case, source: str) -> list[TextScores]:
        """The judge's scores of a request's texts so far."""
        keys = ((case.request.id, text_hash(text), source) for text in case.texts)
        rows = map(self.scored.rows.get, keys)
        return [row for row in rows if row]

    def criteria(self, request: str, source: str, run: int = 0) -> tuple[Criterion, ...]:
        """The criteria of a source; empty if it gave none."""
        row = self.elicited.rows.get((request, source, run))
        return row.found.criteria if row and row.found else ()

    def writingbench_files(
        self, cases: Cases, sources: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """Rows that the tools of WritingBench read.

        The n-th text of each request counts as the n-th writer's. Scores use the
        benchmark's own criteria: on others they could not be compared with published ones.

        Returns:
            Name of a file to its rows; empty if no request is from WritingBench.
        """
        if WRITINGBENCH not in cases.formats:
            return {}
        own = [case for case in cases.cases if is_writingbench_id(case.request.id)]
        files = {
            f"writingbench-{source.replace(' ', '-')}.jsonl": [
                checklist_row(case.request, criteria)
                for case in own
                if (criteria := self.criteria(case.request.id, source))
            ]
            for source in sources
        }
        for number in range(max((len(case.texts) for case in own), default=0)):
            rows = (_scores_of(case, number, self) for case in own)
            files[f"writingbench_scores/text-{number + 1}.jsonl"] = [row for row in rows if row]
        return {name: rows for name, rows in files.items() if rows}


def _scores_of(case: Case, number: int, results: CriteriaResults) -> dict[str, Any] | None:
    """The scores of one writer's text, each vote a score of its own.

    None if a verdict is missing: the benchmark would take the mean of the rest.
    """
    criteria = judged(results.criteria(case.request.id, HUMAN))
    if number >= len(case.texts) or not criteria:
        return None
    row = results.scored.rows.get((case.request.id, text_hash(case.texts[number]), HUMAN))
    verdicts = {each.criterion_id: each for each in row.verdicts} if row else {}
    if any(each.id not in verdicts for each in criteria):
        return None
    scores = {each.name: _votes(verdicts[each.id]) for each in criteria}
    return scores_row(case.request.id, scores)


def _votes(verdict: Verdict) -> list[tuple[float, str]]:
    return [(vote, verdict.reason) for vote in verdict.votes]
