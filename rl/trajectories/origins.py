"""Trace a row's advantage back: row ← node ← verdict ← criterion ← … ← the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import networkx as nx

from quillgraph.agents.judgements import Judgement, Verdict
from quillgraph.graphs.study import Grounding, behind, trace, words_behind
from quillgraph.rl.trajectories.credit import Owners, Parts, node_credit
from quillgraph.rl.trajectories.rows import Row

REST = "rest"
"""Node for the part of an advantage that all nodes share, since no single one is responsible."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One verdict behind a row's advantage, and everything that its criterion comes from."""

    criterion_id: str
    score: float
    quote: str | None
    """The sentence of the text that the verdict cites."""
    credit: float
    """Credit that the verdict gave to the row's node. Over all nodes, these and the credit without
    a verdict sum to the trajectory's advantage."""
    categories: tuple[str, ...]
    codes: tuple[str, ...]
    incidents: tuple[str, ...]
    words: tuple[str, ...]
    """The words of the request and the drafts, verbatim."""


def row_origins(
    row: int,
    study: Grounding | nx.DiGraph[Any],
    judgement: Judgement,
    rows: Sequence[Row],
    advantage: float,
    **credited: Any,
) -> tuple[Origin, ...]:
    """Trace a row's advantage back to the words that it comes from, in one call.

    It calls `graphs.study.trace`, `trace_rows` and `origins`; call these yourself to write the
    graph, or to trace many rows.

    Args:
        row: Place of the row in the trajectory.
        study: The study of the criteria: its final state, or its graph as
            `graphs.study.provenance.read_json` reads it from the folder of a run.
        judgement: As for `trace_rows`.
        rows: As for `trace_rows`.
        advantage: As for `trace_rows`.
        credited: `parts` and `owners`, as for `trace_rows`.

    Returns:
        As `origins`.

    Raises:
        ValueError: As `trace_rows` and `origins` do.
    """
    graph = study if isinstance(study, nx.DiGraph) else trace(study)
    return origins(trace_rows(graph, judgement, rows, advantage, **credited), row)


def trace_rows(
    study: nx.DiGraph[Any],
    judgement: Judgement,
    rows: Sequence[Row],
    advantage: float,
    parts: Parts | None = None,
    owners: Owners | None = None,
) -> nx.DiGraph[Any]:
    """Extend the provenance graph of a study to the rows that learn from it.

    New nodes have `kind` verdict (`score`, `quote`), violation, node (`credit`), row (`advantage`)
    or rest. An edge into a node has `credit`, the credit that it brings.

    Args:
        study: The graph of `graphs.study.trace` for the criteria of the judgement.
        judgement: Judgement of the text.
        rows: The rows of the trajectory.
        advantage: The trajectory's advantage.
        parts: As for `node_credit`; None where every row has the whole advantage.
        owners: As for `node_credit`.

    Returns:
        A new graph, for `write_json`, `write_graphml` and `mermaid` of `graphs.study.provenance`.

    Raises:
        ValueError: If the study lacks a criterion of the judgement, or there are no rows.
    """
    graph: nx.DiGraph[Any] = study.copy()
    nodes = sorted({row.graph for row in rows})
    credit = node_credit(advantage, nodes, parts, owners)
    graph.add_node(REST, kind="rest", label="shared by all nodes")
    for node in nodes:
        graph.add_node(_node(node), kind="node", label=node, credit=float(credit[node]))
    rest = Fraction(advantage)
    for verdict in judgement.verdicts:
        mine = sorted(set((owners or {}).get(verdict.criterion_id, ())) & set(nodes))
        part = (parts or {}).get(verdict.criterion_id) if mine else None
        rest -= Fraction(part or 0)
        _add_verdict(graph, verdict, mine, part)
    for violation in judgement.violations:
        name = f"violation {violation.criterion_id}"
        graph.add_node(name, kind="violation", label=violation.reason)
        _hang(graph, violation.criterion_id, name, "broken by")
        graph.add_edge(name, REST, relation="counted in")
    for node in nodes:
        graph.add_edge(REST, _node(node), relation="shared by", credit=float(rest / len(nodes)))
    for number, row in enumerate(rows):
        weight = float(len(nodes) * credit[row.graph])
        label = f"row {number} of {row.role or row.node}: {weight:+.3f}"
        graph.add_node(f"row {number}", kind="row", label=label, advantage=weight)
        graph.add_edge(_node(row.graph), f"row {number}", relation="weighs")
    return graph


def origins(graph: nx.DiGraph[Any], row: int) -> tuple[Origin, ...]:
    """Walk from a row's advantage back to the words, the verdicts with most weight first.

    Args:
        graph: The graph of `trace_rows`.
        row: Place of the row in the trajectory.

    Returns:
        One origin for each verdict that is credited to the row's node, then one for each verdict
        that all nodes share, with `credit` 0.

    Raises:
        ValueError: If there is no such row.
    """
    name = f"row {row}"
    if name not in graph:
        raise ValueError(f"expected a row of the trajectory, got {row}")
    (node,) = graph.predecessors(name)
    own = {
        verdict: float(graph.edges[verdict, node]["credit"])
        for verdict in graph.predecessors(node)
        if verdict != REST
    }
    shared = [each for each in graph.predecessors(REST) if graph.nodes[each]["kind"] == "verdict"]
    credits = sorted(own.items(), key=lambda item: -abs(item[1])) + [(each, 0.0) for each in shared]
    return tuple(_origin(graph, verdict, credit) for verdict, credit in credits)


def _origin(graph: nx.DiGraph[Any], verdict: str, credit: float) -> Origin:
    (criterion,) = graph.predecessors(verdict)
    fields = graph.nodes[verdict]
    return Origin(
        criterion_id=criterion,
        score=fields["score"],
        quote=fields["quote"] or None,
        credit=credit,
        categories=behind(graph, criterion, "category"),
        codes=behind(graph, criterion, "code"),
        incidents=behind(graph, criterion, "incident"),
        words=words_behind(graph, criterion),
    )


def _add_verdict(
    graph: nx.DiGraph[Any], verdict: Verdict, mine: Sequence[str], part: float | None
) -> None:
    """Add a verdict between its criterion and the nodes with its credit, or the rest."""
    name = f"verdict {verdict.criterion_id}"
    label = f"{verdict.criterion_id}: {verdict.score:g} of 10"
    quote = verdict.quote or ""  # GraphML cannot hold None
    graph.add_node(name, kind="verdict", label=label, score=verdict.score, quote=quote)
    _hang(graph, verdict.criterion_id, name, "judged by")
    if part is None:
        graph.add_edge(name, REST, relation="counted in")
        return
    for node in mine:
        graph.add_edge(name, _node(node), relation="credited to", credit=part / len(mine))


def _node(path: str) -> str:
    return f"node {path}"


def _hang(graph: nx.DiGraph[Any], criterion: str, name: str, relation: str) -> None:
    if criterion not in graph:
        raise ValueError(
            f"expected a judgement under the study's criteria, got one on {criterion!r}: trace the "
            "study that its criteria come from"
        )
    graph.add_edge(criterion, name, relation=relation)
