"""Measures: agreement, intervals, matching, repeatability."""

from quillgraph.evals.measures.families import family_of_each
from quillgraph.evals.measures.intervals import Estimate, cluster_bootstrap
from quillgraph.evals.measures.matching import Confirm, WordedCriterion
from quillgraph.evals.measures.repeatability import reusability

__all__ = [
    "Confirm",
    "Estimate",
    "WordedCriterion",
    "cluster_bootstrap",
    "family_of_each",
    "reusability",
]
