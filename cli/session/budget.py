"""What a run may spend, as its settings say."""

from collections.abc import Sequence
from pathlib import Path

from quillgraph.backends import Allowance, Budget
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.cli.session.settings import Settings
from quillgraph.graphs.episodes import Graph, compiled_form, read_calls


def budget_of(settings: Settings, graphs: Sequence[Graph]) -> Budget:
    """Read the budgets of a run and of its nodes.

    Args:
        settings: They hold the budgets.
        graphs: The graphs that will run.

    Raises:
        ConfigError: On an amount that is none, or a node that no graph has.
    """
    nodes = {}
    for name, amounts in settings.node_budgets.items():
        known = {node for graph in graphs for node in _nodes_of(graph)}
        if name not in known:
            raise ConfigError(f"--node-budget: unknown node {name!r}: {nearest(name, known)}")
        try:
            nodes[name] = Allowance.parse(amounts)
        except ConfigError as error:
            raise ConfigError(f"--node-budget {name}: {error}") from error
    return Budget(settings.max_calls, settings.max_tokens_total, settings.timeout, nodes)


def _nodes_of(graph: Graph) -> set[str]:
    """Names of a graph's nodes, and of those of the graphs within it."""
    drawn = compiled_form(graph).get_graph(xray=True).nodes
    return {part for name in drawn for part in name.split(":") if not part.startswith("__")}


def charge_earlier(budget: Budget, folder: Path) -> None:
    """Charge what earlier processes of a run have spent: its limits hold for all of it."""
    for call in read_calls(folder):
        if not call.replayed:
            budget.charge(call.graph.split("/"), call.prompt_tokens + call.completion_tokens)
