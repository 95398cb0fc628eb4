"""Stages of the study that can be left out, to measure what each of them is worth.

A stage that is left out is not in the graph. This module supplies what later stages need from it,
by the simplest rule that decides nothing: the workflow must earn its cost.
Open coding and the writing of criteria cannot be left out: nothing would be left to compare.
A function `build_without` makes the graphs without a stage. `build` takes no argument, because
LangGraph's server passes its configuration to a factory that takes one.
"""

from collections.abc import Collection
from typing import TypedDict

from quillgraph.agents.domain import Category, Code, Core, Relation, Tier, WritingTask
from quillgraph.agents.lenses import dimension_of
from quillgraph.agents.role import LARGER_OR_ROOM
from quillgraph.backends.errors import ConfigError, ReplyError, nearest

STAGES = {
    "drafts": "theoretical sampling: the request alone is coded",
    "comparison": "constant comparison: codes are one only if they have one label",
    "saturation": "saturation: coding goes on until all is coded or the rounds are over",
    "axial": "axial coding: every code is a category of its own, without relations",
    "selective": "selective coding: no core, and all categories weigh alike",
    "validation": "validation: criteria stay as they were first written",
}
"""Maps the name of a stage to what happens in a study without it."""


class Coded(TypedDict):
    """Input of axial coding."""

    task: WritingTask
    codes: tuple[Code, ...]


class CategoriesUpdate(TypedDict):
    """What `categories_of_codes` writes."""

    categories: tuple[Category, ...]
    relations: tuple[Relation, ...]


class Categories(TypedDict):
    """Input of selective coding."""

    categories: tuple[Category, ...]


class WeighAlikeUpdate(TypedDict):
    """What `weigh_alike` writes."""

    core: Core
    tiers: dict[str, Tier]


def stages_left_out(names: Collection[str]) -> frozenset[str]:
    """Check the names of the stages to leave out.

    Raises:
        ConfigError: If a name is not in `STAGES`.
    """
    for name in names:
        if name not in STAGES:
            raise ConfigError(
                f"no stage {name!r} that a study can do without: {nearest(name, STAGES)}"
            )
    return frozenset(names)


def categories_of_codes(state: Coded) -> CategoriesUpdate:
    """Make each code a category of its own.

    Raises:
        ReplyError: If there is no code.
    """
    if not state["codes"]:
        raise ReplyError("at least one code from the open coders", "no code at all", LARGER_OR_ROOM)
    language = state["task"].language
    categories = tuple(
        Category(
            id=f"k{number}",
            name=code.label,
            definition=code.gloss,
            code_ids=(code.id,),
            properties=(dimension_of(code, language),),
        )
        for number, code in enumerate(state["codes"], 1)
    )
    return {"categories": categories, "relations": ()}


def weigh_alike(state: Categories) -> WeighAlikeUpdate:
    """Rate every category as important; no core is chosen, so its id is empty."""
    tiers: dict[str, Tier] = {category.id: "important" for category in state["categories"]}
    return {"core": Core(category_id="", storyline=""), "tiers": tiers}
