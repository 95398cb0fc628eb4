"""`quillgraph graphs`: list the graphs, draw one as Mermaid or as a picture."""

import json
import sys
from pathlib import Path

from quillgraph.agents.text import visible
from quillgraph.graphs.episodes import GRAPHS, build, foreign
from quillgraph.graphs.supervision import draw_png, mermaid_of


def list_graphs(*, as_json: bool) -> None:
    """Print every graph with its description; graphs of other packages also show their origin."""
    others = {name: f"from {point.value}" for name, point in foreign().items()}
    if as_json:
        sys.stdout.write(json.dumps({**GRAPHS, **others}) + "\n")
        return
    for name, purpose in {**GRAPHS, **others}.items():
        sys.stdout.write(f"{name:18} {visible(purpose)}\n")


def draw_graph(name: str, png: Path | None) -> None:
    """Draw a graph, subgraphs opened up: Mermaid on stdout, or a PNG file.

    Raises:
        ConfigError: If there is no such graph, or matplotlib is missing for a picture.
        StorageError: If the picture cannot be written.
    """
    graph = build(name)
    if png is None:
        sys.stdout.write(mermaid_of(graph))
    else:
        draw_png(graph, png)
