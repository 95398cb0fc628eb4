"""Where lessons and criteria live across processes."""

from quillgraph.graphs.memory.library import Library, Passed
from quillgraph.graphs.memory.memory import Memory, excerpt
from quillgraph.graphs.memory.recall import MOST_LESSONS
from quillgraph.graphs.memory.store import LIBRARY, MEMORY, OWN, FileKind

__all__ = [
    "LIBRARY",
    "MEMORY",
    "MOST_LESSONS",
    "OWN",
    "FileKind",
    "Library",
    "Memory",
    "Passed",
    "excerpt",
]
