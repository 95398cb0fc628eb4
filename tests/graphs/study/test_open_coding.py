"""Rounds of open coding alone: who codes what, what is merged, and when it ends."""

import json
import math
import re
import typing
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings

from quillgraph.agents.domain import Incident, WritingTask
from quillgraph.agents.requests import find_constraints
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.study import open_coding
from quillgraph.graphs.study.state import Study

TASK = WritingTask(request="A story of the sea.", language="en")

Say = Callable[[str, list[str]], list[dict[str, Any]]]
"""From coder and ids of the passages to the items of the reply."""


class Angles(Embeddings):
    """Each text lies at the angle, in degrees, of the first word that is found in it."""

    def __init__(self, angles: Mapping[str, float]) -> None:
        self.angles = angles

    def embed_query(self, text: str) -> list[float]:
        degrees = next((at for word, at in self.angles.items() if word in text), 90.0)
        return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def clause(number: int, text: str = "") -> Incident:
    words = text or f"clause {number}"
    return Incident(
        id=f"i{number}", source="request", doc_id="request", span=(0, len(words)), text=words
    )


def note(number: int, text: str = "") -> Incident:
    words = text or f"note {number}"
    return Incident(
        id=f"d1.n{number}", source="draft", doc_id="d1", span=(0, 4), text="Rain", note=words
    )


def coding(label: str, *evidence: str, near: str = "new", confidence: int = 3) -> dict[str, Any]:
    return {
        "label": label,
        "gloss": f"gloss of {label}",
        "evidence": list(evidence),
        "near": near,
        "confidence": confidence,
    }


class Coders:
    """Plays the coders and the comparator; keeps what they were asked."""

    def __init__(self, say: Say, same: bool | str = True) -> None:
        self.say, self.same = say, same
        self.coded: list[tuple[str, list[str]]] = []
        self.codebooks: list[str] = []
        self.compared: list[str] = []

    def __call__(self, request: ChatRequest) -> str:
        # asked again, the complaint comes last
        prompt = next(t.content for t in request.messages[::-1] if t.content.startswith("<"))
        if prompt.startswith("<pairs>"):
            self.compared += re.findall(r"^p\d+: .*$", prompt, re.MULTILINE)
            if isinstance(self.same, str):
                return self.same
            ids = re.findall(r"^(p\d+): ", prompt, re.MULTILINE)
            return json.dumps({"items": [{"pair": i, "same": self.same} for i in ids]})
        passages = prompt.partition("<passages>\n")[2].partition("\n</passages>")[0]
        ids = re.findall(r"^([\w.]+): ", passages, re.MULTILINE)
        who = re.search(r"Code it as an? (?:brief )?(\w+)", prompt)
        assert who
        self.coded.append((who[1], ids))
        self.codebooks.append(prompt.partition("<codes>\n")[2].partition("\n</codes>")[0])
        return json.dumps({"items": self.say(who[1], ids)})


async def coded(
    coders: Coders,
    incidents: list[Incident],
    embeddings: Embeddings | None = None,
    items_per_call: int = 8,
    **state: Any,
) -> dict[str, Any]:
    chat = ScriptedChat(reply=coders, items_per_call=items_per_call)
    study = cast(Study, chat, embeddings=embeddings or LexicalEmbeddings())
    start: Any = {
        "task": TASK,
        "constraints": find_constraints(incidents),
        "incidents": incidents,
        **state,
    }
    return typing.cast(
        "dict[str, Any]", await open_coding.build().compile().ainvoke(start, context=study)
    )


