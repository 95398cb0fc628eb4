"""Compares automatic criteria with people's."""

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
from quillgraph.evals.criteria.tables import (
    caveat,
    comparison_rows,
    comparison_title,
    criteria_exclusions,
    parity_rows,
    plot_criteria,
    sources_markdown,
)

__all__ = [
    "MEASURES",
    "CriteriaComparison",
    "CriteriaOptions",
    "CriteriaReport",
    "CriteriaResults",
    "CriteriaSource",
    "Observer",
    "caveat",
    "compare_criteria",
    "comparison_rows",
    "comparison_title",
    "criteria_exclusions",
    "criteria_report",
    "generic_source",
    "human_source",
    "one_shot_source",
    "parity_rows",
    "plot_criteria",
    "sources_markdown",
    "study_source",
]
