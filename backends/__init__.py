"""Chat models that return the tokens they sampled, and the records of their calls."""

from quillgraph.backends.calls.budget import Allowance, Budget
from quillgraph.backends.calls.record import CallRecord, Recorder, read_records
from quillgraph.backends.capabilities import Capabilities, capabilities_of, require
from quillgraph.backends.cassette.chat import Cassette, CassetteChat, CassetteEmbeddings
from quillgraph.backends.cassette.recorder import CassetteRecorder
from quillgraph.backends.chat import ChatBackend, ChatRequest, ChatTurn, Completion
from quillgraph.backends.embeddings import connect_embeddings
from quillgraph.backends.errors import (
    BackendError,
    BudgetReached,
    ConfigError,
    InputError,
    QuillError,
    ReplyError,
    StorageError,
    nearest,
)
from quillgraph.backends.messages.trace import (
    Alternative,
    Position,
    TokenTrace,
    alternatives_of,
    trace_of,
)
from quillgraph.backends.messages.turn import ToolCall
from quillgraph.backends.runtime.gc import collecting_seldom
from quillgraph.backends.runtime.hardware import default_backend
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.backends.spec import BackendSpec, backend_class, backend_kinds, connect

__all__ = [
    "Allowance",
    "Alternative",
    "BackendError",
    "BackendSpec",
    "Budget",
    "BudgetReached",
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
    "ConfigError",
    "InputError",
    "Position",
    "QuillError",
    "Recorder",
    "ReplyError",
    "ScriptedChat",
    "StorageError",
    "TokenTrace",
    "ToolCall",
    "alternatives_of",
    "backend_class",
    "backend_kinds",
    "capabilities_of",
    "collecting_seldom",
    "connect",
    "connect_embeddings",
    "default_backend",
    "nearest",
    "read_records",
    "require",
    "trace_of",
]
