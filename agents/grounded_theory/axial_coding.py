"""The axial coder: group codes into categories, and give these properties and relations."""

from collections.abc import Sequence
from typing import Annotated, Any

import networkx as nx
import numpy as np
from pydantic import BaseModel, Field

from quillgraph.agents.domain import (
    PARADIGM,
    Category,
    Code,
    Dropped,
    Property,
    Relation,
    RelationType,
    WritingTask,
)
from quillgraph.agents.lenses.choice import choose_category
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of, some_of, text
from quillgraph.agents.role import Answers, Role, ask, ask_each

FEWEST, MOST = 4, 10
"""Number of categories in a study (`ALGORITHM.md` 6.2 step 7)."""

CODES_PER_CATEGORY = 4
"""Codes per category that the number of categories aims at."""

MOST_PROPERTIES = 2

NEIGHBOURS = 3
"""Nearest codes that a code is linked to when embeddings alone group the codes."""


def category_range(codes: int) -> tuple[int, int]:
    """Fewest and most categories that a number of codes may form."""
    aim = max(FEWEST, round(codes / CODES_PER_CATEGORY))
    return min(FEWEST, codes), max(1, min(MOST, aim, codes))


def group_by_meaning(codes: Sequence[Code], vectors: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """Group codes by the communities of their nearest-neighbour graph.

    This serves models that cannot take all codes in one call. The method is greedy modularity
    (Clauset, Newman and Moore 2004) on each code's nearest neighbours, weighted by cosine.

    Args:
        codes: The codes.
        vectors: Their unit vectors, shape (codes, dimensions).
    """
    fewest, most = category_range(len(codes))
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(codes)))
    cosine = vectors @ vectors.T
    for place in range(len(codes)):
        for other in np.argsort(-cosine[place], kind="stable")[: NEIGHBOURS + 1]:
            if other != place:
                graph.add_edge(place, int(other), weight=max(1e-3, float(cosine[place, other])))
    if graph.number_of_edges() == 0:
        return tuple((code.id,) for code in codes)
    communities = nx.community.greedy_modularity_communities(
        graph, weight="weight", cutoff=fewest, best_n=max(most, fewest)
    )
    groups = sorted(sorted(community) for community in communities)
    return tuple(tuple(codes[place].id for place in group) for group in groups)


async def group_codes(task: WritingTask, codes: Sequence[Code], role: Role) -> Answers[BaseModel]:
    """Ask which codes belong together.

    Returns:
        Items with fields `name` and `codes` (ids).
    """
    fewest, most = category_range(len(codes))
    group = form("Group", name=text(3, 60), codes=some_of(code.id for code in codes))
    return await ask_each(
        role,
        render(
            "grouping",
            request=role.brief(task),
            codes=_code_lines(codes),
            fewest=str(fewest),
            most=str(most),
        ),
        group,
        item="groups",
        stage="axial coding",
        at_least=fewest,
        at_most=max(fewest, most),
        temperature=0.2,
        max_tokens=1500,
    )


async def describe_category(
    task: WritingTask, category_id: str, codes: Sequence[Code], role: Role
) -> Category:
    """Describe what the codes share as a category: name, properties with poles, and paradigm.

    Raises:
        ReplyError: If the reply holds no category of the expected schema.
    """
    if role.chooses:
        return await choose_category(task, category_id, codes, role)
    reply: Any = await ask(
        role,
        render("axial_coding", request=role.brief(task), codes=_code_lines(codes)),
        _category_form(codes),
        item="+".join(code.id for code in codes),
        temperature=0.4,
        max_tokens=600 + 16 * len(codes),
    )
    slots = reply.slots.model_dump()
    paradigm = {
        slot: tuple(code for code, part in slots.items() if part == slot) for slot in PARADIGM
    }
    return Category(
        id=category_id,
        name=reply.name.strip(" .,:;"),
        definition=reply.definition.strip(),
        code_ids=tuple(code.id for code in codes),
        properties=tuple(Property(**entry.model_dump()) for entry in reply.properties),
        paradigm={slot: ids for slot, ids in paradigm.items() if ids},
    )


async def relate(
    categories: Sequence[Category], subjects: Sequence[str], role: Role
) -> Answers[Relation]:
    """Ask which other category each subject acts on, and how; relations to itself are dropped."""
    ids = tuple(category.id for category in categories)
    link = form(
        "RelationReply", src=one_of(subjects), dst=one_of(_others(ids, subjects)), type=RelationType
    )
    answers = await ask_each(
        role,
        render("relating", categories=described(categories), subject=", ".join(subjects)),
        link,
        item="+".join(subjects),
        stage="axial coding",
        at_most=2 * len(subjects) if len(subjects) > 1 else 1,
        temperature=0.2,
        max_tokens=40 * len(subjects) + 40,
    )
    relations = [Relation.model_validate(entry.model_dump()) for entry in answers.items]
    self_relations = [
        Dropped(stage="axial coding", agent=role.name, reason="relation to itself", text=r.src)
        for r in relations
        if r.src == r.dst
    ]
    return Answers(
        tuple(r for r in relations if r.src != r.dst), (*answers.dropped, *self_relations)
    )


def described(categories: Sequence[Category]) -> str:
    """List categories for a prompt."""
    return "\n".join(f"{c.id}: {c.name}: {c.definition}" for c in categories)


def _others(ids: tuple[str, ...], subjects: Sequence[str]) -> tuple[str, ...]:
    # a single subject cannot be its own object; several subjects may act on each other
    return tuple(i for i in ids if i != subjects[0]) if len(subjects) == 1 else ids


def _code_lines(codes: Sequence[Code]) -> str:
    return "\n".join(f"{code.id}: {code.label} ({code.gloss})" for code in codes)


def _category_form(codes: Sequence[Code]) -> type[BaseModel]:
    dimension: Any = form(
        "Dimension", name=text(3, 40), low_pole=text(8, 160), high_pole=text(8, 160)
    )
    slot = one_of([*PARADIGM, "none"])
    return form(
        "CategoryReply",
        name=text(3, 50),
        definition=text(8, 200),
        properties=Annotated[list[dimension], Field(min_length=1, max_length=MOST_PROPERTIES)],
        slots=form("Slots", **dict.fromkeys([code.id for code in codes], slot)),
    )
