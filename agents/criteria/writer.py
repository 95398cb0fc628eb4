"""The criteria writer: poles of categories become criteria that a reader can score."""

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
"""Criteria of a set, hard ones included (`ALGORITHM.md` 6.2 step 9)."""

PITFALL_SHARE = 0.15
"""Least share of the soft weight that sits on faults to avoid: about 90 % of a rubric's weight
on presence invites padding (arXiv:2605.12474)."""

REQUEST_IDS = "i"
"""Prefix of the ids of request incidents; ids of notes begin with their draft's id."""

MOST_EVIDENCE = 4
"""Incidents that a writer may cite for one criterion."""

MOST_HARD = MOST_CRITERIA - FEWEST_CRITERIA


class Slot(Value):
    """A place in the criteria set: one property of one category, wanted or to be avoided."""

    id: str
    kind: Literal["soft", "pitfall"]
    tier: Tier
    category: Category
    property: Property
    asked: tuple[str, ...] = ()
    """Ids of the incidents of the request that the category rests on."""


def plan_criteria(
    categories: Sequence[Category],
    codes: Sequence[Code],
    tiers: Mapping[str, Tier],
    *,
    hard: int,
    language: str,
) -> tuple[tuple[Slot, ...], tuple[Slot, ...]]:
    """Plan which criteria to write.

    The properties of the weightiest categories come first; where a study has too few of them,
    its codes stand in. Pitfalls are added until they carry `PITFALL_SHARE` of the weight.

    Args:
        categories: The kept categories, the core among them.
        codes: All codes; those of a category stand in for missing properties.
        tiers: Category id to tier.
        hard: How many hard criteria the set has already.
        language: Of the request; codes are worded in it.

    Returns:
        The slots to fill, and spare ones for criteria that turn out to be duplicates.
    """
    by_id = {code.id: code for code in codes}
    ordered = sorted(categories, key=lambda c: -TIER_WEIGHT[tiers[c.id]])
    needed, others = _covering(ordered, by_id)
    dimensions = _dimensions([*needed, *others], by_id, language)
    usual = max(FEWEST_CRITERIA, USUAL_CRITERIA - hard, len(needed) + 1)
    wanted = min(MOST_CRITERIA - hard, usual)
    needed_faults = _pitfalls_needed([TIER_WEIGHT[tiers[c.id]] for c, _ in dimensions], wanted)
    # where a study has too few dimensions, their faults fill the set
    faults = max(needed_faults, wanted - len(dimensions))
    kept = wanted - faults
    soft = [
        Slot(
            id=f"{category.id}.{number}",
            kind="soft",
            tier=tiers[category.id],
            category=category,
            property=dimension,
            asked=_asked(category, by_id),
        )
        for number, (category, dimension) in enumerate(dimensions)
    ]
    # a fault on a dimension that is not wanted anyway adds something; else the first will do
    pitfalls = [
        Slot(
            id=f"{slot.category.id}.pitfall{number}",
            kind="pitfall",
            tier="pitfall",
            category=slot.category,
            property=slot.property,
            asked=slot.asked,
        )
        for number, slot in enumerate([*soft[kept:], *soft][:faults], 1)
    ]
    taken = {(slot.category.id, slot.property.name) for slot in pitfalls}
    spare = [s for s in soft[kept:] if (s.category.id, s.property.name) not in taken]
    return (*soft[:kept], *pitfalls), tuple(spare)


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
        incidents: The incidents behind the slot's category; the writer cites among them.
        role: The criteria writer.
        storyline: What the piece must do to its reader.
        taken: Names of the other criteria, when one is written again.
        complaint: Why the last version was refused; empty for a first version.
        suggestions: Criteria of other requests to compare with; a role that chooses sees none.

    Raises:
        ReplyError: If the writer gives no criterion in the asked form.
    """
    dimension = slot.property
    if role.chooses:
        return await _chosen(task, slot, incidents, role)
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


async def _chosen(
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
    # words of the request are evidence in any case; the model chooses which drafts show it
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
    """Turn the constraints that code can check into hard criteria, `MOST_HARD` at most."""
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
    """Every property of every category, round by round, then codes as properties.

    A category first gives a property whose lens no category before it used, so that a set does not
    use one lens for everything.
    """
    used: set[str] = set()
    varied = []
    for category in categories:
        fresh = sorted(category.properties, key=lambda prop: _lens_name(prop) in used)
        used.add(_lens_name(fresh[0]))
        varied.append([(category, prop) for prop in fresh])
    rounds = zip_longest(*varied)
    stated = [entry for entries in rounds for entry in entries if entry is not None]
    coded = zip_longest(
        *([(c, dimension_of(codes[i], language)) for i in c.code_ids] for c in categories)
    )
    every = stated + [entry for entries in coded for entry in entries if entry is not None]
    return list({(category.id, prop.name): (category, prop) for category, prop in every}.values())


def _asked(category: Category, codes: Mapping[str, Code]) -> tuple[str, ...]:
    cited = (incident for code_id in category.code_ids for incident in codes[code_id].evidence)
    return tuple(dict.fromkeys(i for i in cited if i.startswith(REQUEST_IDS)))


def _lens_name(dimension: Property) -> str:
    return dimension.name.partition(":")[0]


def _pitfalls_needed(weights: Sequence[float], wanted: int) -> int:
    fault = TIER_WEIGHT["pitfall"]
    for faults in range(1, wanted):
        soft = sum(weights[: wanted - faults])
        if faults * fault >= PITFALL_SHARE * (soft + faults * fault):
            return faults
    return 1


def _covering(
    categories: Sequence[Category], codes: Mapping[str, Code]
) -> tuple[list[Category], list[Category]]:
    """Part the categories: those needed to reach the whole request, chosen greedily, and others."""
    reach = {category.id: {*_asked(category, codes)} for category in categories}
    left = set().union(*reach.values()) if reach else set()
    needed: list[str] = []
    while left:
        best = max(categories, key=lambda c: len(reach[c.id] & left))
        needed.append(best.id)
        left -= reach[best.id]
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
