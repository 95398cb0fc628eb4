"""The graphs that have a name."""

import importlib
from typing import Any

from langgraph.graph import StateGraph

from quillgraph.backends.errors import ConfigError, nearest

GRAPHS = {
    "criteria": "the whole Grounded-Theory workflow",
    "sampling": "drafts, and blind notes on them",
    "open_coding": "open coding with constant comparison until saturation",
    "axial_coding": "codes into categories with poles and relations",
    "selective_coding": "core category, storyline and tiers",
    "criteria_writing": "criteria written, tried out and repaired",
    "judging": "one text: gate, checks, verdicts and reward",
    "reflection": "draft, judge, reflect, revise: accepted or rolled back",
    "best_of_n": "drafts side by side, of which the best is taken",
}
"""Name to what the graph does; each is a module of this package with a `build()`."""


def build(name: str) -> StateGraph[Any, Any, Any, Any]:
    """Build the graph of a name.

    Raises:
        ConfigError: If there is no such graph.
    """
    if name not in GRAPHS:
        raise ConfigError(f"unknown graph {name!r}: {nearest(name, GRAPHS)}")
    module = importlib.import_module(f"quillgraph.graphs.{name}")
    graph: StateGraph[Any, Any, Any, Any] = module.build()
    return graph
