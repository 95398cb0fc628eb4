"""LangGraph state graphs that wire the roles; each module has a `build()`."""

from quillgraph.graphs.episode import Episode
from quillgraph.graphs.registry import GRAPHS, build
from quillgraph.graphs.study import ROLES, Grounding, Study
from quillgraph.graphs.workshop import Assignment, Workshop

__all__ = [
    "GRAPHS",
    "ROLES",
    "Assignment",
    "Episode",
    "Grounding",
    "Study",
    "Workshop",
    "build",
]
