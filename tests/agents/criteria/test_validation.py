"""Which criteria would mislead."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.criteria.validation import (
    LOWEST,
    PROBES,
    SOUND,
    CriterionRefusal,
    Fault,
    Trial,
    duplicates,
    is_sound,
    keep_valid,
    probes_for,
    strength_share,
    ungrounded,
    uniquely_named,
    weaknesses,
)
from quillgraph.agents.domain import Criterion, Draft, Incident, WritingTask

MakeCriterion = Callable[..., Criterion]


def trial(
    drafts: list[int | None], probes: list[int | None], criterion_id: str = "k1.0"
) -> dict[str, Trial]:
    """How one criterion scored drafts d1, d2, … and probes p1, p2, …."""
    made = Trial(
        criterion_id=criterion_id,
        drafts={f"d{n}": score for n, score in enumerate(drafts, 1)},
        probes={f"p{n}": score for n, score in enumerate(probes, 1)},
    )
    return {criterion_id: made}


# --- duplicates ------------------------------------------------------------------------------


@pytest.mark.parametrize(("cosine", "faults"), [(0.86, ["b"]), (0.84, []), (-1.0, [])])
def test_the_later_of_two_criteria_that_lie_close_is_a_duplicate(
    criterion: MakeCriterion,
    turned: Callable[[float], tuple[float, float]],
    cosine: float,
    faults: list[str],
) -> None:
    rows = np.array([(1.0, 0.0), turned(cosine)])
    repeats = duplicates([criterion("a"), criterion("b")], rows)
    assert [finding.criterion_id for finding in repeats] == faults
    assert all(finding.fault == "duplicate" for finding in repeats)
    assert all("'Name of a'" in finding.reason for finding in repeats)


def test_equal_names_are_duplicates_however_far_apart(criterion: MakeCriterion) -> None:
    pair = [criterion("a", name="Salt Air"), criterion("b", name="salt air")]
    [refusal] = duplicates(pair, np.eye(2))
    assert refusal.criterion_id == "b"


def test_a_fault_to_avoid_is_no_duplicate_of_the_quality_that_it_spoils(
    criterion: MakeCriterion,
) -> None:
    same = np.array([(1.0, 0.0), (1.0, 0.0)])
    pitfall = criterion("b", kind="pitfall", tier="pitfall")
    assert duplicates([criterion("a"), pitfall], same) == ()
    again = criterion("c", kind="pitfall", tier="pitfall")
    assert [f.criterion_id for f in duplicates([pitfall, again], same)] == ["c"]


def test_a_criterion_is_refused_once_however_many_it_repeats(criterion: MakeCriterion) -> None:
    three = [criterion(name) for name in "abc"]
    repeats = duplicates(three, np.ones((3, 1)))
    assert [finding.criterion_id for finding in repeats] == ["b", "c"]


# --- ungrounded ------------------------------------------------------------------------------


def test_a_criterion_that_cites_what_is_not_there_is_ungrounded(
    criterion: MakeCriterion, incident: Callable[..., Incident]
) -> None:
    there = {"i1": incident("i1"), "d1.n1": incident("d1.n1")}
    unfounded = ungrounded(
        [
            criterion("a", evidence=("i1", "d1.n1")),
            criterion("b", evidence=("i1", "i9", "i8")),
        ],
        there,
    )
    assert [(f.criterion_id, f.fault, f.reason) for f in unfounded] == [
        ("b", "ungrounded", "there is no incident 'i9'")
    ]


# --- weaknesses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drafts", "probes", "fault"),
    [
        ([3, 7], [2, 1], None),
        # a probe that ties with the weakest real draft is good enough to fool
        ([3, 7], [3, 1], "exploitable"),
        ([3, 7], [9, 1], "exploitable"),
        ([5, 5], [1, 2], "flat"),
        # the worse fault is told first
        ([5, 5], [5, 2], "exploitable"),
        # at the foot of the scale a probe can lie no lower, so it fools nobody; one above it does
        ([LOWEST, 7], [LOWEST], None),
        ([LOWEST, 7], [LOWEST + 1, LOWEST], "exploitable"),
        ([LOWEST, LOWEST], [LOWEST], "flat"),
        # one draft alone cannot be told apart from anything
        ([5], [1], None),
        # a missing score is not a zero: neither weakest, nor equal, nor fooled
        ([None, 3, 7], [2], None),
        ([None, 5, 5], [1], "flat"),
        ([None, 5], [1], None),
        ([3, 7], [None], None),
        ([None, None], [9], None),
        ([], [9], None),
    ],
)
def test_a_soft_criterion_must_set_drafts_apart_and_withstand_probes(
    criterion: MakeCriterion,
    drafts: list[int | None],
    probes: list[int | None],
    fault: str | None,
) -> None:
    weakest = weaknesses([criterion("k1.0")], trial(drafts, probes))
    assert [finding.fault for finding in weakest] == ([fault] if fault else [])


def test_the_writer_is_told_which_texts_fooled_the_criterion(criterion: MakeCriterion) -> None:
    [refusal] = weaknesses([criterion("k1.0")], trial([4, 8], [4, 3, 6]))
    assert "(p1, p3)" in refusal.reason


def test_a_probe_at_the_foot_of_the_scale_is_not_told_among_those_that_fooled(
    criterion: MakeCriterion,
) -> None:
    assert LOWEST == 1
    [refusal] = weaknesses([criterion("k1.0")], trial([1, 8], [1, 2, 1]))
    assert "(p2)" in refusal.reason


@pytest.mark.parametrize(
    ("drafts", "probes"), [([3, 7], [10, 10]), ([5, 5], [10]), ([5, 5], [2]), ([10, 10, 10], [])]
)
def test_a_pitfall_may_be_absent_from_an_empty_phrase_and_from_every_draft(
    criterion: MakeCriterion, drafts: list[int | None], probes: list[int | None]
) -> None:
    pitfall = criterion("k1.0", kind="pitfall", tier="pitfall")
    assert weaknesses([pitfall], trial(drafts, probes)) == ()
    # what is no fault to avoid is held against both
    assert len(weaknesses([criterion("k1.0")], trial(drafts, probes))) == 1


def test_a_pitfall_does_not_excuse_the_soft_criterion_beside_it(criterion: MakeCriterion) -> None:
    pair = [criterion("a", kind="pitfall", tier="pitfall"), criterion("b")]
    weakest = weaknesses(pair, trial([5, 5], [1], "a") | trial([5, 5], [1], "b"))
    assert [(each.criterion_id, each.fault) for each in weakest] == [("b", "flat")]


def test_a_criterion_that_was_not_tried_has_no_weakness(criterion: MakeCriterion) -> None:
    assert weaknesses([criterion("k1.0")], {}) == ()


# --- is the validator sound ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drafts", "probes", "sound"),
    [
        ([8, 9], [1, 2], True),
        ([1, 2], [8, 9], False),
        ([5, 5], [5, 5], False),
        # pairs (6>2), (6>7 no), (8>2), (8>7): 3 of 4 = .75, just enough
        ([6, 8], [2, 7], True),
        # (6>2), (6>7 no), (7>2), (7=7 half): 2.5 of 4 = .625
        ([6, 7], [2, 7], False),
        # ties count half: (5>1), (5=5 half) = 1.5 of 2 = .75
        ([5], [1, 5], True),
        # missing scores make no pair; as zeros they would make 2 of 4
        ([8, None], [2, None], True),
        # as zeros, (8>0) and (3>0) would lift 0 of 2 to 2 of 4 and not help, so: 0 of 2
        ([8, 3], [9, None], False),
        ([None], [1], False),
        ([8], [], False),
    ],
)
def test_soundness_is_the_area_under_the_curve(
    criterion: MakeCriterion,
    drafts: list[int | None],
    probes: list[int | None],
    sound: bool,
) -> None:
    assert is_sound([criterion("k1.0")], trial(drafts, probes)) is sound
    assert SOUND == 0.75


def test_the_area_is_the_mean_over_soft_criteria(criterion: MakeCriterion) -> None:
    three = [criterion("a"), criterion("b"), criterion("c", kind="pitfall", tier="pitfall")]
    # a: 1.0; b: (4>3) and (4=4 half), 1.5 of 2 = .75; mean .875. The pitfall's 0 counts nowhere
    trials = trial([9], [1], "a") | trial([4], [3, 4], "b") | trial([1], [9], "c")
    assert is_sound(three, trials)
    # b: 0 of 1, so the mean is (1 + 0) / 2 = .5
    assert not is_sound(three, trials | trial([1], [9], "b"))


def test_a_validator_that_was_not_tried_is_not_sound(criterion: MakeCriterion) -> None:
    assert not is_sound([], {})
    assert not is_sound([criterion("a")], {})
    assert not is_sound([criterion("a", kind="pitfall", tier="pitfall")], trial([9], [1], "a"))


SCORES = st.lists(st.none() | st.integers(1, 10), min_size=1, max_size=4)


@given(SCORES, SCORES)
def test_drafts_and_probes_are_never_both_better(
    criterion: MakeCriterion, drafts: list[int | None], probes: list[int | None]
) -> None:
    # the areas of a comparison and of its reverse add up to 1, so at most one reaches .75
    only = [criterion("k1.0")]
    assert not (is_sound(only, trial(drafts, probes)) and is_sound(only, trial(probes, drafts)))


@given(SCORES, SCORES)
def test_missing_scores_change_no_verdict(
    criterion: MakeCriterion, drafts: list[int | None], probes: list[int | None]
) -> None:
    only, given_scores = [criterion("k1.0")], trial(drafts, probes)
    more = trial([*drafts, None], [*probes, None])
    assert is_sound(only, more) == is_sound(only, given_scores)
    assert weaknesses(only, more) == weaknesses(only, given_scores)


# --- strength --------------------------------------------------------------------------------


@pytest.fixture
def drafts() -> list[Draft]:
    strengths = ["strong", "weak", "strong", "weak"]
    return [
        Draft(id=f"d{n}", text="-", strength=strength)  # type: ignore[arg-type]  # a literal
        for n, strength in enumerate(strengths, 1)
    ]


@pytest.mark.parametrize(
    ("scores", "share"),
    [
        # strong d1 and d3 against weak d2 and d4: 8 and 6 mean 7, 3 and 5 mean 4
        ([[8, 3, 6, 5]], 1.0),
        # 4.5 against 5
        ([[8, 5, 1, 5]], 0.0),
        # a tie is no win
        ([[5, 5, 5, 5]], 0.0),
        ([[8, 3, 6, 5], [8, 5, 1, 5]], 0.5),
        # missing scores are left out: 8 against 5; as zeros it would be 4 against 5
        ([[8, 5, None, 5]], 1.0),
        # a criterion with one side only is left out
        ([[8, None, 6, None], [8, 3, 6, 5]], 1.0),
        ([[8, None, 6, None]], None),
        ([], None),
    ],
)
def test_the_share_of_criteria_on_which_strong_drafts_win(
    drafts: list[Draft], scores: list[list[int | None]], share: float | None
) -> None:
    trials: dict[str, Trial] = {}
    for number, row in enumerate(scores):
        trials |= trial(row, [], f"k1.{number}")
    assert strength_share(drafts, trials) == share


# --- probes ----------------------------------------------------------------------------------


def test_the_probes_are_the_usual_ones_the_rubrics_own_text_and_its_keywords(
    task: WritingTask, criterion: MakeCriterion
) -> None:
    written = criterion("k1.0", name="Keeper at work")
    probes = probes_for(task, written)
    assert set(probes) == {*PROBES, "rubric", "keywords"}
    assert probes["rubric"].startswith("Keeper at work The text shows the keeper at work. What")
    assert probes["rubric"].endswith("What level 9-10 does.")
    # words of more than four letters of "The text shows the keeper at work." and of the request
    # "Write a story about a lighthouse keeper. Do not use dialogue."
    assert probes["keywords"] == "Write, about, dialogue, keeper, lighthouse, shows, story"


def test_keywords_come_in_an_order_that_does_not_change(
    task: WritingTask, criterion: MakeCriterion
) -> None:
    long = WritingTask(request=" ".join(f"word{n:03}" for n in range(90)), language="en")
    words = probes_for(long, criterion())["keywords"].split(", ")
    assert words == sorted(words)
    assert len(words) == 40


def criterion(key: str, name: str = "Calm") -> Criterion:
    return Criterion(
        id=key,
        name=name,
        description="The text is calm.",
        kind="soft",
        tier="essential",
        weight=1.0,
        levels={},
        category_id="k1",
        evidence=("i1",),
    )


def finding(key: str, fault: Fault) -> CriterionRefusal:
    return CriterionRefusal(criterion_id=key, fault=fault, reason="because")


def test_what_is_refused_is_dropped_with_its_fault() -> None:
    kept = keep_valid(
        [criterion("a"), criterion("b", "Storm")], {"b": finding("b", "duplicate")}, fewest=1
    )
    assert [c.id for c in kept.criteria] == ["a"]
    assert kept.spared == ()
    assert [(d.reason, d.text) for d in kept.dropped] == [("duplicate", "Storm")]


def test_the_least_harmful_are_spared_when_too_few_would_be_left() -> None:
    criteria = [criterion(key) for key in "abcd"]
    refused = {
        "a": finding("a", "duplicate"),
        "b": finding("b", "exploitable"),
        "c": finding("c", "flat"),
    }
    # d is good; 3 are wanted, so 2 of the refused stay: flat before exploitable before duplicate
    kept = keep_valid(criteria, refused, fewest=3)
    assert [c.id for c in kept.spared] == ["c", "b"]
    assert [c.id for c in kept.criteria] == ["b", "c", "d"]
    assert [d.reason for d in kept.dropped] == ["duplicate"]


def test_hard_criteria_enough_leave_nothing_to_spare() -> None:
    kept = keep_valid([criterion("a")], {"a": finding("a", "flat")}, fewest=-1)
    assert kept.criteria == kept.spared == ()


def test_namesakes_are_told_apart_by_their_property_then_by_a_number() -> None:
    criteria = [criterion("a"), criterion("b", "calm"), criterion("c"), criterion("d", "Storm")]
    dimensions = {"a": "breath", "b": "pace", "c": "pace", "d": "wind"}
    names = [c.name for c in uniquely_named(criteria, dimensions)]
    assert names == ["Calm", "calm (pace)", "Calm (2)", "Storm"]
