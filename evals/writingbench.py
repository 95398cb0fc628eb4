"""Files as the tools of WritingBench read them (github.com/X-PLUG/WritingBench, Apache-2.0).

`evaluate_benchmark.py` reads requests with a `checklist` of criteria; `calculate_scores.py` reads a
folder of score files, one for each writer, with a line for each request.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from quillgraph.agents.domain import Criterion
from quillgraph.agents.judgements import Verdict, judged
from quillgraph.backends.errors import InputError
from quillgraph.evals.human_data import RubricRequest


def index_of(request: RubricRequest) -> int:
    """The benchmark's own number of a request.

    Raises:
        InputError: If the request does not come from WritingBench.
    """
    if not (found := re.match(r"(\d+) ", request.id)):
        raise InputError(f"expected a request of WritingBench, got {request.id!r}")
    return int(found[1])


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
    """The scores of one writer's text, as `--score_dir` takes them.

    Returns:
        The row, each vote a score of its own; None where a verdict is missing, since the
        benchmark takes the mean of what is there.
    """
    by_id: Mapping[str, Verdict] = {verdict.criterion_id: verdict for verdict in verdicts}
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
