"""Automatic criteria against people's."""

from quillgraph.evals.criteria.comparison import (
    CriteriaComparison,
    CriteriaOptions,
    Observer,
    compare_criteria,
)
from quillgraph.evals.criteria.report import MEASURES, CriteriaReport, criteria_report
from quillgraph.evals.criteria.results import CriteriaResults
from quillgraph.evals.criteria.sources import (
    CriteriaSource,
    generic_source,
    human_source,
    one_shot_source,
    study_source,
)

__all__ = [
    "MEASURES",
    "CriteriaComparison",
    "CriteriaOptions",
    "CriteriaReport",
    "CriteriaResults",
    "CriteriaSource",
    "Observer",
    "compare_criteria",
    "criteria_report",
    "generic_source",
    "human_source",
    "one_shot_source",
    "study_source",
]
