"""Selective coding: choose the core category, write its storyline, rate the other categories."""

import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from quillgraph.agents.domain import Category, Core, Memo, Relation, Tier, WritingTask
from quillgraph.agents.grounded_theory import select, unlinked
from quillgraph.graphs.study.state import Study

LINKED_SHARE = 0.6
"""Share of the other categories that must be linked to the core before a missing link counts
against a category; below it, too few relations are known (`ALGORITHM.md` appendix A)."""


class SelectiveCodingInput(TypedDict):
    """Input of the stage."""

    task: WritingTask
    categories: tuple[Category, ...]
    relations: tuple[Relation, ...]


class SelectiveCodingOutput(TypedDict):
    """Output of the stage."""

    core: Core
    tiers: dict[str, Tier]
    memos: Annotated[list[Memo], operator.add]


class SelectiveCoding(SelectiveCodingInput, SelectiveCodingOutput):
    """State of the stage."""


class ChooseCoreUpdate(TypedDict):
    """What `choose_core` writes."""

    core: Core
    tiers: dict[str, Tier]


class LinkUpdate(TypedDict):
    """What `link` writes."""

    tiers: dict[str, Tier]
    memos: list[Memo]


async def choose_core(state: SelectiveCodingInput, runtime: Runtime[Study]) -> ChooseCoreUpdate:
    """Choose the core category, which the text turns on, and the tiers of all categories."""
    selection = await select(
        state["task"], state["categories"], state["relations"], runtime.context.selective_coder
    )
    return {"core": selection.core, "tiers": selection.tiers}


def link(state: SelectiveCoding) -> LinkUpdate:
    """Make a category optional if no relation joins it to the core."""
    loose = unlinked(state["categories"], state["relations"], state["core"].category_id)
    others = len(state["categories"]) - 1
    if len(loose) > (1 - LINKED_SHARE) * others:
        memo = Memo(
            stage="selective coding",
            round=1,
            agent="selective_coder",
            text=f"relations reach only {others - len(loose)} of {others} categories: too few to "
            "weigh by, so no tier was changed",
        )
        return {"tiers": state["tiers"], "memos": [memo]}
    memos = [
        Memo(
            stage="selective coding",
            round=1,
            agent="selective_coder",
            text="no relation joins this category to the core, so it is optional",
            refs=(category_id,),
        )
        for category_id in loose
    ]
    return {"tiers": {**state["tiers"], **dict.fromkeys(loose, "optional")}, "memos": memos}


def build() -> StateGraph[SelectiveCoding, Study, SelectiveCodingInput, SelectiveCodingOutput]:
    """Wire the stage."""
    graph = StateGraph(
        SelectiveCoding,
        context_schema=Study,
        input_schema=SelectiveCodingInput,
        output_schema=SelectiveCodingOutput,
    )
    graph.add_node("choose_core", choose_core)
    graph.add_node("link", link)
    graph.add_edge(START, "choose_core")
    graph.add_edge("choose_core", "link")
    graph.add_edge("link", END)
    return graph
