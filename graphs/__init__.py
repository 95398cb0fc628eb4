"""LangGraph state graphs that wire the roles; each module has a `build()`."""

from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.episodes.durability import durable
from quillgraph.graphs.episodes.episode import (
    Attempt,
    Episode,
    Failure,
    Question,
    WrittenEpisode,
)
from quillgraph.graphs.episodes.registry import GRAPHS, build
from quillgraph.graphs.episodes.runner import run_graph, run_graphs
from quillgraph.graphs.episodes.source import Declined, EpisodeSource, episode_source
from quillgraph.graphs.memory.library import Library
from quillgraph.graphs.memory.memory import Memory
from quillgraph.graphs.prebuilt import nodes
from quillgraph.graphs.prebuilt.debate import Arena
from quillgraph.graphs.prebuilt.judge import judge, judge_text
from quillgraph.graphs.prebuilt.run import write
from quillgraph.graphs.prebuilt.voting import Panel
from quillgraph.graphs.prebuilt.workshop import Assignment, Workshop
from quillgraph.graphs.study import provenance
from quillgraph.graphs.study.run import find_criteria, ground_criteria
from quillgraph.graphs.study.state import ROLES, Grounding, Study

__all__ = [
    "GRAPHS",
    "ROLES",
    "Arena",
    "Assignment",
    "Attempt",
    "Declined",
    "Episode",
    "EpisodeSource",
    "Failure",
    "Grounding",
    "Library",
    "Memory",
    "Panel",
    "Question",
    "Study",
    "Workshop",
    "WrittenEpisode",
    "build",
    "cast",
    "durable",
    "episode_source",
    "find_criteria",
    "ground_criteria",
    "judge",
    "judge_text",
    "nodes",
    "provenance",
    "run_graph",
    "run_graphs",
    "write",
]
