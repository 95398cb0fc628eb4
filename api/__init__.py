"""Criteria, judgements, controlled revision and training for writing without a reference answer.

The verbs are here as plain calls: they return when they are done, and work in a script as in a
notebook. In code of your own that is asynchronous, await the same verb with an `a` before its
name, such as `afind_criteria`; the packages below have coroutines alone, without that letter.

Names are looked up when they are asked for (PEP 562), so `import quillgraph` loads no engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quillgraph.agents import CriteriaSet, Criterion, writing_task
    from quillgraph.agents.judgements import Judgement, Reward
    from quillgraph.backends import connect, connect_embeddings
    from quillgraph.backends.errors import ConfigError, QuillError
    from quillgraph.graphs import Episode
    from quillgraph.graphs import run_graph as arun_graph
    from quillgraph.graphs import run_graphs as arun_graphs
    from quillgraph.rl import Trajectory
    from quillgraph.rl.stages import train
    from quillgraph.verbs import run_graph, run_graphs

    __version__: str

__all__ = [
    "ConfigError",
    "CriteriaSet",
    "Criterion",
    "Episode",
    "Judgement",
    "QuillError",
    "Reward",
    "Trajectory",
    "__version__",
    "arun_graph",
    "arun_graphs",
    "connect",
    "connect_embeddings",
    "run_graph",
    "run_graphs",
    "train",
    "writing_task",
]

_PLACES = {
    "ConfigError": "backends.errors:ConfigError",
    "CriteriaSet": "agents:CriteriaSet",
    "Criterion": "agents:Criterion",
    "Episode": "graphs:Episode",
    "Judgement": "agents.judgements:Judgement",
    "QuillError": "backends.errors:QuillError",
    "Reward": "agents.judgements:Reward",
    "Trajectory": "rl:Trajectory",
    "arun_graph": "graphs:run_graph",
    "arun_graphs": "graphs:run_graphs",
    "connect": "backends:connect",
    "connect_embeddings": "backends:connect_embeddings",
    "run_graph": "verbs:run_graph",
    "run_graphs": "verbs:run_graphs",
    "train": "rl.stages:train",
    "writing_task": "agents:writing_task",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
