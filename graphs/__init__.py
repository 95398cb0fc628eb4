"""LangGraph state graphs that wire the roles; each module has a `build()`."""

from quillgraph.graphs.registry import GRAPHS, build
from quillgraph.graphs.study import ROLES, Grounding, Study

__all__ = ["GRAPHS", "ROLES", "Grounding", "Study", "build"]
