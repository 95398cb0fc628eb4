"""The criteria writer."""

from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quillgraph.agents.checks.count import WordCount
from quillgraph.agents.criteria.writer import (
    FEWEST_CRITERIA,
    MOST_CRITERIA,
    MOST_EVIDENCE,
    MOST_HARD,
    PITFALL_SHARE,
    USUAL_CRITERIA,
    Slot,
    hard_criteria,
    plan_criteria,
    write_criterion,
)
from quillgraph.agents.domain import (
    LEVELS,
    TIER_WEIGHT,
    Category,
    Code,
    Incident,
    Property,
    Tier,
    WritingTask,
)
from quillgraph.agents.requests.constraints import find_constraints
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import ReplyError

MakeCategory = Callable[..., Category]
MakeCode = Callable[..., Code]


def ids(slots: Sequence[Slot]) -> list[str]:
    return [slot.id for slot in slots]


# --- the plan, by hand -----------------------------------------------------------------------


def test_the_weightiest_categories_come_first_and_one_fault_is_added(
    category: MakeCategory, code: MakeCode
) -> None:
    categories = [
        category("k1", ["c1"], ["salt", "fog"]),
        category("k2", ["c2"], ["foam"]),
        category("k3", ["c3"], ["light"]),
    ]
    codes = [code("c1", "One"), code("c2", "Two"), code("c3", "Three")]
    tiers: dict[str, Tier] = {"k1": "optional", "k2": "essential", "k3": "important"}
    # all codes rest on i1, so k2, the weightiest, covers the request. Dimensions, round by round:
    # k2 foam 1.0, k3 light .7, k1 salt .3, k1 fog .3, then codes: k2 Two, k3 Three, k1 One.
    # 7 are wanted. With one fault, .9 / (1 + .7 + .3 + .3 + 1 + .7 + .9) = .9 / 4.9 = .18 >= .15.
    # Of 7 dimensions 6 are kept, and the fault is on the seventh.
    slots, spare = plan_criteria(categories, codes, tiers, hard=0, language="en")
    assert [(slot.category.id, slot.property.name, slot.tier) for slot in slots] == [
        ("k2", "foam", "essential"),
        ("k3", "light", "important"),
        ("k1", "salt", "optional"),
        ("k1", "fog", "optional"),
        ("k2", "Two", "essential"),
        ("k3", "Three", "important"),
        ("k1", "One", "pitfall"),
    ]
    assert ids(slots) == ["k2.0", "k3.1", "k1.2", "k1.3", "k2.4", "k3.5", "k1.pitfall1"]
    assert [slot.kind for slot in slots] == ["soft"] * 6 + ["pitfall"]
    assert spare == ()


def test_heavy_sets_need_a_second_fault(category: MakeCategory, code: MakeCode) -> None:
    only = category("k1", ["c1"], ["a", "b", "c", "d", "e", "f", "g", "h"])
    # one fault: .9 / (6 * 1.0 + .9) = .13 is too little; two: 1.8 / (5 + 1.8) = .26
    slots, spare = plan_criteria(
        [only], [code("c1", "Code")], {"k1": "essential"}, hard=0, language="en"
    )
    assert ids(slots) == [*(f"k1.{n}" for n in range(5)), "k1.pitfall1", "k1.pitfall2"]
    # the faults are on dimensions that are not wanted otherwise, and not on the spare ones
    assert [slot.property.name for slot in slots[5:]] == ["f", "g"]
    assert [slot.property.name for slot in spare] == ["h", "Code"]


@pytest.mark.parametrize(
    ("hard", "slots"),
    # 7 in all, but no fewer than 5 that are read by a judge, and no more than 10 in all
    [(0, 7), (1, 6), (2, 5), (3, 5), (5, 5)],
)
def test_hard_criteria_take_the_place_of_others_down_to_five(
    category: MakeCategory, code: MakeCode, hard: int, slots: int
) -> None:
    only = category("k1", ["c1"], list("abcdefghij"))
    made, _ = plan_criteria([only], [code("c1")], {"k1": "important"}, hard=hard, language="en")
    assert len(made) == slots
    assert FEWEST_CRITERIA <= len(made) + hard <= MOST_CRITERIA


