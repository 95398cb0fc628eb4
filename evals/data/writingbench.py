"""Reads and writes the formats of WritingBench (arXiv:2503.05244).

`evaluate_benchmark.py` takes a file of requests, each with a `checklist` of criteria, and a file
of responses; `calculate_scores.py` takes a folder of score files, one for each writer, with a line
for each request (github.com/X-PLUG/WritingBench, Apache-2.0).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from quillgraph.agents.domain import LEVELS, Criterion
from quillgraph.agents.judgements import judged
from quillgraph.evals.data.records import HumanCriterion, RubricRequest

WRITINGBENCH = "writingbench"

_INDEX = re.compile(r"(\d+) ")
"""Matches the start of a request's id; see `read_writingbench`."""


def read_writingbench(row: Mapping[str, Any], place: str) -> Iterator[RubricRequest]:
    """Read a request with its checklist.

    Its id contains the domain, since the published files reuse some indices across domains.
    """
    yield RubricRequest(
        id=f"{row['index']} {row['domain2']}",
        request=row["query"],
        criteria=tuple(
            HumanCriterion(
                name=each["name"],
                description=each["criteria_description"],
                levels={band: each[band] for band in LEVELS if band in each},
            )
            for each in row.get("checklist") or row["criteria"]
        ),
    )


def is_writingbench_id(request_id: str) -> bool:
    """Whether an id belongs to a request of the benchmark."""
    return bool(_INDEX.match(request_id))


def checklist_row(request: RubricRequest, criteria: Sequence[Criterion]) -> dict[str, Any]:
    """A request with its criteria, as `--query_criteria_file` takes them.

    Criteria that code checks are left out: the benchmark's critic scores by levels, and they have
    none.
    """
    return {
        "index": _index(request.id),
        "query": request.request,
        "checklist": [
            {"name": each.name, "criteria_description": each.description, **each.levels}
            for each in judged(tuple(criteria))
        ],
    }


def response_row(request_id: str, text: str) -> dict[str, Any]:
    """A text of a writer, as `evaluate_benchmark.py` reads it."""
    return {"index": _index(request_id), "response": text}


def scores_row(
    request_id: str, scores: Mapping[str, Sequence[tuple[float, str]]]
) -> dict[str, Any]:
    """A judge's scores of a writer's texts, as `calculate_scores.py` reads them.

    Args:
        request_id: The request that the texts are for.
        scores: Name of a criterion to the scores on it, each with its reason.
    """
    return {
        "index": _index(request_id),
        "scores": {
            name: [{"score": score, "reason": reason} for score, reason in rows]
            for name, rows in scores.items()
        },
    }


def _index(request_id: str) -> int:
    """The benchmark's own number of a request."""
    parts = _INDEX.match(request_id)
    assert parts is not None, request_id
    return int(parts[1])
