"""The consolidator, and the pool of lessons that it works on."""

import json
import re
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.memory.candidates import MOST_CANDIDATES, candidates
from quillgraph.agents.memory.consolidation import apply, consolidate
from quillgraph.agents.memory.hygiene import fault_of
from quillgraph.agents.memory.lesson import Contrast, Fate, Lesson, Operation
from quillgraph.agents.prompt import render
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest

NOW = "2026-11-23T12:00:00+00:00"
TASK = WritingTask(request="Write a story about a lighthouse.", language="en", genre="story")
NAMES = ("Calm rhythm", "Plain words")


def lesson(lesson_id: str, **fields: Any) -> Lesson:
    defaults: dict[str, Any] = {
        "condition": f"When {lesson_id} is weak",
        "strategy": f"work on {lesson_id}",
        "polarity": "do",
        "criteria": ("Calm rhythm",),
        "genre": "story",
        "language": "en",
    }
    return Lesson(id=lesson_id, **{**defaults, **fields})


def add(condition: str = "When it drags", strategy: str = "cut it", **fields: Any) -> Operation:
    defaults: dict[str, Any] = {"criteria": ("Calm rhythm",)}
    return Operation(
        operation="ADD", condition=condition, strategy=strategy, **{**defaults, **fields}
    )


def update(lesson_id: str, condition: str, strategy: str, **fields: Any) -> Operation:
    return add(condition, strategy, **fields).model_copy(
        update={"operation": "UPDATE", "id": lesson_id}
    )


def form_of(request: ChatRequest) -> dict[str, Any]:
    """The form of one operation, field by field."""
    assert request.json_schema is not None
    fields: dict[str, Any] = request.json_schema["$defs"]["Operation"]["properties"]
    return fields


def answered(operation: str, lesson_id: str = "new", **fields: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "operation": operation, "id": lesson_id, "condition": "", "strategy": "",
        "polarity": "do", "criteria": ["Calm rhythm"],
    }  # fmt: skip
    return {**defaults, **fields}


@pytest.fixture(scope="session")
def contrast() -> Contrast:
    return Contrast(
        criteria=NAMES,
        best={"Calm rhythm": 8, "Plain words": 5.5},
        worst={"Calm rhythm": 3},
        revisions=(
            Fate(
                accepted=True,
                delta=0.12,
                before={"Calm rhythm": 3, "Plain words": 5},
                after={"Calm rhythm": 8, "Plain words": 5.5},
                critique=("three verbs a line",),
                plan=("halve the verbs",),
            ),
            Fate(
                accepted=False,
                delta=-0.05,
                before={"Calm rhythm": 8, "Plain words": 5.5},
                after={"Calm rhythm": 4, "Plain words": 6},
                plan=("add a storm",),
            ),
        ),
    )


# --- a model that writes -----------------------------------------------------------------------