def test_the_more_categories_it_takes_to_cover_a_request_the_more_criteria(
    category: MakeCategory, code: MakeCode
) -> None:
    numbers = range(1, 9)
    categories = [category(f"k{n}", [f"c{n}"], [f"property {n}"]) for n in numbers]
    codes = [code(f"c{n}", evidence=(f"i{n}",)) for n in numbers]
    tiers: dict[str, Tier] = {f"k{n}": "optional" for n in numbers}
    # 8 categories that are all needed, and one fault: .9 / (8 * .3 + .9) = .27
    slots, _ = plan_criteria(categories, codes, tiers, hard=0, language="en")
    assert [slot.category.id for slot in slots[:8]] == [f"k{n}" for n in numbers]
    assert len(slots) == 9 > USUAL_CRITERIA


def test_what_reaches_most_of_the_request_comes_before_what_is_weightier(
    category: MakeCategory, code: MakeCode
) -> None:
    categories = [category("k1", ["c1"], ["a"]), category("k2", ["c2"], ["b"])]
    codes = [code("c1", evidence=("d1.n1",)), code("c2", evidence=("i1", "i2"))]
    slots, _ = plan_criteria(
        categories, codes, {"k1": "essential", "k2": "optional"}, hard=0, language="en"
    )
    # k1 rests on a draft alone and reaches nothing of the request
    assert ids(slots)[:2] == ["k2.0", "k1.1"]


def test_with_few_dimensions_the_fault_is_on_the_first(
    category: MakeCategory, code: MakeCode
) -> None:
    slots, spare = plan_criteria(
        [category("k1", ["c1"], ["depth"])],
        [code("c1", "Code")],
        {"k1": "essential"},
        hard=0,
        language="en",
    )
    assert [(slot.kind, slot.property.name) for slot in slots] == [
        ("soft", "depth"),
        ("soft", "Code"),
        ("pitfall", "depth"),
        ("pitfall", "Code"),
    ]
    assert spare == ()


def test_codes_stand_in_through_their_lens_in_the_language_of_the_request(
    category: MakeCategory, code: MakeCode
) -> None:
    slots, _ = plan_criteria(
        [category("k1", ["c1"], ["depth"])],
        [code("c1", lens="humour", words="海")],
        {"k1": "essential"},
        hard=0,
        language="zh",
    )
    assert slots[1].property.name == "幽默: 海"


# --- the plan, by law ------------------------------------------------------------------------

TIERS: list[Tier] = ["essential", "important", "optional"]


@st.composite
def studies(draw: st.DrawFn) -> tuple[list[Category], list[Code], dict[str, Tier], int]:
    """Categories with codes and properties enough for a full set, and hard criteria beside."""
    categories, codes = [], []
    for k in range(1, draw(st.integers(1, 10)) + 1):
        own = [f"c{k}{n}" for n in range(draw(st.integers(1, 3)))]
        evidence = st.lists(st.sampled_from(["i1", "i2", "i3", "i4", "d1.n1"]), min_size=1)
        for code_id in own:
            codes.append(
                Code(
                    id=code_id,
                    label=f"Quality {code_id}",
                    gloss="-",
                    evidence=tuple(draw(evidence)),
                    coder="reader",
                    confidence=3,
                )
            )
        names = [f"p{k}{n}" for n in range(draw(st.integers(1, 2)) + (9 if k == 1 else 0))]
        properties = tuple(Property(name=n, low_pole="lacks", high_pole="has") for n in names)
        categories.append(
            Category(
                id=f"k{k}", name="-", definition="-", code_ids=tuple(own), properties=properties
            )
        )
    tiers = {category.id: draw(st.sampled_from(TIERS)) for category in categories}
    return categories, codes, tiers, draw(st.integers(0, MOST_HARD))


@settings(max_examples=50)
@given(studies())
def test_a_set_has_five_to_ten_criteria_hard_ones_included(
    study: tuple[list[Category], list[Code], dict[str, Tier], int],
) -> None:
    categories, codes, tiers, hard = study
    slots, spare = plan_criteria(categories, codes, tiers, hard=hard, language="en")
    assert FEWEST_CRITERIA <= len(slots) <= MOST_CRITERIA - hard
    assert USUAL_CRITERIA <= len(slots) + hard <= MOST_CRITERIA
    # the spare ones are others, and every id is given once
    assert len({*ids(slots), *ids(spare)}) == len(slots) + len(spare)
    named = [(slot.category.id, slot.property.name) for slot in (*slots, *spare)]
    assert len(set(named)) == len(named)


