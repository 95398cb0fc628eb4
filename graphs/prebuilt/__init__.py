"""Graphs that write and judge, and nodes for your own."""

from quillgraph.graphs.prebuilt.judge import (
    Assessed,
    Submission,
    judge_alone,
    judge_text,
    refuse_silence,
    submitted,
    unread,
)
from quillgraph.graphs.prebuilt.run import WritingRun, opened_memory, write
from quillgraph.graphs.prebuilt.workshop import WRITING_ROLES, Assignment, Reflecting, Workshop

__all__ = [
    "WRITING_ROLES",
    "Assessed",
    "Assignment",
    "Reflecting",
    "Submission",
    "Workshop",
    "WritingRun",
    "judge_alone",
    "judge_text",
    "opened_memory",
    "refuse_silence",
    "submitted",
    "unread",
    "write",
]
