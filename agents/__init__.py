"""Roles: one prompt, one schema and one function each, on the values of Grounded Theory."""

from quillgraph.agents.asking import Role
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
from quillgraph.agents.tasks import writing_task

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