def labels(state: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {code.label: code.evidence for code in state["codes"]}


def one_label(who: str, ids: list[str]) -> list[dict[str, Any]]:
    return [coding("The sea", i) for i in ids]


async def test_each_coder_gets_every_incident_as_many_to_a_call_as_the_backend_takes() -> None:
    coders = Coders(one_label)
    await coded(coders, [clause(n) for n in range(1, 8)], items_per_call=3)
    chunks = [["i1", "i2", "i3"], ["i4", "i5", "i6"], ["i7"]]
    assert Counter(who for who, _ in coders.coded) == {"reader": 3, "editor": 3, "auditor": 3}
    for coder in ("reader", "editor", "auditor"):
        assert sorted(ids for who, ids in coders.coded if who == coder) == chunks


async def test_what_code_can_check_is_not_given_to_the_coders() -> None:
    coders = Coders(one_label)
    incidents = [clause(1, "A story of the sea."), clause(2, "Use at most 300 words.")]
    state = await coded(coders, incidents)
    assert {tuple(ids) for _, ids in coders.coded} == {("i1",)}
    assert state["coded"] == ("i1",)


async def test_a_request_of_constraints_alone_is_coded_all_the_same() -> None:
    coders = Coders(one_label)
    state = await coded(coders, [clause(1, "Use at most 300 words.")])
    assert state["coded"] == ("i1",)
    assert labels(state) == {"The sea": ("i1",)}


def storm(who: str, ids: list[str]) -> list[dict[str, Any]]:
    names = {"reader": "Near storm", "editor": "Close storm", "auditor": "Calm"}
    return [coding(names[who], ids[0], confidence={"editor": 5}.get(who, 3))]


@pytest.mark.parametrize(
    ("apart", "pairs"),
    [
        # cos 31 degrees = .857 > .85; cos 32 degrees = .848
        (31.0, 1),
        (32.0, 0),
    ],
)
async def test_only_codes_closer_than_the_bound_are_compared(apart: float, pairs: int) -> None:
    coders = Coders(storm)
    angles = Angles({"Near": 0.0, "Close": apart, "Calm": 120.0})
    state = await coded(coders, [clause(1)], angles)
    assert len(coders.compared) == pairs
    assert len(state["codes"]) == 3 - pairs


async def test_codes_that_are_the_same_become_one_under_the_most_confident_name() -> None:
    angles = Angles({"Near": 0.0, "Close": 10.0})
    state = await coded(Coders(storm), [clause(1)], angles)
    assert labels(state) == {"Close storm": ("i1",), "Calm": ("i1",)}
    assert state["memos"][0].text == (
        "3 codings of 1 incidents gave 2 new codes; 1 pairs were held to be the same"
    )


async def test_codes_that_the_comparator_keeps_apart_stay_apart() -> None:
    angles = Angles({"Near": 0.0, "Close": 10.0})
    state = await coded(Coders(storm, same=False), [clause(1)], angles)
    assert [code.label for code in state["codes"]] == ["Near storm", "Close storm", "Calm"]


async def test_without_a_readable_verdict_codes_stay_apart_and_the_reply_is_counted() -> None:
    angles = Angles({"Near": 0.0, "Close": 10.0})
    state = await coded(Coders(storm, same="They look alike to me."), [clause(1)], angles)
    assert len(state["codes"]) == 3
    assert [(d.stage, d.agent, d.reason) for d in state["dropped"]] == [
        ("constant comparison", "comparator", "reply")
    ]


@pytest.mark.parametrize("says", [(True, False), (False, True)])
async def test_a_pair_that_is_said_to_be_the_same_and_not_stays_apart(
    says: tuple[bool, bool],
) -> None:
    # p1 is Near and Close, p2 Near and Calm; p3, Close and Calm, has no answer
    verdicts = [("p1", says[0]), ("p1", says[1]), ("p2", True)]
    items = json.dumps({"items": [{"pair": pair, "same": same} for pair, same in verdicts]})
    coders = Coders(storm, same=items)
    state = await coded(coders, [clause(1)], Angles({"Near": 0.0, "Close": 10.0, "Calm": 20.0}))
    assert len(coders.compared) == 3
    assert [code.label for code in state["codes"]] == ["Near storm", "Close storm"]


async def test_equal_labels_are_one_code_without_asking_anybody() -> None:
    def same_label(who: str, ids: list[str]) -> list[dict[str, Any]]:
        return [coding("the SEA" if who == "editor" else "The sea", ids[0])]

    coders = Coders(same_label)
    state = await coded(coders, [clause(1)])
    assert labels(state) == {"The sea": ("i1",)}
    assert coders.compared == []


@pytest.mark.parametrize("same", [True, False])
async def test_a_coding_that_is_held_for_a_known_code_adds_to_it_if_the_comparator_agrees(
    same: bool,
) -> None:
    def say(who: str, ids: list[str]) -> list[dict[str, Any]]:
        if ids[0].startswith("i"):
            return [coding("The sea", *ids)]
        return [coding("Water", ids[0], near="c1")]

    apart = Angles({"The sea": 0.0, "Water": 90.0})
    state = await coded(Coders(say, same), [clause(1), note(1)], apart)
    merged = {"The sea": ("i1", "d1.n1")}
    assert labels(state) == (merged if same else {"The sea": ("i1",), "Water": ("d1.n1",)})


async def test_coding_is_never_saturated_before_six_incidents() -> None:
    # new codes 1, 0, 0, 0, 0: no ratio under 4 + 2 incidents, however little comes
    state = await coded(Coders(one_label), [clause(n) for n in range(1, 6)])
    (only,) = state["saturation"]
    assert (only.incidents, only.ratio, only.saturated) == (5, None, False)
    # with the sixth: (0 + 0) / (1 + 0 + 0 + 0)
    state = await coded(Coders(one_label), [clause(n) for n in range(1, 7)])
    assert (state["saturation"][-1].ratio, state["saturation"][-1].saturated) == (0.0, True)


async def test_saturated_coding_leaves_the_remaining_notes_alone() -> None:
    coders = Coders(one_label)
    incidents = [clause(n) for n in range(1, 7)] + [note(n) for n in range(1, 9)]
    state = await coded(coders, incidents)
    assert len(state["saturation"]) == 1
    assert not any(i.startswith("d1") for _, ids in coders.coded for i in ids)


async def test_what_no_coder_named_is_neither_news_nor_none_and_is_counted() -> None:
    def odd_ones(who: str, ids: list[str]) -> list[dict[str, Any]]:
        return [coding(f"Quality {i}", i) for i in ids if int(i[1:]) % 2]

    # six incidents, but news of three only: too few to judge by
    state = await coded(Coders(odd_ones, same=False), [clause(n) for n in range(1, 7)])
    assert state["new_codes"] == (1, 1, 1)
    (only,) = state["saturation"]
    assert (only.incidents, only.ratio, only.saturated) == (6, None, False)
    assert [(d.stage, d.agent, d.reason, d.text) for d in state["dropped"]] == [
        ("open coding", "coder", "no coder named it", i) for i in ("i2", "i4", "i6")
    ]
    # they are done with all the same
    assert state["coded"] == ("i1", "i2", "i3", "i4", "i5", "i6")


async def test_a_round_in_which_nothing_was_named_is_never_saturated() -> None:
    def only_the_fifth(who: str, ids: list[str]) -> list[dict[str, Any]]:
        return [coding("The sea", i) for i in ids if i == "d1.n5"]

    # news enough to be saturated by, from before: 1, 0, 0, 0, 0, 0
    notes = [note(n) for n in range(1, 6)]
    state = await coded(Coders(only_the_fifth), notes, new_codes=(1, 0, 0, 0, 0, 0))
    assert [(r.incidents, r.saturated) for r in state["saturation"]] == [(4, False), (1, False)]
    silent = [d.text for d in state["dropped"] if d.reason == "no coder named it"]
    assert silent == ["d1.n1", "d1.n2", "d1.n3", "d1.n4"]


async def test_notes_that_go_on_bringing_news_are_coded_four_at_a_time_for_six_rounds() -> None:
    def always_new(who: str, ids: list[str]) -> list[dict[str, Any]]:
        return [coding(f"{who} of {i}", i) for i in ids]

    incidents = [clause(1), *(note(n) for n in range(1, 31))]
    state = await coded(Coders(always_new, same=False), incidents)
    assert [r.incidents for r in state["saturation"]] == [1, 4, 4, 4, 4, 4]
    assert not state["saturation"][-1].saturated
    # 21 incidents, 3 coders, one code each
    assert len(state["codes"]) == 63
    # news in the last two over news in the first four: (3 + 3) / (3 * 4)
    assert state["saturation"][-1].ratio == pytest.approx(0.5)


async def test_the_notes_that_the_codes_cover_least_are_coded_first_in_the_order_of_reading() -> (
    None
):
    # the one code lies at 0 degrees, notes 1 to 6 at 10, 20, 30, 40, 50 and 60
    degrees = {f"note {n}": 10.0 * n for n in range(1, 7)}
    coders = Coders(one_label)
    angles = Angles({"sea": 0.0, **degrees})
    state = await coded(coders, [clause(1, "the sea"), *(note(n) for n in range(1, 7))], angles)
    # the four farthest, then the rest; within a batch nothing is sorted by distance
    assert state["coded"] == ("i1", "d1.n3", "d1.n4", "d1.n5", "d1.n6", "d1.n1", "d1.n2")


async def test_a_coder_is_shown_the_five_known_codes_that_lie_nearest() -> None:
    def seven(who: str, ids: list[str]) -> list[dict[str, Any]]:
        if ids == ["d1.n1"]:
            return [coding("Last", "d1.n1")]
        return [coding(f"Code {n}", "i1") for n in range(1, 8)]

    # codes 1 to 7 at 40, 80, ..., 280 degrees, the note at 125: nearest are 3, 4, 2, 5, 1
    degrees = {f"Code {n}": 40.0 * n for n in range(1, 8)}
    coders = Coders(seven)
    # one passage gets one code, so seven need two
    await coded(coders, [clause(1), clause(2), note(1, "wave")], Angles({**degrees, "wave": 125.0}))
    assert coders.codebooks[0] == "none"
    assert coders.codebooks[-1].splitlines() == [f"c{n}: Code {n}" for n in (3, 4, 2, 5, 1)]


async def test_coding_goes_on_where_an_earlier_call_left_off() -> None:
    first = await coded(Coders(one_label), [clause(1)])
    coders = Coders(one_label)
    second = await coded(
        coders,
        [clause(1), note(1)],
        **{name: first[name] for name in ("codes", "coded", "new_codes", "saturation")},
    )
    assert {tuple(ids) for _, ids in coders.coded} == {("d1.n1",)}
    assert second["coded"] == ("i1", "d1.n1")
    assert [r.round for r in second["saturation"]] == [1, 2]
    # what the stage was given is not given out again
    assert [memo.round for memo in second["memos"]] == [2]
    # codes keep their ids and take the new evidence
    assert [(code.id, code.evidence) for code in second["codes"]] == [("c1", ("i1", "d1.n1"))]


async def test_a_coder_who_cannot_answer_is_counted_and_the_others_are_heard() -> None:
    def say(who: str, ids: list[str]) -> list[dict[str, Any]]:
        return [] if who == "editor" else [coding("The sea", ids[0])]

    state = await coded(Coders(say), [clause(1)])
    assert labels(state) == {"The sea": ("i1",)}
    assert [(d.stage, d.agent, d.reason) for d in state["dropped"]] == [
        ("open coding", "coder", "reply")
    ]


async def test_with_nothing_to_code_nothing_is_asked() -> None:
    coders = Coders(one_label)
    await coded(coders, [])
    assert coders.coded == []
