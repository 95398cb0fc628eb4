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
    from quillgraph.evals import compare_criteria as acompare_criteria
    from quillgraph.evals import compare_policies as acompare_policies
    from quillgraph.graphs import Episode
    from quillgraph.graphs import find_criteria as afind_criteria
    from quillgraph.graphs import judge as ajudge
    from quillgraph.graphs import run_graph as arun_graph
    from quillgraph.graphs import run_graphs as arun_graphs
    from quillgraph.graphs import write as awrite
    from quillgraph.rl import Trajectory
    from quillgraph.rl.stages import train
    from quillgraph.verbs import (
        compare_criteria,
        compare_policies,
        find_criteria,
        judge,
        run_graph,
        run_graphs,
        write,
    )

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
    "acompare_criteria",
    "acompare_policies",
    "afind_criteria",
    "ajudge",
    "arun_graph",
    "arun_graphs",
    "awrite",
    "compare_criteria",
    "compare_policies",
    "connect",
    "connect_embeddings",
    "find_criteria",
    "judge",
    "run_graph",
    "run_graphs",
    "train",
    "write",
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
    "acompare_criteria": "evals:compare_criteria",
    "acompare_policies": "evals:compare_policies",
    "afind_criteria": "graphs:find_criteria",
    "ajudge": "graphs:judge",
    "arun_graph": "graphs:run_graph",
    "arun_graphs": "graphs:run_graphs",
    "awrite": "graphs:write",
    "compare_criteria": "verbs:compare_criteria",
    "compare_policies": "verbs:compare_policies",
    "connect": "backends:connect",
    "connect_embeddings": "backends:connect_embeddings",
    "find_criteria": "verbs:find_criteria",
    "judge": "verbs:judge",
    "run_graph": "verbs:run_graph",
    "run_graphs": "verbs:run_graphs",
    "train": "rl.stages:train",
    "write": "verbs:write",
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
