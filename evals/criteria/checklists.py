"""Checklists and scores by them, as the tools of WritingBench read them.

`evaluate_benchmark.py` takes a file of requests, each with a `checklist` of criteria;
`calculate_scores.py` takes a folder of score files, one for each writer, with a line for each
request (github.com/X-PLUG/WritingBench, Apache-2.0). The former judges by criteria of ours, the
latter reads what our judge said.
"""

import re
from collections.abc import Sequence
from typing import Any

from quillgraph.agents.domain import Criterion
from quillgraph.agents.judgements import Verdict, judged, text_hash
from quillgraph.evals.criteria.comparison import Results
from quillgraph.evals.criteria.sources import HUMAN
from quillgraph.evals.data.cases import Case, Cases
from quillgraph.evals.data.records import RubricRequest

FORMAT = "writingbench"

SCORES = "writingbench_scores"
"""Folder for `--score_dir`."""

_INDEX = re.compile(r"(\d+) ")
"""How the id of a request of the benchmark begins; see `formats`."""


def files_for(
    cases: Cases, sources: Sequence[str], results: Results
) -> dict[str, list[dict[str, Any]]]:
    """What the tools of WritingBench can go on with.

    The n-th text of each request counts as the n-th writer's. Scores are those on the benchmark's
    own criteria: on others they would not stand beside anybody's.

    Returns:
        Name of a file to its lines; nothing where no request is of WritingBench.
    """
    if FORMAT not in cases.formats:
        return {}
    known = [case for case in cases.cases if _INDEX.match(case.request.id)]
    files = {
        f"writingbench-{source.replace(' ', '-')}.jsonl": [
            criteria_row(case.request, found)
            for case in known
            if (found := results.criteria(case.request.id, source))
        ]
        for source in sources
    }
    for number in range(max((len(case.texts) for case in known), default=0)):
        rows = (_scores_of(case, number, results) for case in known)
        files[f"{SCORES}/text-{number + 1}.jsonl"] = [row for row in rows if row]
    return {name: rows for name, rows in files.items() if rows}


def criteria_row(request: RubricRequest, criteria: Sequence[Criterion]) -> dict[str, Any]:
    """A request with criteria to evaluate texts by, as `--query_criteria_file` takes them.

    What code checks is left out: the benchmark's critic scores by levels, and it has none.
    """
    return {
        "index": index_of(request),
        "query": request.request,
        "checklist": [
            {"name": each.name, "criteria_description": each.description, **each.levels}
            for each in judged(tuple(criteria))
        ],
    }


def score_row(
    request: RubricRequest, criteria: Sequence[Criterion], verdicts: Sequence[Verdict]
) -> dict[str, Any] | None:
    """The scores of one writer's text, each vote a score of its own.

    Returns:
        The row; None where a verdict is missing, since the benchmark takes the mean of what there
        is.
    """
    by_id = {verdict.criterion_id: verdict for verdict in verdicts}
    wanted = judged(tuple(criteria))
    if not wanted or any(each.id not in by_id for each in wanted):
        return None
    return {
        "index": index_of(request),
        "scores": {
            each.name: [
                {"score": vote, "reason": by_id[each.id].reason} for vote in by_id[each.id].votes
            ]
            for each in wanted
        },
    }


def index_of(request: RubricRequest) -> int:
    """The benchmark's own number of one of its requests."""
    found = _INDEX.match(request.id)
    assert found
    return int(found[1])


def _scores_of(case: Case, number: int, results: Results) -> dict[str, Any] | None:
    criteria = results.criteria(case.request.id, HUMAN)
    if number >= len(case.texts) or not criteria:
        return None
    row = results.scored.rows.get((case.request.id, text_hash(case.texts[number]), HUMAN))
    return score_row(case.request, criteria, row.verdicts) if row else None
