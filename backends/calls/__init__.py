"""The records of calls: their place in a graph, what they cost, what came back."""

from quillgraph.backends.calls.budget import Budget, budgets_of, within
from quillgraph.backends.calls.journal import Journal
from quillgraph.backends.calls.jsonl import JsonLines, is_json
from quillgraph.backends.calls.lineage import continuity, is_exact, used_calls
from quillgraph.backends.calls.listener import Listener
from quillgraph.backends.calls.place import Place
from quillgraph.backends.calls.record import (
    CallRecord,
    Recorder,
    read_records,
    recorder_of,
)
from quillgraph.backends.calls.scope import (
    RunScope,
    config_around,
    current_scope,
    handlers_around,
    outside_runs,
    running,
    silence,
)

__all__ = [
    "Budget",
    "CallRecord",
    "Journal",
    "JsonLines",
    "Listener",
    "Place",
    "Recorder",
    "RunScope",
    "budgets_of",
    "config_around",
    "continuity",
    "current_scope",
    "handlers_around",
    "is_exact",
    "is_json",
    "outside_runs",
    "read_records",
    "recorder_of",
    "running",
    "silence",
    "used_calls",
    "within",
]
