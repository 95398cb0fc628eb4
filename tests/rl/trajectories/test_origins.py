"""From a row's advantage back to the words, in one call."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, TypedDict

import networkx as nx
import pytest
from langgraph.graph import START, StateGraph

from quillgraph.agents.domain import (
    Category,
    Code,
    Core,
    Criterion,
    Incident,
    Property,
    WritingTask,
)
from quillgraph.agents.judgements import Judgement, Verdict, Violation
from quillgraph.agents.requests import writing_task
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import InputError, StorageError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes import run_graph
from quillgraph.graphs.study import Grounding, Study, provenance
from quillgraph.graphs.study import workflow as criteria
from quillgraph.rl.trajectories.credit import by_evidence
from quillgraph.rl.trajectories.origins import origins, row_origins, trace_rows
from quillgraph.rl.trajectories.rows import Row, trajectory

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
REQUEST = "Write of the sea. Be brief."


class Poem(TypedDict, total=False):
    request: str
    text: str


def state() -> Grounding:
    """Two clauses, a code and a category each, k1 and k2; h1 is hard and rests on the second."""

    def criterion(name: str, parent: str | None, *evidence: str) -> Criterion:
        return Criterion(
            id=name, name=name, description="so", kind="soft" if parent else "hard",
            tier="essential", weight=1, levels={}, category_id=parent, evidence=evidence,
        )  # fmt: skip

    pole = Property(name="degree", low_pole="hardly", high_pole="always")
    return Grounding(
        task=WritingTask(request=REQUEST, language="en"),
        incidents=[
            Incident(
                id=name,
                source="request",
                doc_id="request",
                span=span,
                text=REQUEST[slice(*span)],
            )
            for name, span in (("i1", (0, 17)), ("i2", (18, 27)))
        ],
        codes=tuple(
            Code(id=f"c{n}", label="c", gloss="g", evidence=(f"i{n}",), coder="r", confidence=3)
            for n in (1, 2)
        ),
        categories=tuple(
            Category(id=f"g{n}", name="g", definition="d", code_ids=(f"c{n}",), properties=(pole,))
            for n in (1, 2)
        ),
        core=Core(category_id="g1", storyline="s"),
        criteria=(
            criterion("k1", "g1", "i1"),
            criterion("k2", "g2", "i2"),
            criterion("h1", None, "i2"),
        ),
    )


def study() -> nx.DiGraph[Any]:
    return provenance.trace(state())


JUDGEMENT = Judgement(
    criteria_sha="c", text_sha="t", judge="j",
    verdicts=(
        Verdict(criterion_id="k1", score=8, votes=(8,), quote="The sea was slow.", evidence="s1"),
        Verdict(criterion_id="k2", score=3, votes=(3,)),
    ),
    violations=(Violation(criterion_id="h1", reason="too long"),),
)  # fmt: skip


def row(node: str, call: int) -> Row:
    return Row(
        prompt_ids=(1,), completion_ids=(2,), logprobs=(-0.5,), mask=(True,), graph=node, node=node,
        visit=0, calls=(call,), role=node,
    )  # fmt: skip


ROWS = [row("plan", 0), row("write", 1), row("write", 2)]
PARTS = {"k1": 0.5, "k2": -0.75}


def test_a_row_leads_back_to_verdict_criterion_category_code_incident_and_words() -> None:
    # A = .25; k1 is the writer's, k2 is nobody's, so plan and write share .25 - .5 = -.25
    graph = trace_rows(study(), JUDGEMENT, ROWS, 0.25, PARTS, {"k1": ("write",)})
    first, second = origins(graph, 1)
    assert (first.criterion_id, first.score, first.credit) == ("k1", 8, 0.5)
    assert first.quote == "The sea was slow."
    assert (first.categories, first.codes, first.incidents) == (("g1",), ("c1",), ("i1",))
    assert first.words == ("Write of the sea.",)
    assert (second.criterion_id, second.credit, second.words) == ("k2", 0.0, ("Be brief.",))
    # the planner answers for neither; both are in what all nodes share
    assert [origin.criterion_id for origin in origins(graph, 0)] == ["k2"]
    # write: .5 - .125, times two nodes; plan: -.125, times two
    assert graph.nodes["row 1"]["advantage"] == graph.nodes["row 2"]["advantage"] == 0.75
    assert graph.nodes["row 0"]["advantage"] == -0.25


def test_one_call_leads_from_a_row_to_the_words() -> None:
    graph = trace_rows(study(), JUDGEMENT, ROWS, 0.25, PARTS, {"k1": ("write",)})
    credited: Any = {"parts": PARTS, "owners": {"k1": ("write",)}}
    for known in (state(), study()):
        traced = row_origins(1, known, JUDGEMENT, ROWS, 0.25, **credited)
        assert traced == origins(graph, 1)
        assert [origin.words for origin in traced] == [("Write of the sea.",), ("Be brief.",)]


async def test_the_words_are_found_from_what_a_run_leaves() -> None:
    chat = ScriptedChat(path=SCRIPTS / "lighthouse.yaml")
    task = writing_task((SCRIPTS / "lighthouse.txt").read_text(encoding="utf-8"))
    traced: Any = (
        await criteria.build()
        .compile()
        .ainvoke({"task": task}, context=Study.of(chat, LexicalEmbeddings(), seed=7))
    )
    poet = ScriptedChat(reply=lambda _: "Dear sea. I keep the lamp.")

    async def write(state: Poem) -> Poem:
        return {"text": str((await poet.ainvoke(state["request"])).content)}

    graph = StateGraph(Poem).add_node("write", write).add_edge(START, "write")
    episode = await run_graph(graph, task, trainable={"write"})
    soft = next(each for each in traced["criteria_set"].criteria if each.kind == "soft")
    verdict = Verdict(
        criterion_id=soft.id, score=8, votes=(8,), quote="I keep the lamp.", evidence="s2"
    )
    judgement = Judgement(criteria_sha="c", text_sha="t", judge="j", verdicts=(verdict,))
    (origin,) = row_origins(
        0,
        traced,
        judgement,
        trajectory(episode).rows,
        0.5,
        parts={soft.id: 0.5},
        owners=by_evidence(judgement, episode),
    )
    assert (origin.criterion_id, origin.credit, origin.quote) == (soft.id, 0.5, "I keep the lamp.")
    assert origin.words
    for words in origin.words:  # verbatim: of the request, or of a draft that the study read
        read = [task.request, *(draft.text for draft in traced["drafts"])]
        assert any(words in text for text in read)


def test_what_comes_into_the_nodes_is_the_trajectorys_advantage() -> None:
    graph = trace_rows(study(), JUDGEMENT, ROWS, 0.25, PARTS, {"k1": ("write", "plan")})
    into = [data["credit"] for _, _, data in graph.edges(data=True) if "credit" in data]
    assert sum(map(Fraction, into)) == Fraction(0.25)


def test_under_uniform_credit_every_verdict_is_behind_every_row() -> None:
    graph = trace_rows(study(), JUDGEMENT, ROWS, 0.25)
    for number in range(3):
        assert [origin.criterion_id for origin in origins(graph, number)] == ["k1", "k2"]
        assert graph.nodes[f"row {number}"]["advantage"] == 0.25
    assert nx.has_path(graph, "h1", "row 0")


def test_the_graph_is_written_in_every_form_and_read_again(tmp_path: Path) -> None:
    graph = trace_rows(study(), JUDGEMENT, ROWS, 0.25, PARTS, {"k1": ("write",)})
    provenance.write_graph(graph, tmp_path / "p.json")
    again = provenance.read_json(tmp_path / "p.json")
    assert origins(again, 1) == origins(graph, 1)
    provenance.write_graphml(graph, tmp_path / "p.graphml")
    assert set(nx.read_graphml(tmp_path / "p.graphml")) == set(graph)
    assert "row 1 of write: +0.750" in provenance.mermaid(graph)
    (tmp_path / "q.json").write_text("[]")
    with pytest.raises(InputError, match="expected a provenance graph"):
        provenance.read_json(tmp_path / "q.json")
    with pytest.raises(StorageError, match="cannot read"):
        provenance.read_json(tmp_path / "none.json")


def test_a_judgement_under_other_criteria_or_a_row_that_is_not_there_is_refused() -> None:
    other = JUDGEMENT.model_copy(
        update={"verdicts": (Verdict(criterion_id="k9", score=3, votes=(3,)),)}
    )
    with pytest.raises(ValueError, match="k9"):
        trace_rows(study(), other, ROWS, 0.25)
    with pytest.raises(ValueError, match="expected a row"):
        origins(trace_rows(study(), JUDGEMENT, ROWS, 0.25), 3)
