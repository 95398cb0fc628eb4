"""The criteria writer: turn properties of categories into criteria that a judge can score."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal

from pydantic import BaseModel

from quillgraph.agents.checks.language import language_for
from quillgraph.agents.domain import (
    TIER_WEIGHT,
    Category,
    Code,
    Criterion,
    Incident,
    Property,
    Tier,
    Value,
    WritingTask,
)
from quillgraph.agents.grounded_theory.open_coding import incident_text
from quillgraph.agents.lenses.anchors import clauses, dimension_of, levels_form, worded_levels
from quillgraph.agents.lenses.choice import choose_evidence, near_in_request
from quillgraph.agents.memory.known_criteria import Suggestion, prompt_lines
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, some_of, text
from quillgraph.agents.requests.constraints import Constraint
from quillgraph.agents.role import Role, ask

FEWEST_CRITERIA, USUAL_CRITERIA, MOST_CRITERIA = 5, 7, 10
"""Number of criteria in a set, with the hard ones (`ALGORITHM.md` 6.2 step 9)."""

PITFALL_SHARE = 0.15
"""Least share of pitfalls in the weight of soft and pitfall criteria: rubrics with about 90 % of
their weight on what a text must contain invite padding (arXiv:2605.12474)."""

REQUEST_IDS = "i"
"""Prefix of the ids of incidents of the request; the id of a note starts with that of its draft."""

MOST_EVIDENCE = 4
"""Most incidents that the writer may cite for one criterion."""

MOST_HARD = MOST_CRITERIA - FEWEST_CRITERIA


class Slot(Value):
    """A place in the criteria set: a property of a category, as a quality or as a pitfall."""

    id: str
    kind: Literal["soft", "pitfall"]
    tier: Tier
    category: Category
    property: Property
    asked: tuple[str, ...] = ()
    """Ids of those incidents that the category rests on and that come from the request."""


def plan_criteria(
    categories: Sequence[Category],
    codes: Sequence[Code],
    tiers: Mapping[str, Tier],
    *,
    hard: int,
    language: str,
) -> tuple[tuple[Slot, ...], tuple[Slot, ...]]:
    """Plan which criteria to write.

    The properties of the heaviest categories come first; if there are too few properties, codes
    replace them. Pitfalls are added until they have `PITFALL_SHARE` of the weight.

    Args:
        categories: The categories of the study, with the core.
        codes: All codes; those of a category replace missing properties.
        tiers: Tier of each category, by category id.
        hard: Number of hard criteria in the set.
        language: Language of the request, and so of its codes.

    Returns:
        The slots to fill, and spare ones for criteria that turn out to be duplicates.
    """
    by_id = {code.id: code for code in codes}
    ordered = sorted(categories, key=lambda c: -TIER_WEIGHT[tiers[c.id]])
    needed, others = _split_by_cover(ordered, by_id)
    dimensions = _dimensions([*needed, *others], by_id, language)
    usual = max(FEWEST_CRITERIA, USUAL_CRITERIA - hard, len(needed) + 1)
    total = min(MOST_CRITERIA - hard, usual)
    needed_faults = _pitfalls_needed([TIER_WEIGHT[tiers[c.id]] for c, _ in dimensions], total)
    # if a study has too few dimensions, their pitfalls fill the set
    faults = max(needed_faults, total - len(dimensions))
    qualities = total - faults
    soft = [
        Slot(
            id=f"{category.id}.{number}",
            kind="soft",
            tier=tiers[category.id],
            category=category,
            property=dimension,
            asked=_request_incidents(category, by_id),
        )
        for number, (category, dimension) in enumerate(dimensions)
    ]
    # a pitfall on a dimension without a soft criterion adds most; after those, start from the top
    pitfalls = [
        Slot(
            id=f"{slot.category.id}.pitfall{number}",
            kind="pitfall",
            tier="pitfall",
            category=slot.category,
            property=slot.property,
            asked=slot.asked,
        )
        for number, slot in enumerate([*soft[qualities:], *soft][:faults], 1)
    ]
    pitfall_keys = {(slot.category.id, slot.property.name) for slot in pitfalls}
    spare = [s for s in soft[qualities:] if (s.category.id, s.property.name) not in pitfall_keys]
    return (*soft[:qualities], *pitfalls), tuple(spare)


async def write_criterion(
    task: WritingTask,
    slot: Slot,
    incidents: Sequence[Incident],
    role: Role,
    *,
    storyline: str,
    taken: Sequence[str] = (),
    complaint: str = "",
    suggestions: Sequence[Suggestion] = (),
) -> Criterion:
    """Write the criterion of a slot.

    Args:
        task: The request.
        slot: What the criterion is about.
        incidents: The incidents behind the slot's category, for the writer to cite.
        role: The criteria writer.
        storyline: The storyline of the core: what the text must do to its reader.
        taken: Names of the other criteria.
        complaint: Why the last version was refused; empty for a first version.
        suggestions: Criteria of other requests to compare with; not for a role that chooses.

    Raises:
        ReplyError: If the reply holds no criterion of the expected schema.
    """
    dimension = slot.property
    if role.chooses:
        return await _choose(task, slot, incidents, role)
    messages = render(
        "pitfall_writing" if slot.kind == "pitfall" else "criterion_writing",
        request=role.brief(task),
        storyline=storyline,
        category=f"{slot.category.name}: {slot.category.definition}",
        passages="\n".join(incident_text(incident) for incident in incidents),
        property=f'{dimension.name}, from "{dimension.low_pole}" to "{dimension.high_pole}".',
        taken=", ".join(taken) or "none",
        complaint=f"Your last version was refused: {complaint}" if complaint else "",
        suggestions=prompt_lines(suggestions),
    )
    reply: Any = await ask(
        role,
        messages,
        _criterion_form([incident.id for incident in incidents]),
        item=f"{slot.id}/{complaint}",
        temperature=0.5,
        max_tokens=700,
    )
    return Criterion(
        id=slot.id,
        name=reply.name.strip(" .,:;\"'"),
        description=reply.description.strip(),
        kind=slot.kind,
        tier=slot.tier,
        weight=TIER_WEIGHT[slot.tier],
        levels={
            band: text.strip() for band, text in reply.levels.model_dump(by_alias=True).items()
        },
        category_id=slot.category.id,
        evidence=tuple(dict.fromkeys(reply.evidence)),
    )


async def _choose(
    task: WritingTask, slot: Slot, incidents: Sequence[Incident], role: Role
) -> Criterion:
    dimension, pitfall = slot.property, slot.kind == "pitfall"
    templates = language_for(task.language).templates
    name = dimension.name
    low, high = clauses(dimension, task.language)
    description = templates.wish.format(high=high)
    if pitfall:
        clause = name[0].lower() + name[1:]
        name = templates.fault_name.format(name=name, clause=clause)
        description = templates.fault.format(low=low)
    # incidents of the request are always evidence; the model chooses those of drafts
    of_request = tuple(incident.id for incident in incidents if incident.source == "request")
    notes = [incident for incident in incidents if incident.source != "request"]
    near = () if of_request else near_in_request(task, slot.asked, dimension)
    of_drafts = (
        await choose_evidence(task, description, [*near, *notes], slot.id, role) if notes else ()
    )
    if not of_request:
        cited = [incident.id for incident in near if incident.id in of_drafts]
        of_request = tuple(cited or [incident.id for incident in near[:1]])
        of_drafts = tuple(each for each in of_drafts if each not in of_request)
    return Criterion(
        id=slot.id,
        name=name,
        description=description,
        kind=slot.kind,
        tier=slot.tier,
        weight=TIER_WEIGHT[slot.tier],
        levels=worded_levels(dimension, task.language, pitfall=pitfall),
        category_id=slot.category.id,
        evidence=(*of_request, *of_drafts),
    )


def hard_criteria(constraints: Sequence[Constraint]) -> tuple[Criterion, ...]:
    """Turn at most `MOST_HARD` of the constraints that code can check into hard criteria."""
    return tuple(
        Criterion(
            id=f"h{number}",
            name=constraint.name,
            description=constraint.description,
            kind="hard",
            tier="essential",
            weight=TIER_WEIGHT["essential"],
            levels={},
            category_id=None,
            evidence=(constraint.incident_id,),
            check=constraint.check,
        )
        for number, constraint in enumerate(constraints[:MOST_HARD], 1)
    )


def _dimensions(
    categories: Sequence[Category], codes: Mapping[str, Code], language: str
) -> list[tuple[Category, Property]]:
    """List the properties of all categories, round by round, then their codes as properties.

    The first property of a category is one whose lens no earlier category has used, so that a set
    does not use one lens for everything.
    """
    used: set[str] = set()
    by_category = []
    for category in categories:
        fresh = sorted(category.properties, key=lambda prop: _lens_name(prop) in used)
        used.add(_lens_name(fresh[0]))
        by_category.append([(category, prop) for prop in fresh])
    rounds = zip_longest(*by_category)
    properties = [entry for entries in rounds for entry in entries if entry is not None]
    code_rounds = zip_longest(
        *([(c, dimension_of(codes[i], language)) for i in c.code_ids] for c in categories)
    )
    every = properties + [
        entry for entries in code_rounds for entry in entries if entry is not None
    ]
    return list({(category.id, prop.name): (category, prop) for category, prop in every}.values())


def _request_incidents(category: Category, codes: Mapping[str, Code]) -> tuple[str, ...]:
    evidence = (incident for code_id in category.code_ids for incident in codes[code_id].evidence)
    return tuple(dict.fromkeys(i for i in evidence if i.startswith(REQUEST_IDS)))


def _lens_name(dimension: Property) -> str:
    return dimension.name.partition(":")[0]


def _pitfalls_needed(weights: Sequence[float], total: int) -> int:
    fault = TIER_WEIGHT["pitfall"]
    for faults in range(1, total):
        soft = sum(weights[: total - faults])
        if faults * fault >= PITFALL_SHARE * (soft + faults * fault):
            return faults
    return 1


def _split_by_cover(
    categories: Sequence[Category], codes: Mapping[str, Code]
) -> tuple[list[Category], list[Category]]:
    """Split the categories into a greedy cover of the request's incidents, and the others."""
    reach = {category.id: {*_request_incidents(category, codes)} for category in categories}
    uncovered = set().union(*reach.values()) if reach else set()
    needed: list[str] = []
    while uncovered:
        best = max(categories, key=lambda c: len(reach[c.id] & uncovered))
        needed.append(best.id)
        uncovered -= reach[best.id]
    return (
        [category for category in categories if category.id in needed],
        [category for category in categories if category.id not in needed],
    )


def _criterion_form(incident_ids: list[str]) -> type[BaseModel]:
    return form(
        "CriterionReply",
        name=text(4, 50),
        description=text(12, 200),
        evidence=some_of(incident_ids, most=MOST_EVIDENCE),
        levels=levels_form(),
    )
