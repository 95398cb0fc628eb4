"""WritingBench's own formats (arXiv:2503.05244): its requests are read, its tools read our rows.

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
"""How the id of a request begins; see `read_writingbench`."""


def read_writingbench(row: Mapping[str, Any], place: str) -> Iterator[RubricRequest]:
    """Read a request with its checklist.

    Its id goes on with the domain: the published files give some indices twice, in different ones.
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
    """Whether an id is of one of the benchmark's requests."""
    return bool(_INDEX.match(request_id))


def checklist_row(request: RubricRequest, criteria: Sequence[Criterion]) -> dict[str, Any]:
    """A request with criteria to evaluate texts by, as `--query_criteria_file` takes them.

    What code checks is left out: the benchmark's critic scores by levels, and it has none.
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
    """What a judge says of a writer's texts, as `calculate_scores.py` reads it.

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
