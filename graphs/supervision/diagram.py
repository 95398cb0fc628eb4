"""A graph as a picture: Mermaid, or a PNG file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import networkx as nx

from quillgraph.backends.errors import ConfigError, StorageError
from quillgraph.graphs.episodes.source import Graph, compiled_form


def mermaid_of(graph: Graph) -> str:
    """Draw a graph, subgraphs opened up, as Mermaid."""
    return compiled_form(graph).get_graph(xray=1).draw_mermaid()


def draw_png(graph: Graph, png: Path) -> None:
    """Draw a graph, subgraphs opened up, into a PNG file.

    Raises:
        ConfigError: If matplotlib is missing.
        StorageError: If the picture cannot be written.
    """
    drawing = compiled_form(graph).get_graph(xray=1)
    if find_spec("matplotlib") is None:
        raise ConfigError("--png needs matplotlib: pip install 'quillgraph[plot]'")
    _paint(nx.DiGraph((edge.source, edge.target) for edge in drawing.edges), png)


def _paint(graph: nx.DiGraph[str], png: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    places = _layers(graph)
    rows = len({place[1] for place in places.values()})
    figure, axes = plt.subplots(figsize=(10, 0.8 * rows + 1))
    nx.draw_networkx_edges(graph, places, ax=axes, edge_color="#888888", node_size=2400)
    labels = {node: str(node).strip("_").replace(":", "\n") for node in graph}
    box = {"boxstyle": "round", "facecolor": "#eef3f8", "edgecolor": "#5b7a99"}
    nx.draw_networkx_labels(graph, places, labels, ax=axes, font_size=8, bbox=box)
    axes.axis("off")
    try:
        figure.savefig(png, dpi=150, bbox_inches="tight")
    except OSError as error:
        raise StorageError(f"cannot write {png}: {error.strerror}") from error
    finally:
        plt.close(figure)


def _layers(graph: nx.DiGraph[str]) -> dict[str, Any]:
    """Place the nodes from top to bottom in the order of the flow, loops taken as one step."""
    steps = nx.condensation(graph)
    for layer, generation in enumerate(nx.topological_generations(steps)):
        for step in generation:
            for node in steps.nodes[step]["members"]:
                graph.nodes[node]["layer"] = layer
    places: dict[str, Any] = nx.multipartite_layout(graph, subset_key="layer", align="horizontal")
    return {node: (place[0], -place[1]) for node, place in places.items()}
