"""Run any graph unchanged: cast its roles, record its calls, seal the result, resume it."""

from quillgraph.graphs.episodes.batch import (
    Batch,
    BatchEntry,
    Excluded,
    read_entries,
    read_entry,
)
from quillgraph.graphs.episodes.context import (
    Needs,
    cast,
    fitting,
    judges_of,
    measures_of,
    roles_of,
)
from quillgraph.graphs.episodes.durability import (
    EPISODES,
    Resuming,
    durable,
    read_calls,
    read_episodes,
)
from quillgraph.graphs.episodes.episode import (
    WAYS,
    Attempt,
    Episode,
    WrittenEpisode,
    reply_of,
    role_of,
    text_of,
)
from quillgraph.graphs.episodes.registry import GRAPHS, attribute_at, build, foreign
from quillgraph.graphs.episodes.runner import run_graph, run_graphs
from quillgraph.graphs.episodes.source import (
    Answer,
    EpisodeSource,
    Graph,
    Start,
    compiled_form,
    entry_of,
    episode_source,
)
from quillgraph.graphs.episodes.start import (
    TaskStart,
    complete_start,
    parts_of,
    schema_of,
    start_of,
)

__all__ = [
    "EPISODES",
    "GRAPHS",
    "WAYS",
    "Answer",
    "Attempt",
    "Batch",
    "BatchEntry",
    "Episode",
    "EpisodeSource",
    "Excluded",
    "Graph",
    "Needs",
    "Resuming",
    "Start",
    "TaskStart",
    "WrittenEpisode",
    "attribute_at",
    "build",
    "cast",
    "compiled_form",
    "complete_start",
    "durable",
    "entry_of",
    "episode_source",
    "fitting",
    "foreign",
    "judges_of",
    "measures_of",
    "parts_of",
    "read_calls",
    "read_entries",
    "read_entry",
    "read_episodes",
    "reply_of",
    "role_of",
    "roles_of",
    "run_graph",
    "run_graphs",
    "schema_of",
    "start_of",
    "text_of",
]