@settings(max_examples=50)
@given(studies())
def test_pitfalls_carry_their_share_of_the_weight(
    study: tuple[list[Category], list[Code], dict[str, Tier], int],
) -> None:
    categories, codes, tiers, hard = study
    slots, _ = plan_criteria(categories, codes, tiers, hard=hard, language="en")
    weight = dict.fromkeys(("soft", "pitfall"), 0.0)
    for slot in slots:
        weight[slot.kind] += TIER_WEIGHT[slot.tier]
    assert weight["pitfall"] >= PITFALL_SHARE * sum(weight.values())
    # and no more of them than that takes: one fewer, with a soft one in its place, is too few
    faults = sum(slot.kind == "pitfall" for slot in slots)
    assert faults == 1 or weight["pitfall"] - 0.9 < PITFALL_SHARE * (sum(weight.values()) + 0.1)


@settings(max_examples=50)
@given(studies())
def test_the_criteria_reach_all_that_the_categories_reach_as_far_as_there_is_room(
    study: tuple[list[Category], list[Code], dict[str, Tier], int],
) -> None:
    categories, codes, tiers, hard = study
    slots, _ = plan_criteria(categories, codes, tiers, hard=hard, language="en")
    evidence = {code.id: set(code.evidence) for code in codes}

    def reach(some: Sequence[Category]) -> set[str]:
        cited = (evidence[code_id] for category in some for code_id in category.code_ids)
        return {incident for ids in cited for incident in ids if incident.startswith("i")}

    # four incidents of the request need four categories at most, and five slots there always are
    assert reach([slot.category for slot in slots]) == reach(categories)


# --- hard criteria ---------------------------------------------------------------------------


def test_constraints_become_hard_criteria_that_cite_where_they_stand(
    incident: Callable[..., Incident],
) -> None:
    constraints = find_constraints([incident("i3", "Write at most 300 words.")])
    [criterion] = hard_criteria(constraints)
    assert (criterion.id, criterion.kind, criterion.tier, criterion.weight) == (
        "h1",
        "hard",
        "essential",
        1.0,
    )
    assert (criterion.evidence, criterion.category_id, criterion.levels) == (("i3",), None, {})
    assert criterion.check == WordCount(max=300)
    assert criterion.name == constraints[0].name


def test_there_is_room_for_five_hard_criteria(incident: Callable[..., Incident]) -> None:
    [constraint] = find_constraints([incident("i1", "Write at most 300 words.")])
    hard = hard_criteria([constraint] * 8)
    assert [each.id for each in hard] == ["h1", "h2", "h3", "h4", "h5"]
    assert MOST_HARD == 5
    assert hard_criteria([]) == ()


# --- writing ---------------------------------------------------------------------------------


def written(**fields: Any) -> dict[str, Any]:
    defaults = {
        "name": "The sea at hand.",
        "description": "The text lets the sea drip. ",
        "evidence": ["i1"],
        "levels": {band: f"Level {band} drips." for band in LEVELS},
    }
    return defaults | fields


@pytest.fixture
def slot(category: MakeCategory) -> Callable[..., Slot]:
    def make(kind: str = "soft", tier: str = "important", *, is_clause: bool = True) -> Slot:
        owner = category("k1", properties=["depth"])
        return Slot.model_validate(
            {
                "id": f"k1.{kind}",
                "kind": kind,
                "tier": tier,
                "category": owner,
                "property": owner.properties[0].model_copy(update={"is_clause": is_clause}),
            }
        )

    return make


async def test_a_criterion_has_the_words_of_the_reply_and_the_place_of_the_slot(
    task: WritingTask,
    slot: Callable[..., Slot],
    incident: Callable[..., Incident],
    role_of: Callable[..., Role],
) -> None:
    incidents = [incident("i1"), incident("i2")]
    role = role_of(written(evidence=["i1", "i1"]))
    made = await write_criterion(task, slot(), incidents, role, storyline="He stays.")
    assert (made.name, made.description) == ("The sea at hand", "The text lets the sea drip.")
    assert (made.id, made.kind, made.tier) == ("k1.soft", "soft", "important")
    assert (made.weight, made.category_id, made.evidence) == (0.7, "k1", ("i1",))
    # the keys of the levels are the bands, not the names of fields
    assert made.levels == {band: f"Level {band} drips." for band in LEVELS}


