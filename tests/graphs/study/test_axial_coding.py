"""Axial coding alone: groups, categories, relations."""

import json
import re
import typing
from typing import Any

import pytest

from quillgraph.agents.domain import Code, WritingTask
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ReplyError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.study import axial_coding
from quillgraph.graphs.study.state import Study

TASK = WritingTask(request="A story of the sea.", language="en")


def codes(count: int, **labels: str) -> tuple[Code, ...]:
    return tuple(
        Code(
            id=f"c{n}",
            label=labels.get(f"c{n}", f"Quality {n}"),
            gloss=f"what quality {n} looks like",
            evidence=("i1",),
            coder="reader",
            confidence=3,
        )
        for n in range(1, count + 1)
    )


class Axial:
    """Plays the axial coder: given groups and relations, and descriptions of every group."""

    def __init__(
        self,
        groups: list[list[str]] | str,
        relations: list[tuple[str, str, str]] | str = "none",
        lost: str = "nothing",
    ) -> None:
        self.groups, self.relations, self.lost = groups, relations, lost
        self.steps: list[str] = []
        self.subjects: list[str] = []

    def __call__(self, request: ChatRequest) -> str:
        system = request.messages[0].content
        prompt = next(t.content for t in request.messages[::-1] if t.content.startswith("<"))
        if system.startswith("You group"):
            self.steps.append("group")
            if isinstance(self.groups, str):
                return self.groups
            return json.dumps({"items": [{"name": "group", "codes": g} for g in self.groups]})
        if system.startswith("You describe"):
            self.steps.append("describe")
            ids = re.findall(r"^(c\d+): ", prompt, re.MULTILINE)
            return "No." if self.lost in ids else json.dumps(self._category(ids))
        self.steps.append("relate")
        self.subjects.append(prompt.rpartition("Relate ")[2])
        if isinstance(self.relations, str):
            return self.relations
        links = [{"src": a, "type": kind, "dst": b} for a, kind, b in self.relations]
        return json.dumps({"items": links})

    def _category(self, ids: list[str]) -> dict[str, Any]:
        return {
            "name": f"Aspect {'+'.join(ids)}",
            "definition": "what they share",
            "properties": [
                {"name": "degree", "low_pole": "hardly there", "high_pole": "always there"}
            ],
            "slots": {i: "strategies" if n == 0 else "none" for n, i in enumerate(ids)},
        }


async def related(axial: Any, count: int, items_per_call: int = 8, **labels: str) -> dict[str, Any]:
    chat = ScriptedChat(reply=axial, items_per_call=items_per_call)
    start: Any = {"task": TASK, "codes": codes(count, **labels)}
    study = cast(Study, chat, embeddings=LexicalEmbeddings())
    graph = axial_coding.build().compile()
    return typing.cast("dict[str, Any]", await graph.ainvoke(start, context=study))


