"""What a request says."""

from quillgraph.agents.requests.audit import audit_request
from quillgraph.agents.requests.constraints import Constraint, find_constraints, is_said_in_full
from quillgraph.agents.requests.segments import segment
from quillgraph.agents.requests.task import NO_REQUEST, writing_task

__all__ = [
    "NO_REQUEST",
    "Constraint",
    "audit_request",
    "find_constraints",
    "is_said_in_full",
    "segment",
    "writing_task",
]
