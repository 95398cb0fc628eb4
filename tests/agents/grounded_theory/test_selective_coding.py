"""The selective coder."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.domain import Category, Relation, WritingTask
from quillgraph.agents.grounded_theory.selective_coding import select, unlinked
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import ReplyError

MakeCategory = Callable[..., Category]
STORYLINE = "The keeper stays because leaving would be a lie."


def selection(**fields: Any) -> dict[str, Any]:
    defaults = {
        "core": "k2",
        "storyline": STORYLINE,
        "tiers": {"k1": "important", "k2": "essential", "k3": "optional"},
    }
    return defaults | fields


@pytest.fixture(scope="module")
def three(category: MakeCategory) -> list[Category]:
    return [category("k1"), category("k2"), category("k3")]


def related(*pairs: str) -> list[Relation]:
    """Relations such as "k1>k2"."""
    ends = [pair.split(">") for pair in pairs]
    return [Relation(src=src, dst=dst, type="causes") for src, dst in ends]


async def test_core_storyline_and_tiers_are_those_of_the_reply(
    task: WritingTask,
    three: list[Category],
    role_of: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    chosen = await select(task, three, related("k1>k2"), role_of(selection()))
    assert (chosen.core.category_id, chosen.core.storyline) == ("k2", STORYLINE)
    assert chosen.tiers == {"k1": "important", "k2": "essential", "k3": "optional"}
    prompt = requests[0].messages[-1].content
    assert "<relations>\nk1 causes k2\n</relations>" in prompt
    assert "k3: Aspect k3: What k3 is about." in prompt


@pytest.mark.parametrize("tier", ["essential", "important", "optional"])
async def test_the_core_is_essential_whatever_the_reply_says(
    task: WritingTask, three: list[Category], role_of: Callable[..., Role], tier: str
) -> None:
    reply = selection(tiers={"k1": "important", "k2": tier, "k3": "optional"})
    chosen = await select(task, three, [], role_of(reply))
    assert chosen.tiers["k2"] == "essential"
    small = await select(
        task, three, [], role_of({"core": "k2", "tiers": reply["tiers"]}, chooses=True)
    )
    assert small.tiers == {"k1": "important", "k2": "essential", "k3": "optional"}
    assert small.core.category_id == "k2"


@pytest.mark.parametrize(
    "broken",
    [
        selection(core="k9"),
        selection(tiers={"k1": "important", "k2": "essential"}),
        selection(tiers={"k1": "pitfall", "k2": "essential", "k3": "optional"}),
        selection(storyline="short"),
    ],
)
async def test_a_selection_in_another_form_is_an_error(
    task: WritingTask, three: list[Category], role_of: Callable[..., Role], broken: dict[str, Any]
) -> None:
    with pytest.raises(ReplyError, match="SelectionReply"):
        await select(task, three, [], role_of(broken))


@pytest.mark.parametrize(
    ("pairs", "core", "left_out"),
    [
        ([], "k1", ("k2", "k3")),
        (["k1>k2"], "k1", ("k3",)),
        # a path may run against the arrows and over others
        (["k2>k1", "k2>k3"], "k1", ()),
        (["k2>k3"], "k1", ("k2", "k3")),
        (["k2>k3"], "k3", ("k1",)),
    ],
)
def test_what_no_path_joins_to_the_core_is_unlinked(
    three: list[Category], pairs: list[str], core: str, left_out: tuple[str, ...]
) -> None:
    assert unlinked(three, related(*pairs), core) == left_out


IDS = [f"k{number}" for number in range(1, 7)]
LINKS = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)), max_size=8)


@given(LINKS, st.sampled_from(IDS), st.sampled_from(IDS))
def test_being_linked_goes_both_ways(
    category: MakeCategory, links: list[tuple[str, str]], a: str, b: str
) -> None:
    categories = [category(category_id) for category_id in IDS]
    relations = [Relation(src=src, dst=dst, type="enables") for src, dst in links]
    assert a not in unlinked(categories, relations, a)
    assert (b in unlinked(categories, relations, a)) == (a in unlinked(categories, relations, b))
    # one more relation never takes a category out
    more = [*relations, Relation(src=a, dst=b, type="causes")]
    assert set(unlinked(categories, more, a)) <= set(unlinked(categories, relations, a))
    assert b not in unlinked(categories, more, a)