async def test_the_consolidator_reads_scores_critiques_and_lessons(
    contrast: Contrast, role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    role = role_of({"items": [answered("NONE")]})
    await consolidate(TASK, contrast, [lesson("l-1")], role)
    words = str(requests[0].messages[-1].content)
    assert "Calm rhythm: best 8, worst 3\nPlain words: best 5.5, worst unread" in words
    assert "kept (+0.12): critique: three verbs a line; plan: halve the verbs" in words
    assert "taken back (-0.05): plan: add a storm" in words
    assert "l-1: When l-1 is weak: work on l-1 [Calm rhythm]" in words


async def test_its_answers_become_operations(
    contrast: Contrast, role_of: Callable[..., Role]
) -> None:
    items = [
        answered("ADD", "l-1", condition=" When it\n drags: ", strategy="cut it", polarity="avoid"),
        answered("UPDATE", "l-1", condition="When l-1 drags", strategy="cut it"),
        answered("DELETE", "l-1"),
    ]
    answers = await consolidate(TASK, contrast, [lesson("l-1")], role_of({"items": items}))
    first, second, third = answers.items
    # a new lesson has no id yet, whatever the model called it
    assert (first.operation, first.id, first.condition) == ("ADD", None, "When it drags")
    assert (first.polarity, first.criteria) == ("avoid", ("Calm rhythm",))
    assert (second.operation, second.id) == ("UPDATE", "l-1")
    assert (third.operation, third.id) == ("DELETE", "l-1")


async def test_ids_and_criteria_are_enums_and_an_empty_pool_can_only_grow(
    contrast: Contrast, role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    role = role_of({"items": [answered("NONE")]})
    for pool in ([lesson("l-1"), lesson("l-2")], []):
        await consolidate(TASK, contrast, pool, role)
    full, empty = map(form_of, requests)
    assert full["id"]["enum"] == ["l-1", "l-2", "new"]
    assert full["criteria"]["items"]["enum"] == list(NAMES)
    assert full["operation"]["enum"] == ["ADD", "UPDATE", "DELETE", "NONE"]
    assert (empty["id"]["const"], empty["operation"]["enum"]) == ("new", ["ADD", "NONE"])


async def test_of_a_large_pool_the_lessons_about_these_criteria_are_read_first(
    contrast: Contrast, role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    pool = [lesson(f"l-{n}", criteria=("Other",), support=n) for n in range(1, 30)]
    pool.append(lesson("l-near", criteria=("PLAIN words",)))
    await consolidate(TASK, contrast, pool, role_of({"items": [answered("NONE")]}))
    ids = form_of(requests[0])["id"]["enum"]
    # sixteen lessons: the near one, then 29, 28, ... 15
    assert ids == ["l-near", *(f"l-{n}" for n in range(29, 14, -1)), "new"]


def test_the_worked_example_updates_a_lesson_without_turning_it_round() -> None:
    prompt = render("consolidating", request="-", scores="-", revisions="-", lessons="-")
    shown, answer = (str(message.content) for message in prompt[1:3])
    _, _, words = shown.partition("<lessons>\n")
    known = lesson("l-1a2b3c4d", condition="When a feeling matters", strategy="name it plainly")
    assert words.startswith(f"{known.id}: {known.text} [")
    operations = [Operation.model_validate(each) for each in json.loads(answer)["items"]]
    assert [each.operation for each in operations] == ["ADD", "UPDATE"]
    pool, dropped = apply([known], operations, TASK, now=NOW)
    assert (len(pool), dropped) == (2, ())
    assert (pool[0].id, pool[0].polarity, pool[0].support) == (known.id, "do", 2)
    assert pool[0].strategy == "name it once in a plain word, and leave it unexplained"


async def test_operations_that_cannot_be_read_are_dropped_one_by_one(
    contrast: Contrast, role_of: Callable[..., Role]
) -> None:
    items = [answered("DELETE", "l-9"), answered("NONE")]
    answers = await consolidate(TASK, contrast, [lesson("l-1")], role_of({"items": items}))
    assert [each.operation for each in answers.items] == ["NONE"]
    assert [each.stage for each in answers.dropped] == ["consolidation"]


# --- a model that chooses ----------------------------------------------------------------------


async def test_a_small_model_chooses_among_worded_lessons(
    contrast: Contrast, role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    answers = await consolidate(TASK, contrast, [], role_of({"keep": ["n2", "n2"]}, chooses=True))
    assert [each.text for each in answers.items] == [
        "When “Calm rhythm” has to be kept: Avoid: changing what carries it, which lowered it "
        "before"
    ]
    assert {each.operation for each in answers.items} == {"ADD"}
    words = str(requests[0].messages[-1].content)
    assert "n1: When “Calm rhythm” is still weak: revise for it alone" in words
    assert requests[0].json_schema is not None
    assert requests[0].json_schema["properties"]["keep"]["minItems"] == 1


async def test_a_small_model_that_chooses_nothing_is_dropped(
    contrast: Contrast, role_of: Callable[..., Role]
) -> None:
    answers = await consolidate(TASK, contrast, [], role_of({"keep": []}, chooses=True))
    assert answers.items == ()
    assert [each.reason for each in answers.dropped] == ["reply"]


async def test_an_episode_that_moved_nothing_is_not_asked_about(
    role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    still = Contrast(criteria=NAMES, best={"Calm rhythm": 8}, worst={"Calm rhythm": 7})
    answers = await consolidate(TASK, still, [], role_of({"keep": ["n1"]}, chooses=True))
    assert (answers.items, requests) == ((), [])


@pytest.mark.parametrize(
    ("accepted", "before", "after", "polarity", "told"),
    [
        (True, 3, 8, "do", "alone, which raised it"),
        (True, 8, 4, "avoid", "which lowered it"),
        (False, 8, 4, "avoid", "which lowered it"),
        (False, 5, 6, "avoid", "which did not help it"),
        # a band is reached by its lower score: 2.5 is in 1-2, 6.5 in 5-6
        (True, 2.5, 6.5, "do", "alone, which raised it"),
    ],
)
def test_a_revision_teaches_by_the_bands_that_it_moved(
    accepted: bool, before: float, after: float, polarity: str, told: str
) -> None:
    fate = Fate(accepted=accepted, delta=None, before={"a": before}, after={"a": after})
    (found,) = candidates(Contrast(criteria=("a",), best={}, worst={}, revisions=(fate,)), "en")
    assert (found.polarity, found.criteria) == (polarity, ("a",))
    assert told in found.strategy


@pytest.mark.parametrize(
    ("accepted", "before", "after"), [(False, 3, 8), (True, 5, 6), (False, 7, 8), (True, 9, 10)]
)
def test_what_moved_for_nothing_or_stood_high_teaches_nothing(
    accepted: bool, before: float, after: float
) -> None:
    fate = Fate(accepted=accepted, delta=None, before={"a": before}, after={"a": after})
    contrast = Contrast(criteria=("a", "b"), best={}, worst={}, revisions=(fate,))
    assert candidates(contrast, "en") == ()


def test_best_stands_against_worst_where_no_revision_raised_the_criterion() -> None:
    contrast = Contrast(criteria=("a", "b"), best={"a": 9, "b": 4}, worst={"a": 2, "b": 4})
    (found,) = candidates(contrast, "zh")
    assert found.text == "当“a”还不够好时：换一种写法重来，这样做曾使它变好"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_lessons_are_worded_for_a_writer_who_sees_no_levels(language: str) -> None:
    name = "Concrete imagery at the scale of a child who is about to fall asleep"
    moved = [(True, 2, 8), (True, 8, 2), (False, 4, 4), (True, 4, 8)]
    fates = tuple(
        Fate(accepted=accepted, delta=None, before={name: before}, after={name: after})
        for accepted, before, after in moved
    )
    contrast = Contrast(criteria=(name,), best={name: 9}, worst={name: 1}, revisions=fates)
    other = contrast.model_copy(update={"revisions": ()})
    found = (*candidates(contrast, language), *candidates(other, language))
    # raised from two levels is one lesson; where nothing was revised, another text raised it
    assert [each.polarity for each in found] == ["do", "avoid", "avoid", "do"]
    assert len({each.text for each in found}) == 4
    for each in found:
        assert name in each.condition
        assert not re.search(r"\d|level|档|score|分", each.text.replace(name, ""))
        assert fault_of(each.condition, each.strategy, ()) is None


@pytest.mark.parametrize(
    ("condition", "strategy", "do", "avoid"),
    [
        ("When it drags", "cut it", "When it drags: cut it", "When it drags: Avoid: cut it"),
        ("当节奏拖沓时", "删去一半", "当节奏拖沓时：删去一半", "当节奏拖沓时：避免：删去一半"),
        # the strategy decides
        (
            "当“Calm rhythm”已稳时",
            "再加比喻",
            "当“Calm rhythm”已稳时：再加比喻",
            "当“Calm rhythm”已稳时：避免：再加比喻",
        ),
    ],
)
def test_lessons_and_operations_are_marked_in_the_script_of_the_strategy(
    condition: str, strategy: str, do: str, avoid: str
) -> None:
    fields = {"condition": condition, "strategy": strategy}
    polarities: tuple[Literal["do", "avoid"], ...] = ("do", "avoid")
    for polarity, shown in zip(polarities, (do, avoid), strict=True):
        assert lesson("l-1", **fields, polarity=polarity).text == shown
        assert add(condition, strategy, polarity=polarity).text == shown


def test_only_a_few_lessons_are_offered_the_widest_moves_first() -> None:
    names = [f"n{number}" for number in range(10)]
    best = dict.fromkeys(names, 10.0)
    worst = {name: 1.0 + number for number, name in enumerate(names)}
    lessons = candidates(Contrast(criteria=tuple(names), best=best, worst=worst), "en")
    # worst scores 1, 2, ... 6: bands 0, 0, 1, 1, 2, 2 against band 4
    assert [each.criteria[0] for each in lessons] == names[:MOST_CANDIDATES]


def test_a_criterion_named_like_a_word_to_a_judge_is_not_offered() -> None:
    name = "What the judge sees"
    assert candidates(Contrast(criteria=(name,), best={name: 9}, worst={name: 1}), "en") == ()


# --- operations on a pool ----------------------------------------------------------------------


def test_a_new_lesson_takes_genre_and_language_of_the_task_and_a_stable_id() -> None:
    (first,), dropped = apply([], [add()], TASK, now=NOW)
    (again,), _ = apply([], [add("when it  DRAGS")], TASK, now="2027-01-01T00:00:00+00:00")
    (other,), _ = apply([], [add()], TASK.model_copy(update={"genre": "poem"}), now=NOW)
    assert (first.genre, first.language, first.support, first.uses) == ("story", "en", 1, 0)
    assert (first.confirmed, first.last_used, dropped) == (NOW, "", ())
    assert first.id == again.id != other.id


def test_a_lesson_that_is_known_gains_support() -> None:
    known = lesson("l-1", condition="When it drags", strategy="cut it", support=2, uses=3, gain=0.3)
    (now,), dropped = apply(
        [known], [add("when it  drags", "Cut it", criteria=("Plain words",))], TASK, now=NOW
    )
    assert (now.id, now.condition, now.support) == ("l-1", "When it drags", 3)
    assert now.criteria == ("Calm rhythm", "Plain words")
    assert (now.uses, now.gain, now.confirmed, dropped) == (3, 0.3, NOW, ())


def test_the_same_words_with_the_other_polarity_are_another_lesson() -> None:
    pool, _ = apply([], [add(), add(polarity="avoid")], TASK, now=NOW)
    assert [each.support for each in pool] == [1, 1]


def test_an_update_keeps_the_id_and_raises_the_support() -> None:
    known = lesson("l-1", support=2, uses=1, gain=0.1, last_used="2026-11-01")
    (now,), _ = apply([known], [update("l-1", "When it drags", "cut it")], TASK, now=NOW)
    assert (now.id, now.text, now.support) == ("l-1", "When it drags: cut it", 3)
    assert (now.uses, now.gain, now.last_used) == (1, 0.1, "2026-11-01")


def test_an_update_to_the_words_of_another_lesson_makes_the_two_one() -> None:
    kept = lesson("l-1", condition="When it drags", strategy="cut it", support=2, uses=1, gain=0.5)
    lost = lesson("l-2", support=3, uses=2, gain=-0.1, last_used="2026-11-02")
    change = update("l-2", "When it drags", "cut it")
    (now,), _ = apply([kept, lost], [change], TASK, now=NOW)
    # support 2 + 3 + 1; uses 1 + 2; gain 0.5 - 0.1
    assert (now.id, now.support, now.uses, now.last_used) == ("l-1", 6, 3, "2026-11-02")
    assert now.gain == pytest.approx(0.4)


def test_a_new_lesson_does_not_take_the_id_of_one_that_has_other_words_by_now() -> None:
    (first,), _ = apply([], [add()], TASK, now=NOW)
    changed, _ = apply([first], [update(first.id, "When it runs", "let it")], TASK, now=NOW)
    pool, _ = apply(changed, [add()], TASK, now=NOW)
    assert [each.condition for each in pool] == ["When it runs", "When it drags"]
    assert len({each.id for each in pool}) == 2


def test_a_deleted_lesson_is_gone_and_the_others_stay() -> None:
    pool = [lesson("l-1"), lesson("l-2")]
    assert apply(pool, [Operation(operation="DELETE", id="l-1")], TASK, now=NOW) == (
        (pool[1],),
        (),
    )


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (Operation(operation="DELETE", id="l-9"), "unknown id"),
        (update("l-9", "When it drags", "cut it"), "unknown id"),
        (add("When", "cut"), "shorter than 4 characters"),
        (add(criteria=()), "no criterion"),
        (add("When the judge reads"), "speaks to a judge"),
        (update("l-1", "When it drags", "look at www.a.b"), "address"),
        (add(strategy="the lamp went out before the gulls"), "copied from a judged text"),
        (add("x" * 201), "longer than 200 characters"),
    ],
)
def test_an_operation_that_cannot_be_followed_is_dropped_with_its_reason(
    operation: Operation, reason: str
) -> None:
    text = "That night the lamp went out before the gulls came."
    pool, dropped = apply([lesson("l-1")], [operation], TASK, now=NOW, judged_texts=[text])
    assert pool == (lesson("l-1"),)
    assert [(each.reason, each.text, each.stage) for each in dropped] == [
        (reason, operation.text, "consolidation")
    ]


@pytest.mark.parametrize(
    ("uses", "gain", "stays"),
    [(5, 0.0, False), (5, -0.1, False), (5, 0.01, True), (4, -1.0, True), (0, 0.0, True)],
)
def test_a_lesson_that_gained_nothing_in_five_uses_goes(
    uses: int, gain: float, stays: bool
) -> None:
    pool, dropped = apply([lesson("l-1", uses=uses, gain=gain)], [], TASK, now=NOW)
    assert (len(pool) == 1) is stays
    assert [each.reason for each in dropped] == ([] if stays else [f"no gain in {uses} uses"])


def test_a_full_pool_lets_go_of_the_least_supported_and_longest_unused() -> None:
    pool = [
        lesson("l-1", support=2, last_used="2026-01-01"),
        lesson("l-2", support=1, last_used="2026-03-01"),
        lesson("l-3", support=1, last_used="2026-02-01"),
        # not used yet, but confirmed later than the third was used
        lesson("l-4", support=1, confirmed="2026-02-02"),
    ]
    kept, dropped = apply(pool, [add()], TASK, now=NOW, capacity=3)
    # five lessons, three places: of support 1, l-3 and then l-4 were wanted longest ago;
    # the new one has support 1 as well, but it has just come
    assert [each.id for each in kept[:2]] == ["l-1", "l-2"]
    assert kept[2].condition == "When it drags"
    assert [each.text for each in dropped] == [pool[2].text, pool[3].text]
    assert {each.reason for each in dropped} == {"least supported of more than 3"}


_IDS = [f"l-{number}" for number in range(6)]
_POOLS = st.lists(
    st.builds(
        lesson,
        st.sampled_from(_IDS),
        support=st.integers(0, 4),
        uses=st.integers(0, 7),
        gain=st.floats(-1, 1),
        last_used=st.sampled_from(["", "2026-01-01", "2026-02-01"]),
    ),
    unique_by=lambda each: each.id,
)
_OPERATIONS = st.lists(
    st.builds(
        Operation,
        operation=st.sampled_from(["ADD", "UPDATE", "DELETE", "NONE"]),
        id=st.none() | st.sampled_from([*_IDS, "l-9"]),
        condition=st.sampled_from(["When l-1 is weak", "When it drags", "When it runs", "no"]),
        strategy=st.sampled_from(["work on l-1", "cut it", "call the judge"]),
        criteria=st.sampled_from([(), ("Calm rhythm",), NAMES]),
    ),
    max_size=6,
)


@given(_POOLS, _OPERATIONS, st.integers(0, 5))
def test_a_pool_stays_in_order_whatever_is_done_to_it(
    pool: list[Lesson], operations: list[Operation], capacity: int
) -> None:
    kept, dropped = apply(pool, operations, TASK, now=NOW, capacity=capacity)
    assert len(kept) <= capacity
    assert len({each.id for each in kept}) == len(kept)
    assert all(Lesson.model_validate(each.model_dump()) == each for each in kept)
    assert all(each.uses < 5 or each.gain > 0 for each in kept)
    # every lesson that was there is there still, was deleted, merged, or is told of
    assert len(kept) + len(dropped) + len(operations) >= len(pool)


@given(_POOLS, st.lists(st.none() | st.sampled_from(_IDS)))
def test_nothing_is_changed_by_none(pool: list[Lesson], ids: list[str | None]) -> None:
    nothing = [Operation(operation="NONE", id=each) for each in ids]
    sound, _ = apply(pool, [], TASK, now=NOW)
    assert apply(sound, nothing, TASK, now=NOW) == (sound, ())
