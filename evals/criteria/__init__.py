"""Automatic criteria against people's."""

from quillgraph.evals.criteria.checklists import files_for
from quillgraph.evals.criteria.comparison import CriteriaComparison, Results
from quillgraph.evals.criteria.report import MEASURES, CriteriaReport, criteria_report
from quillgraph.evals.criteria.sources import (
    ONE_SHOT,
    OURS,
    CriteriaSource,
    generic_source,
    human_source,
    one_shot_source,
    study_source,
)

__all__ = [
    "MEASURES",
    "ONE_SHOT",
    "OURS",
    "CriteriaComparison",
    "CriteriaReport",
    "CriteriaSource",
    "Results",
    "criteria_report",
    "files_for",
    "generic_source",
    "human_source",
    "one_shot_source",
    "study_source",
]
