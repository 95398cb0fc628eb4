"""Graphs that write and judge, and nodes for your own."""

from quillgraph.graphs.prebuilt.judge import Submission, judge_text
from quillgraph.graphs.prebuilt.workshop import WRITING_ROLES, Assignment, Reflecting, Workshop

__all__ = [
    "WRITING_ROLES",
    "Assignment",
    "Reflecting",
    "Submission",
    "Workshop",
    "judge_text",
]
