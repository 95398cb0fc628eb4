"""The selective coder: choose one core category, and a tier for each other category."""

from collections.abc import Sequence
from typing import Any

import networkx as nx
from pydantic import BaseModel

from quillgraph.agents.domain import Category, Core, Relation, Tier, Value, WritingTask
from quillgraph.agents.grounded_theory.axial_coding import described
from quillgraph.agents.lenses.choice import choose_core
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of, text
from quillgraph.agents.role import Role, ask


class Selection(Value):
    """Result of selective coding."""

    core: Core
    tiers: dict[str, Tier]
    """Tier of each category, by category id; the core is always essential."""


async def select(
    task: WritingTask, categories: Sequence[Category], relations: Sequence[Relation], role: Role
) -> Selection:
    """Choose the core category, write the storyline and give each category a tier.

    Raises:
        ReplyError: If the reply holds no selection of the expected schema.
    """
    if role.chooses:
        core_id, tiers, storyline = await choose_core(task, categories, relations, role)
        return Selection(
            core=Core(category_id=core_id, storyline=storyline),
            tiers={**tiers, core_id: "essential"},
        )
    ids = tuple(category.id for category in categories)
    reply: Any = await ask(
        role,
        render(
            "selective_coding",
            request=role.brief(task),
            categories=described(categories),
            relations="\n".join(f"{r.src} {r.type} {r.dst}" for r in relations) or "none",
        ),
        _selection_form(ids),
        item="+".join(ids),
        temperature=0.3,
        max_tokens=260 + 16 * len(ids),
    )
    core = Core(category_id=reply.core, storyline=" ".join(reply.storyline.split()[:120]))
    return Selection(core=core, tiers={**reply.tiers.model_dump(), reply.core: "essential"})


def unlinked(
    categories: Sequence[Category], relations: Sequence[Relation], core: str
) -> tuple[str, ...]:
    """Find the categories that no path of relations, in either direction, joins to the core."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(category.id for category in categories)
    graph.add_edges_from((relation.src, relation.dst) for relation in relations)
    linked = nx.node_connected_component(graph, core)
    return tuple(category.id for category in categories if category.id not in linked)


def _selection_form(ids: tuple[str, ...]) -> type[BaseModel]:
    tiers = dict.fromkeys(ids, one_of(["essential", "important", "optional"]))
    return form(
        "SelectionReply",
        core=one_of(ids),
        storyline=text(20, 600),
        tiers=form("Tiers", **tiers),
    )
