"""The axial coder."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.domain import PARADIGM, Category, Code, Property, Relation, WritingTask
from quillgraph.agents.grounded_theory.axial_coding import (
    FEWEST,
    MOST,
    MOST_PROPERTIES,
    category_range,
    describe_category,
    group_by_meaning,
    group_codes,
    relate,
)
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import ReplyError

MakeCode = Callable[..., Code]
MakeRole = Callable[..., Role]


# --- how many --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "fewest", "most"),
    [
        (1, 1, 1),
        (3, 3, 3),
        (4, 4, 4),
        # 16/4 = 4 and 20/4 = 5 codes each
        (16, 4, 4),
        (20, 4, 5),
        (40, 4, 10),
        (200, 4, 10),
    ],
)
def test_four_codes_make_a_category_between_four_and_ten(
    codes: int, fewest: int, most: int
) -> None:
    assert category_range(codes) == (fewest, most)


@given(st.integers(1, 300))
def test_there_are_never_more_categories_than_codes(codes: int) -> None:
    fewest, most = category_range(codes)
    assert 1 <= fewest <= min(FEWEST, codes)
    assert fewest <= most <= min(MOST, codes)


# --- by meaning ------------------------------------------------------------------------------


def test_codes_that_lie_together_are_grouped_together(code: MakeCode) -> None:
    # four axes, and on each of them four codes a little apart
    rows = np.repeat(np.eye(4), 4, axis=0) + 0.01 * np.tile(np.eye(4), (4, 1))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    codes = [code(f"c{n}") for n in range(16)]
    assert group_by_meaning(codes, rows) == tuple(
        tuple(f"c{n}" for n in range(start, start + 4)) for start in (0, 4, 8, 12)
    )


@given(st.integers(1, 24), st.integers(1, 6), st.integers(0, 2**16), st.booleans())
def test_groups_part_the_codes_and_keep_their_order(
    code: MakeCode, count: int, size: int, seed: int, blank: bool
) -> None:
    rows = np.random.default_rng(seed).normal(size=(count, size))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    if blank:
        rows[0] = 0  # a text without a direction
    codes = [code(f"c{n}") for n in range(count)]
    groups = group_by_meaning(codes, rows)
    ids = [each.id for each in codes]
    # every code in exactly one group
    assert sorted(itertools.chain(*groups), key=ids.index) == ids
    assert all(list(group) == sorted(group, key=ids.index) for group in groups)
    assert [group[0] for group in groups] == sorted((g[0] for g in groups), key=ids.index)
    fewest, most = category_range(count)
    assert len(groups) <= max(most, fewest)


def test_groups_that_nothing_joins_are_merged_down_to_the_most(code: MakeCode) -> None:
    # twelve axes with four codes each would make twelve groups; 48 codes may form ten
    codes = [code(f"c{n}") for n in range(48)]
    assert category_range(48) == (4, 10)
    assert len(group_by_meaning(codes, np.repeat(np.eye(12), 4, axis=0))) == 10


def test_equal_codes_give_the_same_groups_each_time(code: MakeCode) -> None:
    codes = [code(f"c{n}") for n in range(9)]
    rows = np.ones((9, 1))
    assert group_by_meaning(codes, rows) == group_by_meaning(codes, rows)


def test_one_code_is_a_group_of_its_own(code: MakeCode) -> None:
    assert group_by_meaning([code("c7")], np.ones((1, 3))) == (("c7",),)


# --- by a model ------------------------------------------------------------------------------


async def test_a_model_groups_codes_by_id(
    task: WritingTask, code: MakeCode, role_saying: MakeRole, requests: list[ChatRequest]
) -> None:
    items = [{"name": f"Group {n}", "codes": [f"c{n}"]} for n in (1, 2, 3, 4)]
    codes = [code(f"c{n}") for n in range(1, 5)]
    answers = await group_codes(task, codes, role_saying({"items": items}))
    assert [dict(item) for item in answers.items] == items
    prompt = requests[0].messages[-1].content
    assert "c1: Quality c1 (It shows Quality c1.)\nc2: " in prompt
    assert "Make 4 to 4 categories." in prompt
    schema: Any = requests[0].json_schema
    assert schema["properties"]["items"]["minItems"] == 4
    assert schema["properties"]["items"]["maxItems"] == 4


async def test_a_group_with_an_unknown_code_is_dropped_and_counted(
    task: WritingTask, code: MakeCode, role_saying: MakeRole, requests: list[ChatRequest]
) -> None:
    items = [{"name": "Known", "codes": ["c1", "c2"]}, {"name": "Unknown", "codes": ["c1", "c9"]}]
    answers = await group_codes(task, [code("c1"), code("c2")], role_saying({"items": items}))
    assert [dict(item)["name"] for item in answers.items] == ["Known"]
    [dropped] = answers.dropped
    assert (dropped.stage, "c9" in dropped.text) == ("axial coding", True)
    assert len(requests) == 2


# --- a category ------------------------------------------------------------------------------


def described_as(**fields: Any) -> dict[str, Any]:
    defaults = {
        "name": "The sea at hand.",
        "definition": " The sea is felt in things. ",
        "properties": [
            {"name": "nearness", "low_pole": "only names the sea", "high_pole": "lets it drip"}
        ],
        "slots": {"c1": "strategies", "c2": "none"},
    }
    return defaults | fields


async def test_a_category_has_the_words_poles_and_slots_of_the_reply(
    task: WritingTask, code: MakeCode, role_saying: MakeRole, requests: list[ChatRequest]
) -> None:
    codes = [code("c1"), code("c2")]
    described = await describe_category(task, "k3", codes, role_saying(described_as()))
    assert described == Category(
        id="k3",
        name="The sea at hand",
        definition="The sea is felt in things.",
        code_ids=("c1", "c2"),
        properties=(
            Property(name="nearness", low_pole="only names the sea", high_pole="lets it drip"),
        ),
        paradigm={"strategies": ("c1",)},
    )
    schema: Any = requests[0].json_schema
    slots = schema["$defs"]["Slots"]["properties"]
    assert slots["c1"]["enum"] == [*PARADIGM, "none"]
    assert schema["properties"]["properties"]["maxItems"] == MOST_PROPERTIES


@pytest.mark.parametrize(
    "broken",
    [
        described_as(properties=[]),
        described_as(slots={"c1": "causal"}),
        described_as(slots={"c1": "causal", "c2": "colour"}),
        described_as(slots={"c1": "causal", "c2": "none", "c9": "none"}),
    ],
)
async def test_a_category_in_another_form_is_an_error(
    task: WritingTask, code: MakeCode, role_saying: MakeRole, broken: dict[str, Any]
) -> None:
    with pytest.raises(ReplyError, match="CategoryReply"):
        await describe_category(task, "k1", [code("c1"), code("c2")], role_saying(broken))


async def test_a_small_coder_chooses_the_category_instead(
    task: WritingTask, code: MakeCode, role_saying: MakeRole
) -> None:
    role = role_saying({"leader": "c2", "slots": {"c1": "none", "c2": "causal"}}, chooses=True)
    described = await describe_category(task, "k1", [code("c1"), code("c2")], role)
    assert (described.name, described.paradigm) == ("Quality c2", {"causal": ("c2",)})


# --- relations -------------------------------------------------------------------------------


def link(src: str, dst: str, kind: str = "causes") -> dict[str, str]:
    return {"src": src, "dst": dst, "type": kind}


async def test_relations_are_those_of_the_reply(
    category: Callable[..., Category], role_saying: MakeRole, requests: list[ChatRequest]
) -> None:
    categories = [category("k1"), category("k2"), category("k3")]
    role = role_saying({"items": [link("k1", "k2"), link("k2", "k3", "part_of")]})
    answers = await relate(categories, ["k1", "k2"], role)
    assert answers.items == (
        Relation(src="k1", dst="k2", type="causes"),
        Relation(src="k2", dst="k3", type="part_of"),
    )
    prompt = requests[0].messages[-1].content
    assert "k1: Aspect k1: What k1 is about.\nk2: " in prompt
    assert prompt.endswith("Relate k1, k2.")


async def test_one_subject_cannot_be_related_to_itself(
    category: Callable[..., Category], role_saying: MakeRole, requests: list[ChatRequest]
) -> None:
    categories = [category("k1"), category("k2"), category("k3")]
    answers = await relate(categories, ["k2"], role_saying({"items": [link("k2", "k2")]}))
    assert answers.items == ()
    assert len(answers.dropped) == 1
    schema: Any = requests[0].json_schema
    assert schema["$defs"]["RelationReply"]["properties"]["dst"]["enum"] == ["k1", "k3"]
    assert schema["properties"]["items"]["maxItems"] == 1


async def test_of_several_subjects_one_that_acts_on_itself_is_dropped_and_counted(
    category: Callable[..., Category], role_saying: MakeRole
) -> None:
    categories = [category("k1"), category("k2")]
    role = role_saying({"items": [link("k1", "k1"), link("k2", "k1")]}, name="axial_coder")
    answers = await relate(categories, ["k1", "k2"], role)
    assert [relation.src for relation in answers.items] == ["k2"]
    assert [(d.agent, d.reason, d.text) for d in answers.dropped] == [
        ("axial_coder", "relation to itself", "k1")
    ]


@pytest.mark.parametrize("broken", [link("k1", "k9"), link("k9", "k1"), link("k1", "k2", "likes")])
async def test_a_relation_of_unknown_category_or_kind_is_dropped_alone(
    category: Callable[..., Category], role_saying: MakeRole, broken: dict[str, str]
) -> None:
    categories = [category("k1"), category("k2")]
    role = role_saying({"items": [broken, link("k2", "k1")]})
    answers = await relate(categories, ["k1", "k2"], role)
    assert answers.items == (Relation(src="k2", dst="k1", type="causes"),)
    assert len(answers.dropped) == 1
