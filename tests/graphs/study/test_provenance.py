"""From a criterion back to the words."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from quillgraph.agents.domain import (
    Category,
    Code,
    Core,
    Criterion,
    Draft,
    Incident,
    Property,
    WritingTask,
)
from quillgraph.graphs.study import provenance
from quillgraph.graphs.study.state import Grounding

REQUEST = 'Write of the sea. Say "salt" twice.\nBe kind. Be brief.'


def incident(number: int, text: str) -> Incident:
    start = REQUEST.index(text)
    return Incident(
        id=f"i{number}",
        source="request",
        doc_id="request",
        span=(start, start + len(text)),
        text=text,
    )


def note(name: str, doc: str, span: tuple[int, int], text: str, words: str) -> Incident:
    return Incident(id=name, source="draft", doc_id=doc, span=span, text=text, note=words)


def code(name: str, *evidence: str) -> Code:
    return Code(
        id=name, label=f"Code {name}", gloss="seen so", evidence=evidence, coder="reader",
        confidence=3,
    )  # fmt: skip


def category(name: str, *codes: str) -> Category:
    pole = Property(name="degree", low_pole="hardly", high_pole="always")
    return Category(
        id=name, name=f"Category {name}", definition="so", code_ids=codes, properties=(pole,)
    )


def criterion(name: str, parent: str | None, *evidence: str) -> Criterion:
    return Criterion(
        id=name, name=f"Criterion {name}", description="so", kind="soft" if parent else "hard",
        tier="essential", weight=1, levels={}, category_id=parent, evidence=evidence,
    )  # fmt: skip


def grounding(**changes: Any) -> Grounding:
    """Four clauses and two notes; i3 reaches a category that no criterion tests."""
    state = Grounding(
        task=WritingTask(request=REQUEST, language="en"),
        incidents=[
            incident(1, "Write of the sea."),
            incident(2, 'Say "salt" twice.'),
            incident(3, "Be kind."),
            incident(4, "Be brief."),
            note("d2.n1", "d2", (0, 6), "Grey.", "a colour"),
            note("d1.n1", "d1", (5, 11), "Waves.", "a sound"),
        ],
        drafts=[
            Draft(id="d1", text="Salt. Waves.", strength="strong"),
            Draft(id="d2", text="Grey.", strength="weak"),
        ],
        codes=(code("c1", "i1", "d1.n1"), code("c2", "i3"), code("c3", "i4", "d2.n1")),
        categories=(category("k1", "c1", "c3"), category("k2", "c2")),
        core=Core(category_id="k1", storyline="The sea is heard."),
        criteria=(criterion("h1", None, "i2"), criterion("k1.0", "k1", "i1", "d1.n1")),
    )
    state.update(changes)  # type: ignore[typeddict-item]  # a test's own changes
    return state


def test_coverage_counts_the_clauses_from_which_a_path_leads_to_a_criterion() -> None:
    # i1 by code, category and evidence; i2 by the hard criterion; i3 ends at k2; i4 by a code
    assert provenance.coverage(provenance.trace(grounding())) == 3 / 4


def test_notes_on_drafts_do_not_count_as_coverage() -> None:
    only_notes = grounding(
        criteria=(criterion("k1.0", "k1", "d1.n1"),), codes=(code("c3", "d2.n1"),),
        categories=(category("k1", "c3"),),
    )  # fmt: skip
    assert provenance.coverage(provenance.trace(only_notes)) == 0.0


def test_without_a_request_nothing_is_covered() -> None:
    notes = [note("d1.n1", "d1", (5, 11), "Waves.", "a sound")]
    nothing = grounding(
        incidents=notes, codes=(code("c1", "d1.n1"),), categories=(category("k1", "c1"),),
        criteria=(criterion("k1.0", "k1", "d1.n1"),),
    )  # fmt: skip
    assert provenance.coverage(provenance.trace(nothing)) == 0.0


def test_behind_a_criterion_stand_the_words_of_its_evidence_and_of_its_category() -> None:
    graph = provenance.trace(grounding())
    # the request first, then the drafts in order: c1 brings i1 and d1.n1, c3 i4 and d2.n1
    assert provenance.words_behind(graph, "k1.0") == (
        "Write of the sea.", "Be brief.", "Waves.", "Grey.",
    )  # fmt: skip
    assert provenance.words_behind(graph, "h1") == ('Say "salt" twice.',)


def test_a_path_through_the_core_stands_behind_nothing_and_covers_nothing() -> None:
    # every criterion serves the core, k1, on which i1 and i4 rest; this one tests k2 alone
    graph = provenance.trace(grounding(criteria=(criterion("k2.0", "k2", "i3"),)))
    assert nx.has_path(graph, "i1", "k2.0")
    assert provenance.words_behind(graph, "k2.0") == ("Be kind.",)
    assert provenance.coverage(graph) == 1 / 4


def test_every_criterion_reaches_a_span() -> None:
    state = grounding()
    graph = provenance.trace(state)
    assert all(provenance.words_behind(graph, c.id) for c in state["criteria"])


def test_each_step_from_span_to_criterion_is_named() -> None:
    graph = provenance.trace(grounding())
    path = ["request:0-17", "i1", "c1", "k1", "k1.0"]
    assert [graph.nodes[node]["kind"] for node in path] == [
        "span", "incident", "code", "category", "criterion",
    ]  # fmt: skip
    assert [graph.edges[a, b]["relation"] for a, b in pairwise(path)] == [
        "read as", "coded as", "part of", "tested by",
    ]  # fmt: skip
    assert graph.edges["k1", "core"]["relation"] == "chosen as"
    assert graph.edges["core", "k1.0"]["relation"] == "served by"
    # what code decides serves no core
    assert list(graph.successors("core")) == ["k1.0"]
    assert graph.edges["i1", "k1.0"]["relation"] == "cited by"
    # a note is shown by what was noted, a clause by its words
    assert graph.nodes["d1.n1"]["label"] == "a sound"
    assert graph.nodes["i1"]["label"] == "Write of the sea."


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"criteria": (criterion("k1.0", "k1", "i9"),)}, "i9"),
        ({"codes": (code("c1", "i8"), code("c2", "i3"), code("c3", "d2.n1"))}, "i8"),
        ({"categories": (category("k1", "c7"), category("k2", "c2"))}, "c7"),
        ({"criteria": (criterion("k1.0", "k3", "i1"),)}, "k3"),
        ({"core": Core(category_id="k4", storyline="so")}, "k4"),
    ],
)
def test_what_rests_on_nothing_is_an_error(changes: dict[str, Any], missing: str) -> None:
    with pytest.raises(ValueError, match=f"rests on '{missing}', which is not in the study"):
        provenance.trace(grounding(**changes))


def test_json_gives_the_same_graph_back(tmp_path: Path) -> None:
    graph = provenance.trace(grounding(task=WritingTask(request="写海", language="zh")))
    provenance.write_graph(graph, tmp_path / "provenance.json")
    text = (tmp_path / "provenance.json").read_text(encoding="utf-8")
    read = nx.node_link_graph(json.loads(text), edges="edges")
    assert nx.utils.graphs_equal(read, graph)


def test_graphml_gives_the_same_graph_back(tmp_path: Path) -> None:
    graph = provenance.trace(grounding())
    provenance.write_graphml(graph, tmp_path / "provenance.graphml")
    read = nx.read_graphml(tmp_path / "provenance.graphml")
    assert dict(read.nodes(data=True)) == dict(graph.nodes(data=True))
    assert list(read.edges(data=True)) == list(graph.edges(data=True))


def test_graphml_can_be_read_whatever_characters_a_text_holds(tmp_path: Path) -> None:
    odd = grounding(core=Core(category_id="k1", storyline="a\x0cb\x1bc\ufffe"))
    provenance.write_graphml(provenance.trace(odd), tmp_path / "provenance.graphml")
    read = nx.read_graphml(tmp_path / "provenance.graphml")
    assert read.nodes["core"]["label"] == "a\ufffdb\ufffdc\ufffd"


def test_json_keeps_chinese_legible(tmp_path: Path) -> None:
    sea = Incident(id="i1", source="request", doc_id="request", span=(0, 2), text="写海")
    state = grounding(
        incidents=[sea], codes=(code("c1", "i1"),), categories=(category("k1", "c1"),),
        criteria=(criterion("k1.0", "k1", "i1"),),
    )  # fmt: skip
    provenance.write_graph(provenance.trace(state), tmp_path / "provenance.json")
    assert "写海" in (tmp_path / "provenance.json").read_text(encoding="utf-8")


def test_the_drawing_has_every_node_but_the_spans_and_breaks_on_no_label() -> None:
    long = "Twice " * 20
    graph = provenance.trace(grounding(core=Core(category_id="k1", storyline=f'{long}\n"sea"')))
    drawing = provenance.mermaid(graph)
    lines = drawing.splitlines()
    assert lines[0] == "flowchart LR"
    nodes = [line for line in lines if '["' in line]
    # 6 incidents, 3 codes, 2 categories, the core, 2 criteria
    assert len(nodes) == 14
    assert all(line.count('"') == 2 for line in nodes)
    assert "request:" not in drawing
    assert "  n1[\"Say 'salt' twice.\"]" in lines
    core = next(line for line in nodes if "Twice" in line)
    # 59 characters and an ellipsis
    assert core == f'  n11["{long[:59]}…"]'
    drawn = [(a, b) for a, b in graph.edges if ":" not in a]
    assert sum("-->" in line for line in lines) == len(drawn)
