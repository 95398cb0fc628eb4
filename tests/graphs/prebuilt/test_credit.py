"""What judged texts tell the library."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.store.memory import InMemoryStore

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.judgements import Judgement, Verdict, judged
from quillgraph.agents.requests import writing_task
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ServerFailed
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.episodes.durability import durable
from quillgraph.graphs.memory import store as store_file
from quillgraph.graphs.memory.library import Library, Passed
from quillgraph.graphs.memory.store import LIBRARY
from quillgraph.graphs.prebuilt import best_of_n, reflection
from quillgraph.graphs.prebuilt.credit import credit, scores_by_id
from quillgraph.graphs.prebuilt.workshop import Workshop

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
TASK = writing_task((SCRIPTS / "ferry.txt").read_text(encoding="utf-8"))
CRITERIA = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text("utf-8"))
NOW = datetime.now(UTC).isoformat()  # else the criteria would be old when they are credited


async def shelved(library: Library) -> CriteriaSet:
    """The ferry's criteria, known to the library."""
    passed = [Passed(each, None) for each in judged(CRITERIA.criteria)]
    ids = (await library.keep(passed, TASK, NOW)).ids
    return CRITERIA.model_copy(update={"stats": {"library": {"ids": ids}}})


def judgement(**scores: float) -> Judgement:
    verdicts = tuple(
        Verdict(criterion_id=at, score=score, votes=(score,)) for at, score in scores.items()
    )
    return Judgement(criteria_sha=CRITERIA.sha256, text_sha="2", judge="j", verdicts=verdicts)


def test_scores_are_gathered_by_canonical_id_and_the_unknown_left_out() -> None:
    one, two, three = (each.id for each in judged(CRITERIA.criteria))
    ids = {one: "q-a", two: "q-b"}
    known = CRITERIA.model_copy(update={"stats": {"library": {"ids": ids}}})
    group = [judgement(**{one: 3, two: 4, three: 5}), judgement(**{one: 7, three: 5})]
    assert scores_by_id(known, group) == {"q-a": (3, 7), "q-b": (4,)}
    assert scores_by_id(CRITERIA, group) == {}


async def test_a_retired_criterion_is_told_as_what_an_episode_lost() -> None:
    library = Library(InMemoryStore(), LexicalEmbeddings())
    known = await shelved(library)
    flat, sharp, _ = judged(CRITERIA.criteria)
    group = [judgement(**{flat.id: 5, sharp.id: score}) for score in (1, 9)]
    for _ in range(4):
        assert await credit(known, group, library) == []
    (dropped,) = await credit(known, group, library)
    assert dropped.stage == "library"
    assert dropped.reason == "dead: it told no texts apart in any of 5 groups"
    assert dropped.text == flat.name
    assert await credit(known, group, None) == []


async def test_a_locked_library_is_told_and_costs_no_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_file, "BUSY_S", 0.1)
    path = tmp_path / "l.sqlite"
    async with Library.open(path, LexicalEmbeddings()) as library:
        known = await shelved(library)
        with store_file.alone(path, LIBRARY):
            (lost,) = await credit(known, [judgement(q1=5)], library)
    assert "has held" in lost.reason


@pytest.mark.parametrize("graph", [reflection, best_of_n])
async def test_every_graph_that_judges_lets_the_library_know(
    graph: Any, choosing_chat: Any
) -> None:
    library = Library(InMemoryStore(), LexicalEmbeddings())
    known = await shelved(library)
    workshop = cast(Workshop, choosing_chat(seed=4), library=library, rounds=2, text_tokens=60)
    start: Any = {"task": TASK, "criteria_set": known}
    if graph is best_of_n:
        start["n"] = 3
    done = await graph.build().compile().ainvoke(start, context=workshop)
    attempts = done["episode"].attempts
    assert len(attempts) > 1
    ids = known.stats["library"]["ids"]
    for at, canonical in ids.items():
        scores = [a.judgement.scores[at] for a in attempts if at in a.judgement.scores]
        one = await library.find(canonical)
        assert one.groups == (len(scores) > 1)
        assert one.saturated == (len(scores) > 1 and min(scores) >= 9)
        assert bool(one.spread) == (len(set(scores)) > 1)
    assert any([(await library.find(each)).groups for each in ids.values()])


async def test_a_task_that_is_tried_again_tells_of_its_group_once(tmp_path: Path) -> None:
    library, breaks = Library(InMemoryStore(), LexicalEmbeddings()), [True, False, False]
    known = await shelved(library)
    ids = known.stats["library"]["ids"]
    group = [judgement(**dict.fromkeys(ids, score)) for score in (2, 8)]

    class Told(TypedDict):
        told: int

    async def tell(state: Told) -> Told:
        await credit(known, group, library)
        if breaks.pop(0):  # after the library has noted it, before the checkpoint has
            raise ServerFailed("killed")
        return {"told": state["told"] + 1}

    graph = StateGraph(Told)
    graph.add_node("tell", tell)
    graph.add_edge(START, "tell")
    first: Any = {"configurable": {"thread_id": "1"}}
    second: Any = {"configurable": {"thread_id": "2"}}
    with durable(graph, tmp_path) as kept, pytest.raises(ServerFailed):
        await kept.ainvoke({"told": 0}, first)
    with durable(graph, tmp_path) as kept:
        for thread, groups in ((first, 1), (second, 2)):
            await kept.ainvoke({"told": 0}, thread)
            assert {(await library.find(each)).groups for each in ids.values()} == {groups}
