"""Roles: one prompt, one schema and one function each, on the values of Grounded Theory."""

from quillgraph.agents.domain import (
    Category,
    Code,
    Core,
    CriteriaSet,
    Criterion,
    Draft,
    Incident,
    WritingTask,
)
from quillgraph.agents.requests.task import writing_task
from quillgraph.agents.role import Role

__all__ = [
    "Category",
    "Code",
    "Core",
    "CriteriaSet",
    "Criterion",
    "Draft",
    "Incident",
    "Role",
    "WritingTask",
    "writing_task",
]
