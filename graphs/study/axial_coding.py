"""Axial coding: group the codes, describe each group as a category, relate the categories."""

import operator
from typing import Annotated, Any, TypedDict

import numpy as np
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from quillgraph.agents.domain import Category, Code, Dropped, Memo, Relation, WritingTask
from quillgraph.agents.grounded_theory import (
    code_text,
    describe_category,
    group_by_meaning,
    group_codes,
    relate,
)
from quillgraph.agents.role import LARGER_OR_ROOM, lost_reply
from quillgraph.backends.embeddings import vectors
from quillgraph.backends.errors import ReplyError
from quillgraph.graphs.study.state import Study


class AxialCodingInput(TypedDict):
    """Input of the stage."""

    task: WritingTask
    codes: tuple[Code, ...]


class AxialCodingOutput(TypedDict):
    """Output of the stage."""

    categories: tuple[Category, ...]
    relations: tuple[Relation, ...]
    memos: Annotated[list[Memo], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class AxialCoding(AxialCodingInput, AxialCodingOutput):
    """State of the stage."""

    groups: tuple[tuple[str, ...], ...]
    described: Annotated[list[Category], operator.add]
    related: Annotated[list[Relation], operator.add]


class DescribeInput(TypedDict):
    """Input of one description."""

    task: WritingTask
    category_id: str
    codes: list[Code]


class RelateInput(TypedDict):
    """Input of one call about relations."""

    categories: tuple[Category, ...]
    subjects: list[str]


class GroupUpdate(TypedDict):
    """What `group` writes."""

    groups: tuple[tuple[str, ...], ...]
    dropped: list[Dropped]


class DescribeUpdate(TypedDict):
    """What `describe` writes."""

    described: list[Category]
    dropped: list[Dropped]


class GatherUpdate(TypedDict):
    """What `gather` writes."""

    categories: tuple[Category, ...]
    memos: list[Memo]


class RelateUpdate(TypedDict):
    """What `relate_categories` writes."""

    related: list[Relation]
    dropped: list[Dropped]


class RelationsUpdate(TypedDict):
    """What `settle` writes."""

    relations: tuple[Relation, ...]


async def group(state: AxialCodingInput, runtime: Runtime[Study]) -> GroupUpdate:
    """Group the codes: by a model if it can take them all in one call, else by embeddings alone."""
    codes, study = state["codes"], runtime.context
    if not codes:
        raise ReplyError("at least one code from the open coders", "no code at all", LARGER_OR_ROOM)
    near = await vectors([code_text(code) for code in codes], study.embeddings)
    if study.axial_coder.items_per_call == 1 or len(codes) == 1:
        return {"groups": group_by_meaning(codes, near), "dropped": []}
    answers = await group_codes(state["task"], codes, study.axial_coder)
    groups = _whole(codes, [list(entry["codes"]) for entry in map(dict, answers.items)], near)
    return {"groups": groups or group_by_meaning(codes, near), "dropped": list(answers.dropped)}


def deal_groups(state: AxialCoding) -> list[Send]:
    """Send each group to a description of its own."""
    by_id = {code.id: code for code in state["codes"]}
    return [
        Send(
            "describe",
            DescribeInput(
                task=state["task"], category_id=f"k{number}", codes=[by_id[i] for i in members]
            ),
        )
        for number, members in enumerate(state["groups"], 1)
    ]


async def describe(state: DescribeInput, runtime: Runtime[Study]) -> DescribeUpdate:
    """Describe one group as a category."""
    try:
        category = await describe_category(
            state["task"], state["category_id"], state["codes"], runtime.context.axial_coder
        )
    except ReplyError as error:
        drop = lost_reply("axial coding", runtime.context.axial_coder, error)
        return {"described": [], "dropped": [drop]}
    return {"described": [category], "dropped": []}


def gather(state: AxialCoding) -> GatherUpdate:
    """Collect the categories, with a memo on each that rests on a single code."""
    categories = tuple(state["described"])
    if not categories:
        raise ReplyError(
            "at least one category from the axial coder", "no category at all", LARGER_OR_ROOM
        )
    single = [category for category in categories if len(category.code_ids) == 1]
    memos = [
        Memo(
            stage="axial coding",
            round=1,
            agent="axial_coder",
            text=f"{category.name!r} rests on a single code",
            refs=(category.id,),
        )
        for category in single
    ]
    return {"categories": categories, "memos": memos}


def deal_subjects(state: AxialCoding, runtime: Runtime[Study]) -> list[Send] | str:
    """Ask about one category per call, or about all in one call if the model can take several."""
    categories = state["categories"]
    if len(categories) < 2:
        return "settle"
    ids = [category.id for category in categories]
    several = runtime.context.axial_coder.items_per_call > 1
    chunks = [ids] if several else [[subject] for subject in ids]
    return [
        Send("relate_categories", RelateInput(categories=categories, subjects=chunk))
        for chunk in chunks
    ]


async def relate_categories(state: RelateInput, runtime: Runtime[Study]) -> RelateUpdate:
    """Ask how some categories relate to the others."""
    answers = await relate(state["categories"], state["subjects"], runtime.context.axial_coder)
    return {"related": list(answers.items), "dropped": list(answers.dropped)}


def settle(state: AxialCoding) -> RelationsUpdate:
    """Keep each relation once."""
    return {"relations": tuple(dict.fromkeys(state.get("related", [])))}


def build() -> StateGraph[AxialCoding, Study, AxialCodingInput, AxialCodingOutput]:
    """Wire the stage."""
    graph = StateGraph(
        AxialCoding,
        context_schema=Study,
        input_schema=AxialCodingInput,
        output_schema=AxialCodingOutput,
    )
    graph.add_node("group", group)
    graph.add_node("describe", describe, input_schema=DescribeInput)
    graph.add_node("gather", gather)
    graph.add_node("relate_categories", relate_categories, input_schema=RelateInput)
    graph.add_node("settle", settle)
    graph.add_edge(START, "group")
    graph.add_conditional_edges("group", deal_groups, ["describe"])
    graph.add_edge("describe", "gather")
    graph.add_conditional_edges("gather", deal_subjects, ["relate_categories", "settle"])
    graph.add_edge("relate_categories", "settle")
    graph.add_edge("settle", END)
    return graph


def _whole(
    codes: tuple[Code, ...], groups: list[list[Any]], near: np.ndarray
) -> tuple[tuple[str, ...], ...]:
    """Give each code to the first group that claims it, and an unclaimed code to the nearest."""
    place = {code.id: number for number, code in enumerate(codes)}
    whole: list[list[str]] = []
    free = dict.fromkeys(place)
    for claimed in groups:
        members = [i for i in dict.fromkeys(claimed) if i in free]
        for member in members:
            del free[member]
        if members:
            whole.append(members)
    if not whole:
        return ()
    centres = np.stack([near[[place[i] for i in members]].mean(axis=0) for members in whole])
    for unclaimed in free:
        whole[int(np.argmax(centres @ near[place[unclaimed]]))].append(unclaimed)
    return tuple(map(tuple, whole))
