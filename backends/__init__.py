"""Where words come from: chat models that say what they sampled, and the record of it."""

from quillgraph.backends.budgets import Allowance, Budget
from quillgraph.backends.capabilities import Capabilities, capabilities_of, require
from quillgraph.backends.cassette import Cassette, CassetteChat, CassetteEmbeddings
from quillgraph.backends.chat import ChatBackend, ChatRequest, ChatTurn, Completion
from quillgraph.backends.collecting import collecting_seldom
from quillgraph.backends.config import BackendSpec, connect
from quillgraph.backends.embeddings import connect_embeddings
from quillgraph.backends.local import default_backend
from quillgraph.backends.records import CallRecord, Recorder, peak_in_flight, read_records
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.backends.taping import CassetteRecorder
from quillgraph.backends.traces import (
    Alternative,
    Position,
    TokenTrace,
    alternatives_of,
    trace_of,
)
from quillgraph.backends.turns import ToolCall

__all__ = [
    "Allowance",
    "Alternative",
    "BackendSpec",
    "Budget",
    "CallRecord",
    "Capabilities",
    "Cassette",
    "CassetteChat",
    "CassetteEmbeddings",
    "CassetteRecorder",
    "ChatBackend",
    "ChatRequest",
    "ChatTurn",
    "Completion",
    "Position",
    "Recorder",
    "ScriptedChat",
    "TokenTrace",
    "ToolCall",
    "alternatives_of",
    "capabilities_of",
    "collecting_seldom",
    "connect",
    "connect_embeddings",
    "default_backend",
    "peak_in_flight",
    "read_records",
    "require",
    "trace_of",
]
