"""LangGraph state graphs that wire the roles; each module has a `build()`."""

from quillgraph.graphs.arena import Arena
from quillgraph.graphs.durable import durable
from quillgraph.graphs.episode import Episode, WrittenEpisode
from quillgraph.graphs.panel import Panel
from quillgraph.graphs.registry import GRAPHS, build
from quillgraph.graphs.running import run_graph, run_graphs
from quillgraph.graphs.sources import EpisodeSource, episode_source
from quillgraph.graphs.study import ROLES, Grounding, Study
from quillgraph.graphs.workshop import Assignment, Workshop

__all__ = [
    "GRAPHS",
    "ROLES",
    "Arena",
    "Assignment",
    "Episode",
    "EpisodeSource",
    "Grounding",
    "Panel",
    "Study",
    "Workshop",
    "WrittenEpisode",
    "build",
    "durable",
    "episode_source",
    "run_graph",
    "run_graphs",
]
