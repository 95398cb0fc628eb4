"""Constant comparison."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings

from quillgraph.agents.domain import Code, Coding
from quillgraph.agents.grounded_theory.comparison import (
    SIMILAR,
    Pair,
    code_text,
    compare,
    merge,
    similar_pairs,
)
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import vectors

MakeCode = Callable[..., Code]
MakeCoding = Callable[..., Coding]


@pytest.fixture(scope="session")
def known(code: MakeCode) -> tuple[Code, ...]:
    return (
        code("c1", "Salt in the air", evidence=("i1",), confidence=2),
        code("c2", "A slow voice", evidence=("i2", "d1.n1"), confidence=5),
        code("c3", "Room for silence", evidence=("i3",)),
    )


# --- vectors ---------------------------------------------------------------------------------


async def test_vectors_have_length_one_and_blank_ones_stay_nothing(
    placed: Callable[..., Embeddings],
) -> None:
    table = {"a": (3.0, 4.0), "b": (0.0, 0.0)}
    rows = await vectors(["a", "b"], placed(lambda text: table[text]))
    # (3, 4) has length 5
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)


async def test_no_texts_have_no_vectors(placed: Callable[..., Embeddings]) -> None:
    rows = await vectors([], placed(lambda _: (1.0, 0.0)))
    assert rows.shape[0] == 0


# --- similar pairs ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def by_label(placed: Callable[..., Embeddings]) -> Callable[..., Embeddings]:
    """Embeddings that place a code by its label."""

    def make(table: dict[str, tuple[float, float]]) -> Embeddings:
        return placed(lambda text: table[text.split(":")[0]])

    return make


@pytest.mark.parametrize(("cosine", "pairs"), [(0.86, 1), (0.84, 0), (1.0, 1), (-1.0, 0)])
async def test_only_codes_above_the_threshold_are_worth_comparing(
    code: MakeCode,
    coding: MakeCoding,
    by_label: Callable[..., Embeddings],
    turned: Callable[[float], tuple[float, float]],
    cosine: float,
    pairs: int,
) -> None:
    embeddings = by_label({"A": (1, 0), "B": turned(cosine)})
    found = await similar_pairs([code("c1", "A")], [coding("B")], embeddings)
    assert len(found) == pairs
    assert SIMILAR == 0.85


async def test_new_codings_are_compared_with_codes_and_with_each_other_but_codes_are_not(
    code: MakeCode, coding: MakeCoding, by_label: Callable[..., Embeddings]
) -> None:
    codes = [code("c1", "A"), code("c2", "B")]
    table = dict.fromkeys("ABCD", (1.0, 0.0))
    pairs = await similar_pairs(codes, [coding("C"), coding("D")], by_label(table))
    assert pairs == (
        Pair("p1", "c1", "new1"),
        Pair("p2", "c2", "new1"),
        Pair("p3", "c1", "new2"),
        Pair("p4", "c2", "new2"),
        Pair("p5", "new1", "new2"),
    )


async def test_equal_labels_need_no_comparison(
    code: MakeCode, coding: MakeCoding, by_label: Callable[..., Embeddings]
) -> None:
    pairs = await similar_pairs(
        [code("c1", "A")], [coding("a")], by_label({"A": (1, 0), "a": (1, 0)})
    )
    assert pairs == ()


@pytest.mark.parametrize(
    ("left", "right", "pairs"),
    [("mood", "voice", 0), ("mood", "mood", 1), ("mood", None, 1), (None, "mood", 1)],
)
async def test_codes_seen_through_different_lenses_stay_apart(
    code: MakeCode,
    coding: MakeCoding,
    by_label: Callable[..., Embeddings],
    left: str | None,
    right: str | None,
    pairs: int,
) -> None:
    found = await similar_pairs(
        [code("c1", "A", lens=left)],
        [coding("B", lens=right)],
        by_label({"A": (1, 0), "B": (1, 0)}),
    )
    assert len(found) == pairs


async def test_what_a_coder_held_for_a_known_code_is_compared_with_it_however_far_it_lies(
    known: tuple[Code, ...], coding: MakeCoding, placed: Callable[..., Embeddings]
) -> None:
    apart = placed(lambda text: (0.0, 1.0) if text.startswith("Any") else (1.0, 0.0))
    held = [coding("Anything", near="c2"), coding("Any other", near="c9")]
    # the two codings lie on one spot; of the codes only c2 was named, and there is no c9
    assert await similar_pairs(known, held, apart) == (
        Pair("p1", "c2", "new1"),
        Pair("p2", "new1", "new2"),
    )


async def test_without_new_codings_there_is_nothing_to_compare(
    known: tuple[Code, ...], placed: Callable[..., Embeddings]
) -> None:
    assert await similar_pairs(known, [], placed(lambda _: (1.0, 0.0))) == ()
    assert await similar_pairs([], [], placed(lambda _: (1.0, 0.0))) == ()


# --- compare ---------------------------------------------------------------------------------


async def test_the_comparator_sees_both_codes_of_each_pair_with_their_glosses(
    code: MakeCode,
    coding: MakeCoding,
    role_saying: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    pairs = [Pair("p1", "c1", "new1"), Pair("p2", "new1", "new2")]
    items = [{"pair": "p1", "same": True}, {"pair": "p2", "same": False}]
    role = role_saying({"items": items}, name="comparator")
    answers = await compare(pairs, [code("c1", "A")], [coding("B"), coding("C")], role)
    assert [dict(item) for item in answers.items] == items
    assert requests[0].messages[-1].content == (
        "<pairs>\n"
        'p1: "A" (It shows A.) / "B" (It shows B.)\n'
        'p2: "B" (It shows B.) / "C" (It shows C.)\n'
        "</pairs>"
    )
    assert requests[0].temperature == 0.0


async def test_a_pair_that_was_not_asked_about_is_dropped(
    code: MakeCode, coding: MakeCoding, role_saying: Callable[..., Role]
) -> None:
    role = role_saying({"items": [{"pair": "p9", "same": True}]})
    answers = await compare([Pair("p1", "c1", "new1")], [code("c1", "A")], [coding("B")], role)
    assert answers.items == ()
    [dropped] = answers.dropped
    assert (dropped.stage, "p9" in dropped.text) == ("constant comparison", True)


# --- merge -----------------------------------------------------------------------------------


def test_codings_that_mean_the_same_become_one_code_in_the_surest_words(
    coding: MakeCoding,
) -> None:
    codings = [
        coding("Sea salt", "i1", confidence=2, lens="mood", words="sea"),
        coding("Salt on every page", "i2", "i1", confidence=4, coder="auditor"),
        coding("Silence", "i3"),
    ]
    merged = merge([], codings, [Pair("p1", "new1", "new2")])
    assert [(c.id, c.label, c.evidence) for c in merged] == [
        ("c1", "Salt on every page", ("i1", "i2")),
        ("c2", "Silence", ("i3",)),
    ]
    # label, coder, confidence and lens are all those of the one that speaks
    assert (merged[0].coder, merged[0].confidence, merged[0].lens) == ("auditor", 4, None)


def test_of_equally_sure_codings_the_first_gives_the_label(coding: MakeCoding) -> None:
    [merged] = merge([], [coding("First"), coding("Second")], [Pair("p1", "new1", "new2")])
    assert merged.label == "First"


def test_a_known_code_keeps_its_words_and_gains_the_evidence(
    known: tuple[Code, ...], coding: MakeCoding
) -> None:
    surer = coding("Brine", "d2.n1", "i1", confidence=5)
    merged = merge(known, [surer], [Pair("p1", "c1", "new1")])
    assert merged[0] == known[0].model_copy(update={"evidence": ("i1", "d2.n1")})
    assert merged[1:] == known[1:]


def test_equal_labels_are_one_code_whatever_their_case(coding: MakeCoding) -> None:
    [merged] = merge([], [coding("Sea Salt", "i1"), coding("sea salt", "i2")], [])
    assert merged.evidence == ("i1", "i2")


def test_sameness_goes_on_from_coding_to_coding(coding: MakeCoding) -> None:
    pairs = [Pair("p1", "new1", "new2"), Pair("p2", "new2", "new3")]
    merged = merge([], [coding("A", "i1"), coding("B", "i2"), coding("C", "i3")], pairs)
    assert [code.evidence for code in merged] == [("i1", "i2", "i3")]


def test_a_coding_that_equals_two_known_codes_goes_to_the_first_and_both_stay(
    known: tuple[Code, ...], coding: MakeCoding
) -> None:
    pairs = [Pair("p1", "c1", "new1"), Pair("p2", "c2", "new1")]
    merged = merge(known, [coding("Brine", "i7"), coding("Fog", "i8")], pairs)
    assert [(code.id, code.evidence) for code in merged] == [
        ("c1", ("i1", "i7")),
        ("c2", ("i2", "d1.n1")),
        ("c3", ("i3",)),
        ("c4", ("i8",)),
    ]


INCIDENTS = st.lists(st.sampled_from(["i1", "i2", "i3", "d1.n1"]), min_size=1, max_size=3)


@st.composite
def rounds(draw: st.DrawFn) -> tuple[list[Coding], list[Pair]]:
    """New codings beside the three known codes, and which pairs were found to be the same."""
    codings = [
        Coding(
            label=draw(st.sampled_from(["A", "a", "B", "C", "D", "salt in the air"])),
            gloss=f"gloss {number}",
            evidence=tuple(draw(INCIDENTS)),
            coder="reader",
            confidence=draw(st.integers(1, 5)),
        )
        for number in range(draw(st.integers(0, 5)))
    ]
    keys = ["c1", "c2", "c3", *(f"new{number}" for number in range(1, len(codings) + 1))]
    ends = [(a, b) for at, b in enumerate(keys) for a in keys[:at] if b.startswith("new")]
    chosen = draw(st.lists(st.sampled_from(ends), max_size=4)) if ends else []
    return codings, [Pair(f"p{n}", a, b) for n, (a, b) in enumerate(chosen, 1)]


def incidents_of(entries: Sequence[Code | Coding]) -> set[str]:
    return {incident for entry in entries for incident in entry.evidence}


@given(rounds())
def test_known_codes_keep_id_label_gloss_and_place_and_lose_no_evidence(
    known: tuple[Code, ...], made: tuple[list[Coding], list[Pair]]
) -> None:
    codings, same = made
    merged = merge(known, codings, same)
    for before, after in zip(known, merged, strict=False):
        assert (after.id, after.label, after.gloss) == (before.id, before.label, before.gloss)
        assert after.evidence[: len(before.evidence)] == before.evidence
    assert [code.id for code in merged] == [f"c{n}" for n in range(1, len(merged) + 1)]


@given(rounds())
def test_no_evidence_is_lost_none_is_invented_and_none_is_cited_twice_in_a_code(
    known: tuple[Code, ...], made: tuple[list[Coding], list[Pair]]
) -> None:
    codings, same = made
    merged = merge(known, codings, same)
    assert incidents_of(merged) == incidents_of([*known, *codings])
    assert all(max(Counter(code.evidence).values()) == 1 for code in merged)


@given(rounds())
def test_labels_are_unique_whatever_their_case(
    known: tuple[Code, ...], made: tuple[list[Coding], list[Pair]]
) -> None:
    merged = merge(known, *made)
    assert len({code.label.casefold() for code in merged}) == len(merged)


@given(rounds(), st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_changes_nothing(
    known: tuple[Code, ...], made: tuple[list[Coding], list[Pair]], chance: object
) -> None:
    codings, same = made
    shuffled = list(same)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    assert merge(known, codings, shuffled) == merge(known, codings, same)


@given(rounds())
def test_the_order_of_new_codings_does_not_decide_which_merge(
    made: tuple[list[Coding], list[Pair]],
) -> None:
    codings, same = made
    count = len(codings)
    # turned round, the n-th coding from the front is the n-th from the back
    turned = {f"new{n}": f"new{count + 1 - n}" for n in range(1, count + 1)}
    new = [pair for pair in same if pair.left in turned]
    back = [Pair(pair.id, turned[pair.left], turned[pair.right]) for pair in new]
    forward = merge([], codings, new)
    backward = merge([], codings[::-1], back)
    assert Counter(frozenset(code.evidence) for code in forward) == Counter(
        frozenset(code.evidence) for code in backward
    )


@given(rounds())
def test_a_second_merge_without_news_changes_nothing(
    known: tuple[Code, ...], made: tuple[list[Coding], list[Pair]]
) -> None:
    merged = merge(known, *made)
    assert merge(merged, [], []) == merged


def test_a_code_is_shown_by_label_and_gloss(coding: MakeCoding) -> None:
    assert code_text(coding("Brine")) == "Brine: It shows Brine."
