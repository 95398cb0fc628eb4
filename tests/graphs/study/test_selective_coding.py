"""Selective coding alone: core, storyline, tiers."""

import json
import typing
from typing import Any

import pytest

from quillgraph.agents.domain import Category, Property, Relation, WritingTask
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ReplyError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.study import selective_coding
from quillgraph.graphs.study.state import Study

TASK = WritingTask(request="A story of the sea.", language="en")

CATEGORIES = tuple(
    Category(
        id=f"k{n}",
        name=f"Aspect {n}",
        definition="what its codes share",
        code_ids=(f"c{n}",),
        properties=(Property(name="degree", low_pole="hardly there", high_pole="always there"),),
    )
    for n in range(1, 7)
)


def chain(*links: tuple[str, str]) -> tuple[Relation, ...]:
    return tuple(Relation(src=a, dst=b, type="causes") for a, b in links)


async def selected(
    relations: tuple[Relation, ...],
    tiers: str = "essential important important optional",
    core: str = "k1",
) -> dict[str, Any]:
    tier_of = {f"k{n}": tier for n, tier in enumerate(tiers.split(), 1)}
    storyline = "The sea takes and the sea gives back."
    reply = json.dumps({"core": core, "storyline": storyline, "tiers": tier_of})
    study = cast(Study, ScriptedChat(reply=lambda _: reply), embeddings=LexicalEmbeddings())
    start: Any = {"task": TASK, "categories": CATEGORIES[: len(tier_of)], "relations": relations}
    graph = selective_coding.build().compile()
    return typing.cast("dict[str, Any]", await graph.ainvoke(start, context=study))


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
    # k5 and k6 have each other and not the core; 3 of the 5 others are joined, 60 % exactly
    links = chain(("k2", "k1"), ("k3", "k2"), ("k1", "k4"), ("k5", "k6"))
    state = await selected(links, tiers=" ".join(["essential"] * 6))
    assert state["tiers"] == {
        "k1": "essential",
        "k2": "essential",
        "k3": "essential",
        "k4": "essential",
        "k5": "optional",
        "k6": "optional",
    }
    assert [memo.refs for memo in state["memos"]] == [("k5",), ("k6",)]


async def test_relations_that_reach_too_few_change_no_tier_and_one_memo_says_so() -> None:
    # 2 of the 5 others are joined
    links = chain(("k2", "k1"), ("k3", "k2"), ("k4", "k5"), ("k5", "k6"))
    tiers = "essential important optional essential important optional"
    state = await selected(links, tiers=tiers)
    assert list(state["tiers"].values()) == tiers.split()
    assert [(memo.text, memo.refs) for memo in state["memos"]] == [
        (
            "relations reach only 2 of 5 categories: too few to weigh by, so no tier was changed",
            (),
        )
    ]


async def test_the_core_is_essential_whatever_it_was_called() -> None:
    state = await selected((), tiers=" ".join(["optional"] * 4), core="k3")
    assert state["core"].category_id == "k3"
    assert state["tiers"] == dict.fromkeys(("k1", "k2", "k4"), "optional") | {"k3": "essential"}


async def test_a_core_that_is_no_category_ends_the_stage() -> None:
    with pytest.raises(ReplyError, match="SelectionReply as JSON from role 'selective_coder'"):
        await selected((), core="k9")
