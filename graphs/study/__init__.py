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

__all__ = [
    "ROLES",
    "STAGES",
    "Grounding",
    "Study",
    "StudyRun",
    "behind",
    "find_criteria",
    "ground_criteria",
    "opened_library",
    "stages_left_out",
    "trace",
    "words_behind",
]
