"""Selective coding alone: core, storyline, tiers."""

import json
from typing import Any, cast

import pytest

from quillgraph.agents.domain import Category, Property, Relation, WritingTask
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ReplyError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs import selective_coding
from quillgraph.graphs.study import Study

TASK = WritingTask(request="A story of the sea.", language="en")

CATEGORIES = tuple(
    Category(
        id=f"k{n}",
        name=f"Aspect {n}",
        definition="what its codes share",
        code_ids=(f"c{n}",),
        properties=(Property(name="degree", low_pole="hardly there", high_pole="always there"),),
    )
    for n in range(1, 5)
)


def chain(*links: tuple[str, str]) -> tuple[Relation, ...]:
    return tuple(Relation(src=a, dst=b, type="causes") for a, b in links)


async def selected(
    relations: tuple[Relation, ...],
    tiers: str = "essential important important optional",
    core: str = "k1",
) -> dict[str, Any]:
    asked = dict(zip(("k1", "k2", "k3", "k4"), tiers.split(), strict=True))
    storyline = "The sea takes and the sea gives back."
    reply = json.dumps({"core": core, "storyline": storyline, "tiers": asked})
    study = Study.of(ScriptedChat(reply=lambda _: reply), LexicalEmbeddings())
    start: Any = {"task": TASK, "categories": CATEGORIES, "relations": relations}
    graph = selective_coding.build().compile()
    return cast("dict[str, Any]", await graph.ainvoke(start, context=study))


async def test_categories_joined_to_the_core_keep_the_tiers_they_were_given() -> None:
    # k4 → k3 → k2 → k1: against the arrows and over others is joined, too
    state = await selected(chain(("k4", "k3"), ("k3", "k2"), ("k2", "k1")))
    assert state["tiers"] == {
        "k1": "essential",
        "k2": "important",
        "k3": "important",
        "k4": "optional",
    }
    assert state["memos"] == []
    assert state["core"].storyline == "The sea takes and the sea gives back."


async def test_what_no_path_joins_to_the_core_becomes_optional_with_a_memo() -> None:
    # k3 and k4 have each other and not the core
    state = await selected(chain(("k2", "k1"), ("k3", "k4")), tiers=" ".join(["essential"] * 4))
    assert state["tiers"] == {
        "k1": "essential",
        "k2": "essential",
        "k3": "optional",
        "k4": "optional",
    }
    assert [memo.refs for memo in state["memos"]] == [("k3",), ("k4",)]


async def test_the_core_is_essential_whatever_it_was_called() -> None:
    state = await selected((), tiers=" ".join(["optional"] * 4), core="k3")
    assert state["core"].category_id == "k3"
    assert state["tiers"] == dict.fromkeys(("k1", "k2", "k4"), "optional") | {"k3": "essential"}


async def test_a_core_that_is_no_category_ends_the_stage() -> None:
    with pytest.raises(ReplyError, match="SelectionReply as JSON from role 'selective_coder'"):
        await selected((), core="k9")
