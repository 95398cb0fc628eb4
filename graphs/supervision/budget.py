"""What a run may spend, in all and in each node."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from quillgraph.backends import Allowance, Budget
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.graphs.episodes.durability import read_calls
from quillgraph.graphs.episodes.source import Graph, compiled_form


def node_allowances(amounts: Mapping[str, str], graphs: Sequence[Graph]) -> dict[str, Allowance]:
    """Read what each node may spend in all.

    Args:
        amounts: Node to amounts such as `20calls,5000tokens,30s`.
        graphs: The graphs that will run.

    Raises:
        ConfigError: On an amount that is none, or a node that no graph has.
    """
    nodes = {}
    known = {node for graph in graphs if amounts for node in _nodes_of(graph)}
    for name, words in amounts.items():
        if name not in known:
            raise ConfigError(f"--node-budget: unknown node {name!r}: {nearest(name, known)}")
        try:
            nodes[name] = Allowance.parse(words)
        except ConfigError as error:
            raise ConfigError(f"--node-budget {name}: {error}") from error
    return nodes


def _nodes_of(graph: Graph) -> set[str]:
    """Names of a graph's nodes, and of those of the graphs within it."""
    drawn = compiled_form(graph).get_graph(xray=True).nodes
    return {part for name in drawn for part in name.split(":") if not part.startswith("__")}


def charge_earlier(budget: Budget, folder: Path) -> None:
    """Charge what earlier processes of a run have spent: its limits hold for all of it."""
    for call in read_calls(folder):
        if not call.replayed:
            budget.charge(call.graph.split("/"), call.prompt_tokens + call.completion_tokens)