async def test_the_writer_is_asked_for_the_bands_by_their_names(
    task: WritingTask,
    slot: Callable[..., Slot],
    incident: Callable[..., Incident],
    role_of: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    incidents = [incident(f"i{n}") for n in range(1, 8)]
    await write_criterion(task, slot(), incidents, role_of(written()), storyline="He stays.")
    schema: Any = requests[0].json_schema
    assert tuple(schema["$defs"]["Levels"]["properties"]) == LEVELS
    assert schema["properties"]["evidence"]["maxItems"] == MOST_EVIDENCE
    assert schema["properties"]["evidence"]["items"]["enum"] == [each.id for each in incidents]
    prompt = requests[0].messages[-1].content
    assert "Storyline: He stays." in prompt
    assert 'Property: depth, from "lacks depth" to "is full of depth".' in prompt
    assert "Names already taken: none" in prompt
    assert "refused" not in prompt


async def test_a_refused_criterion_is_written_again_with_the_complaint_and_another_seed(
    task: WritingTask,
    slot: Callable[..., Slot],
    incident: Callable[..., Incident],
    role_of: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    role = role_of(written())
    for complaint in ("", "all drafts get the same score"):
        await write_criterion(
            task,
            slot(),
            [incident("i1")],
            role,
            storyline="-",
            taken=["Salt", "Fog"],
            complaint=complaint,
        )
    prompt = requests[1].messages[-1].content
    assert "Names already taken: Salt, Fog" in prompt
    assert prompt.endswith("Your last version was refused: all drafts get the same score")
    assert requests[0].seed != requests[1].seed


async def test_a_fault_to_avoid_has_a_prompt_of_its_own(
    task: WritingTask,
    slot: Callable[..., Slot],
    incident: Callable[..., Incident],
    role_of: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    made = await write_criterion(
        task, slot("pitfall", "pitfall"), [incident("i1")], role_of(written()), storyline="-"
    )
    assert (made.kind, made.tier, made.weight) == ("pitfall", "pitfall", 0.9)
    assert (
        "about a fault that texts for a writing request must avoid"
        in requests[0].messages[0].content
    )


@pytest.mark.parametrize(
    "broken",
    [
        written(evidence=["i9"]),
        written(evidence=[]),
        written(levels={"1-2": "Only one level."}),
        written(levels={f"level_{n}": "The field's own name." for n in range(5)}),
        written(description="Short."),
    ],
)
async def test_a_criterion_in_another_form_is_an_error(
    task: WritingTask,
    slot: Callable[..., Slot],
    incident: Callable[..., Incident],
    role_of: Callable[..., Role],
    broken: dict[str, Any],
) -> None:
    with pytest.raises(ReplyError, match="CriterionReply"):
        await write_criterion(task, slot(), [incident("i1")], role_of(broken), storyline="-")


async def test_a_small_writer_words_the_criterion_by_its_poles_and_chooses_the_evidence(
    task: WritingTask,
    slot: Callable[..., Slot],
    incident: Callable[..., Incident],
    role_of: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    incidents = [incident("i1"), incident("d1.n1"), incident("d1.n2")]
    role = role_of({"evidence": ["d1.n2"]}, chooses=True)
    criterion = await write_criterion(task, slot(), incidents, role, storyline="-")
    assert (criterion.name, criterion.description) == ("depth", "The text is full of depth.")
    assert criterion.levels["9-10"] == "From first to last the text is full of depth."
    # what the request says is evidence by right
    assert criterion.evidence == ("i1", "d1.n2")
    schema: Any = requests[0].json_schema
    assert schema["properties"]["evidence"]["items"]["enum"] == ["d1.n1", "d1.n2"]


@pytest.fixture
def of_a_draft(slot: Callable[..., Slot]) -> Slot:
    """A slot whose own incidents are notes; its category rests on two of the request."""
    place = slot()
    prop = place.property.model_copy(update={"name": "Feeling: pale moon"})
    return place.model_copy(update={"property": prop, "asked": ("i1", "i2")})


@pytest.mark.parametrize(
    ("chosen", "cited"),
    [
        # none of the request chosen: the clause in which the phrase stands is added, in front
        (["d1.n1"], ("i2", "d1.n1")),
        (["d1.n1", "i1"], ("i1", "d1.n1")),
    ],
)
async def test_a_criterion_that_drafts_alone_speak_of_rests_on_the_request_too(
    of_a_draft: Slot,
    incident: Callable[..., Incident],
    role_of: Callable[..., Role],
    requests: list[ChatRequest],
    chosen: list[str],
    cited: tuple[str, ...],
) -> None:
    task = WritingTask(request="Write a story of the sea.\nLet the pale moon speak.", language="en")
    role = role_of({"evidence": chosen}, chooses=True)
    criterion = await write_criterion(task, of_a_draft, [incident("d1.n1")], role, storyline="-")
    assert criterion.evidence == cited
    schema: Any = requests[0].json_schema
    # those of the request are offered first, the nearest before the others
    assert schema["properties"]["evidence"]["items"]["enum"] == ["i2", "i1", "d1.n1"]


def test_a_slot_knows_what_of_the_request_its_category_rests_on(
    category: MakeCategory, code: MakeCode
) -> None:
    only = category("k1", ["c1", "c2"])
    codes = [code("c1", evidence=("d1.n1", "i3")), code("c2", evidence=("i1", "i3"))]
    slots, _ = plan_criteria([only], codes, {"k1": "essential"}, hard=0, language="en")
    assert {slot.asked for slot in slots} == {("i3", "i1")}


async def test_a_small_writer_is_not_asked_where_only_the_request_speaks(
    task: WritingTask,
    slot: Callable[..., Slot],
    incident: Callable[..., Incident],
    role_of: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    incidents = [incident("i1"), incident("i2")]
    role = role_of("-", chooses=True)
    made = await write_criterion(task, slot("pitfall", "pitfall"), incidents, role, storyline="-")
    assert requests == []
    assert made.evidence == ("i1", "i2")
    assert made.name == "No lapse in depth"
    assert made.description == "The text avoids a fault: it lacks depth."
    assert made.levels["9-10"] == "Nowhere does the text slip like this."


async def test_a_small_writer_words_chinese_criteria_in_chinese(
    slot: Callable[..., Slot], incident: Callable[..., Incident], role_of: Callable[..., Role]
) -> None:
    task = WritingTask(request="写一首诗", language="zh")
    role = role_of("-", chooses=True)
    soft = await write_criterion(task, slot(), [incident("i1")], role, storyline="-")
    fault = await write_criterion(
        task, slot("pitfall", "pitfall"), [incident("i1")], role, storyline="-"
    )
    assert soft.description == "文本is full of depth。"
    assert (fault.name, fault.description) == (
        "避免失误：depth",
        "文本没有这样的毛病：lacks depth。",
    )


@pytest.mark.parametrize(
    ("language", "soft_says", "soft_best", "fault_says", "fault_worst"),
    [
        (
            "en",
            "The text shows this: “is full of depth”.",
            "From first to last the text shows this: “is full of depth”.",
            "The text avoids a fault: it shows this: “lacks depth”.",
            "Throughout, the text shows this: “lacks depth”.",
        ),
        (
            "zh",
            "文本表现为“is full of depth”。",
            "自始至终表现为“is full of depth”。",
            "文本没有这样的毛病：表现为“lacks depth”。",
            "全文表现为“lacks depth”。",
        ),
    ],
)
async def test_a_small_writer_quotes_poles_in_free_words(
    slot: Callable[..., Slot],
    incident: Callable[..., Incident],
    role_of: Callable[..., Role],
    language: Any,
    soft_says: str,
    soft_best: str,
    fault_says: str,
    fault_worst: str,
) -> None:
    task = WritingTask(request="Write a poem.", language=language)
    role = role_of("-", chooses=True)
    free = [slot(is_clause=False), slot("pitfall", "pitfall", is_clause=False)]
    soft, fault = [
        await write_criterion(task, each, [incident("i1")], role, storyline="-") for each in free
    ]
    assert (soft.description, soft.levels["9-10"]) == (soft_says, soft_best)
    assert (fault.description, fault.levels["1-2"]) == (fault_says, fault_worst)


def test_every_tier_has_a_weight() -> None:
    assert set(get_args(Tier)) == set(TIER_WEIGHT)
