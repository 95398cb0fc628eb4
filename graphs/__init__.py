"""LangGraph state graphs that wire the roles; each module has a `build()`."""

from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.episodes.durability import durable
from quillgraph.graphs.episodes.episode import Episode, WrittenEpisode
from quillgraph.graphs.episodes.registry import GRAPHS, build
from quillgraph.graphs.episodes.runner import run_graph, run_graphs
from quillgraph.graphs.episodes.source import EpisodeSource, episode_source
from quillgraph.graphs.prebuilt.debate import Arena
from quillgraph.graphs.prebuilt.voting import Panel
from quillgraph.graphs.prebuilt.workshop import Assignment, Workshop
from quillgraph.graphs.study.state import ROLES, Grounding, Study

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
    "cast",
    "durable",
    "episode_source",
    "run_graph",
    "run_graphs",
]
