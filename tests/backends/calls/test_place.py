"""Where in a graph a call is made."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langchain_core.runnables.config import ensure_config
from langgraph.graph import START, StateGraph
from langgraph.types import Send

from quillgraph.backends.calls.place import Place


class _Places(TypedDict, total=False):
    places: Annotated[list[Place], operator.add]


async def note(state: _Places) -> _Places:
    return {"places": [Place.of(ensure_config()["metadata"])]}


def visited() -> list[Place]:
    """Two visits of a node at the same time, and then one of a node in a graph within."""
    inner = StateGraph(_Places).add_node("inner", note).add_edge(START, "inner").compile()
    graph: Any = StateGraph(_Places)
    graph.add_node("each", note).add_node("outer", inner).add_edge("each", "outer")
    graph.add_conditional_edges(START, lambda _: [Send("each", {}), Send("each", {})], ["each"])
    places: list[Place] = asyncio.run(graph.compile().ainvoke({}))["places"]
    return places


def test_a_place_is_the_same_in_every_run() -> None:
    first = visited()
    assert first == visited()
    assert first[:2] == [Place(nodes=("each",), branch="0"), Place(nodes=("each",), branch="1")]
    assert first[-1] == Place(nodes=("outer", "inner"))


def test_a_call_outside_of_a_graph_has_no_place() -> None:
    assert Place.of(None) == Place.of({}) == Place()
    assert str(Place.of({"role": "judge"})) == "no node, role judge"


def test_a_place_is_told_in_words() -> None:
    assert (
        str(Place(role="coder", nodes=("a", "b"), branch="2")) == "node a/b, branch 2, role coder"
    )
