"""Where a criterion comes from: span → incident → code → category → core → criterion."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import networkx as nx

from quillgraph.backends.errors import InputError, StorageError
from quillgraph.graphs.study.state import Grounding

_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def trace(state: Grounding) -> nx.DiGraph[Any]:
    """Build the provenance graph of a finished study.

    Nodes carry `kind` (span, incident, code, category, core, criterion) and `label`; spans also
    `doc`, `start`, `end` and the verbatim `text`. Edges point from a source to what is concluded
    from it, and carry `relation`. A hard criterion is linked to its incident directly, any other
    to its category and to the incidents that its writer cited.
    """
    graph: nx.DiGraph[Any] = nx.DiGraph()
    for incident in state["incidents"]:
        start, end = incident.span
        span = f"{incident.doc_id}:{start}-{end}"
        graph.add_node(
            span, kind="span", label=span, doc=incident.doc_id, start=start, end=end,
            text=incident.text,
        )  # fmt: skip
        graph.add_node(
            incident.id,
            kind="incident",
            label=incident.note or incident.text,
            source=incident.source,
        )
        graph.add_edge(span, incident.id, relation="read as")
    for code in state["codes"]:
        graph.add_node(code.id, kind="code", label=code.label)
        _link(graph, code.evidence, code.id, "coded as")
    for category in state["categories"]:
        graph.add_node(category.id, kind="category", label=category.name)
        _link(graph, category.code_ids, category.id, "part of")
    core = state["core"]
    if core.category_id:  # a study without selective coding has none
        graph.add_node("core", kind="core", label=core.storyline)
        _link(graph, [core.category_id], "core", "chosen as")
    for criterion in state["criteria"]:
        graph.add_node(criterion.id, kind="criterion", label=criterion.name, tier=criterion.tier)
        _link(graph, criterion.evidence, criterion.id, "cited by")
        if criterion.category_id is not None:
            _link(graph, [criterion.category_id], criterion.id, "tested by")
            if "core" in graph:
                graph.add_edge("core", criterion.id, relation="served by")
    return graph


def words_behind(graph: nx.DiGraph[Any], criterion_id: str) -> tuple[str, ...]:
    """The words that a criterion rests on: those of the request first, then those of the drafts."""
    behind: set[Any] = nx.ancestors(_without_core(graph), criterion_id)
    spans = [data for node, data in graph.nodes(data=True) if node in behind and "start" in data]
    spans.sort(key=lambda span: (span["doc"] != "request", span["doc"], span["start"]))
    return tuple(span["text"] for span in spans)


def behind(graph: nx.DiGraph[Any], node: str, kind: str) -> tuple[str, ...]:
    """Ids of the nodes of one kind that a node rests on, such as the codes behind a criterion."""
    ancestors: set[Any] = nx.ancestors(_without_core(graph), node)
    return tuple(
        each for each, data in graph.nodes(data=True) if each in ancestors and data["kind"] == kind
    )


def coverage(graph: nx.DiGraph[Any]) -> float:
    """Share of the request's incidents from which a path leads to a criterion."""
    demands = [n for n, data in graph.nodes(data=True) if data.get("source") == "request"]
    criteria = {n for n, data in graph.nodes(data=True) if data["kind"] == "criterion"}
    covered = [n for n in demands if criteria & nx.descendants(_without_core(graph), n)]
    return len(covered) / len(demands) if demands else 0.0


def write_graph(graph: nx.DiGraph[Any], path: Path) -> None:
    """Write the graph as node-link JSON."""
    data: dict[str, Any] = nx.node_link_data(graph, edges="edges")
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")


def read_json(path: Path) -> nx.DiGraph[Any]:
    """Read a graph from a file of `write_graph`.

    Raises:
        StorageError: If the file cannot be read.
        InputError: If the file holds no such graph.
    """
    try:
        graph = nx.node_link_graph(json.loads(path.read_text(encoding="utf-8")), edges="edges")
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, nx.NetworkXError) as error:
        raise InputError(
            f"expected a provenance graph in {path}, as a study writes it: {error}"
        ) from error
    if not isinstance(graph, nx.DiGraph):
        raise InputError(f"expected a directed graph in {path}, as a study writes it")
    return graph


def write_graphml(graph: nx.DiGraph[Any], path: Path) -> None:
    """Write the graph as GraphML, for tools such as Gephi and yEd.

    A character that XML does not allow, such as a form feed in a request, becomes U+FFFD.
    """
    legible = graph.copy()
    for _, data in legible.nodes(data=True):
        data.update({k: _NOT_XML.sub("\ufffd", v) for k, v in data.items() if isinstance(v, str)})
    nx.write_graphml(legible, path)


def mermaid(graph: nx.DiGraph[Any]) -> str:
    """Draw the graph as a Mermaid flow chart, without the spans behind the incidents."""
    nodes = [n for n, data in graph.nodes(data=True) if data["kind"] != "span"]
    name = {node: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    lines += [f'  {name[node]}["{_node_label(graph.nodes[node]["label"])}"]' for node in nodes]
    lines += [
        f"  {name[a]} -->|{data['relation']}| {name[b]}"
        for a, b, data in graph.edges(data=True)
        if a in name and b in name
    ]
    return "\n".join(lines) + "\n"


def _without_core(graph: nx.DiGraph[Any]) -> nx.DiGraph[Any]:
    # the core leads to every criterion, so a path through it is evidence for none in particular
    direct: nx.DiGraph[Any] = graph.subgraph([node for node in graph if node != "core"])
    return direct


def _link(graph: nx.DiGraph[Any], sources: Iterable[str], target: str, relation: str) -> None:
    for source in sources:
        if source not in graph:
            raise ValueError(f"{target!r} rests on {source!r}, which is not in the study")
        graph.add_edge(source, target, relation=relation)


def _node_label(label: str) -> str:
    short = label if len(label) <= 60 else label[:59] + "…"
    return short.replace('"', "'").replace("\n", " ")
