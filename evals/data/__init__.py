"""Reads people's judgements and requests from files."""

from quillgraph.evals.data.cases import Case, Cases, cases_of
from quillgraph.evals.data.prompts import prompts_of
from quillgraph.evals.data.rubrics import generic_rubric

__all__ = [
    "Case",
    "Cases",
    "cases_of",
    "generic_rubric",
    "prompts_of",
]