def members(state: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {category.id: category.code_ids for category in state["categories"]}


async def test_without_codes_there_is_nothing_to_relate() -> None:
    with pytest.raises(ReplyError, match="no code at all"):
        await related(Axial([]), 0)


async def test_each_group_becomes_a_category_with_poles_and_paradigm() -> None:
    state = await related(Axial([["c1", "c2"], ["c3"], ["c4"], ["c5"]]), 5)
    assert members(state) == {"k1": ("c1", "c2"), "k2": ("c3",), "k3": ("c4",), "k4": ("c5",)}
    first = state["categories"][0]
    assert first.name == "Aspect c1+c2"
    assert first.properties[0].high_pole == "always there"
    assert first.paradigm == {"strategies": ("c1",)}


async def test_a_code_goes_to_the_first_group_that_claims_it_and_the_unclaimed_to_the_nearest() -> (
    None
):
    state = await related(
        Axial([["c1", "c2"], ["c2", "c3"], ["c3"], ["c1", "c4"]]),
        6,
        c3="Heavy rain at night",
        c4="Gulls over the harbour",
        c5="Gulls in the harbour",
        c6="Heavy rain by night",
    )
    # the third group has lost all it claimed; c5 and c6 were claimed by nobody
    assert list(members(state).values()) == [("c1", "c2"), ("c3", "c6"), ("c4", "c5")]


async def test_groups_that_cannot_be_read_are_made_by_meaning_and_counted() -> None:
    state = await related(Axial("I see four groups."), 8)
    assert sorted(i for group in members(state).values() for i in group) == [
        f"c{n}" for n in range(1, 9)
    ]
    assert {(d.stage, d.agent, d.reason) for d in state["dropped"]} == {
        ("axial coding", "axial_coder", "reply")
    }


async def test_a_group_that_nobody_can_describe_is_counted_and_the_others_stay() -> None:
    axial = Axial([["c1"], ["c2"], ["c3"], ["c4"]], [("k1", "causes", "k3")], lost="c2")
    state = await related(axial, 4)
    assert members(state) == {"k1": ("c1",), "k3": ("c3",), "k4": ("c4",)}
    assert [(d.reason, d.text) for d in state["dropped"]] == [("reply", "No.")]
    # asked twice before it was given up
    assert axial.steps.count("describe") == 5


async def test_if_no_group_can_be_described_the_stage_fails() -> None:
    with pytest.raises(ReplyError, match="no category at all"):
        await related(Axial([["c1"]], lost="c1"), 1)


async def test_a_category_on_a_single_code_is_kept_with_a_memo() -> None:
    state = await related(Axial([["c1", "c2"], ["c3"], ["c4", "c5"], ["c6", "c7"]]), 7)
    assert [(memo.text, memo.refs) for memo in state["memos"]] == [
        ("'Aspect c3' rests on a single code", ("k2",))
    ]


async def test_a_single_code_needs_no_grouping_and_a_single_category_no_relation() -> None:
    axial = Axial("never asked")
    state = await related(axial, 1)
    assert axial.steps == ["describe"]
    assert members(state) == {"k1": ("c1",)}
    assert state["relations"] == ()


async def test_a_relation_is_kept_once_and_none_from_a_category_to_itself() -> None:
    links = [("k1", "causes", "k2"), ("k1", "causes", "k2"), ("k2", "enables", "k2")]
    state = await related(Axial([["c1"], ["c2"], ["c3"], ["c4"]], links), 4)
    assert [(r.src, r.type, r.dst) for r in state["relations"]] == [("k1", "causes", "k2")]


async def test_relations_that_cannot_be_read_are_counted_and_categories_stay() -> None:
    state = await related(Axial([["c1"], ["c2"], ["c3"], ["c4"]], "They are friends."), 4)
    assert state["relations"] == ()
    assert len(state["categories"]) == 4
    assert [d.reason for d in state["dropped"]] == ["reply"]


async def test_a_strong_model_relates_all_categories_in_one_call() -> None:
    axial = Axial([["c1"], ["c2"], ["c3"], ["c4"]], [("k1", "causes", "k2")])
    await related(axial, 4)
    assert axial.subjects == ["k1, k2, k3, k4."]


async def test_a_small_model_is_asked_about_one_category_at_a_time_and_groups_nothing(
    choosing_chat: Any,
) -> None:
    chosen = choosing_chat()
    seen: list[str] = []

    def reply(request: ChatRequest) -> str:
        seen.append(request.messages[0].content.split(".")[0])
        return str(chosen.reply(request))

    state = await related(reply, 8, items_per_call=1)
    count = len(state["categories"])
    assert sum(line.startswith("You relate") for line in seen) == count
    assert not any(line.startswith("You group") for line in seen)
    assert len(seen) == 2 * count
    # its first choice for each is the first of the others, so all hang together
    assert {r.src for r in state["relations"]} == {f"k{n}" for n in range(1, count + 1)}
