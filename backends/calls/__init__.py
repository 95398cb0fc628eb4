"""What is known of each call: place, price, record."""

from quillgraph.backends.calls.budget import Budget, budgets_of, within
from quillgraph.backends.calls.journal import Journal
from quillgraph.backends.calls.jsonl import end_last_line, is_json, read_lines
from quillgraph.backends.calls.lineage import continuity, is_exact, used_calls
from quillgraph.backends.calls.listener import Listener
from quillgraph.backends.calls.place import Place
from quillgraph.backends.calls.record import (
    CallRecord,
    Recorder,
    read_records,
    recorder_of,
)

__all__ = [
    "Budget",
    "CallRecord",
    "Journal",
    "Listener",
    "Place",
    "Recorder",
    "budgets_of",
    "continuity",
    "end_last_line",
    "is_exact",
    "is_json",
    "read_lines",
    "read_records",
    "recorder_of",
    "used_calls",
    "within",
]
