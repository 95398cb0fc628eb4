"""From a request to a frozen set of criteria."""

from quillgraph.graphs.study.ablation import STAGES, stages_left_out
from quillgraph.graphs.study.provenance import behind, trace, words_behind
from quillgraph.graphs.study.run import (
    StudyRun,
    find_criteria,
    ground_criteria,
    opened_library,
)
from quillgraph.graphs.study.state import ROLES, Grounding, Study
from quillgraph.graphs.study.summary import (
    criteria_markdown,
    findings,
    quote,
    reached,
    summary,
    write_study,
)

__all__ = [
    "ROLES",
    "STAGES",
    "Grounding",
    "Study",
    "StudyRun",
    "behind",
    "criteria_markdown",
    "find_criteria",
    "findings",
    "ground_criteria",
    "opened_library",
    "quote",
    "reached",
    "stages_left_out",
    "summary",
    "trace",
    "words_behind",
    "write_study",
]
