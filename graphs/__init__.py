"""LangGraph state graphs that wire the roles; each module has a `build()`."""

from quillgraph.graphs.arena import Arena
from quillgraph.graphs.durable import durable
from quillgraph.graphs.episode import Episode
from quillgraph.graphs.panel import Panel
from quillgraph.graphs.registry import GRAPHS, build
from quillgraph.graphs.running import run_graph
from quillgraph.graphs.study import ROLES, Grounding, Study
from quillgraph.graphs.workshop import Assignment, Workshop

__all__ = [
    "GRAPHS",
    "ROLES",
    "Arena",
    "Assignment",
    "Episode",
    "Grounding",
    "Panel",
    "Study",
    "Workshop",
    "build",
    "durable",
    "run_graph",
]
