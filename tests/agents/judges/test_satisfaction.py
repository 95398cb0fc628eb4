import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.count import LineCount, ListCount, WordCount
from quillgraph.agents.checks.manner import Person
from quillgraph.agents.checks.words import MustInclude, MustNotInclude
from quillgraph.agents.domain import Criterion
from quillgraph.agents.judges.rewards import satisfaction, satisfied_share


def hard(name: str, check: Check, weight: float = 1.0) -> Criterion:
    return Criterion(
        id=name, name=name, description=name, kind="hard", tier="essential", weight=weight,
        levels={}, category_id=None, evidence=("i1",), check=check,
    )  # fmt: skip


SIX = WordCount(min=6, max=6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("For sale: baby shoes, never worn.", 1.0),
        ("one two three", 0.5 * 3 / 6),
        ("one two three four five six seven eight", 0.5 * 6 / 8),
        ("word " * 60, 0.5 * 6 / 60),
        ("", 0.0),
    ],
)
def test_a_count_is_worth_its_ratio_to_the_nearest_bound(text: str, expected: float) -> None:
    assert satisfaction(SIX, text) == pytest.approx(expected)


def test_words_are_worth_the_share_that_stands_there() -> None:
    check = MustInclude(terms=("moon", "salt"), any_of=("sea", "tide"))
    # salt and one of sea and tide stand there, moon does not: .5 * 2/3
    assert satisfaction(check, "Salt of the sea") == pytest.approx(0.5 * 2 / 3)
    assert satisfaction(check, "Salt of the sea under the moon") == 1


def test_forbidden_words_are_worth_the_share_that_is_absent() -> None:
    check = MustNotInclude(terms=("very", "nice", "good", "sad"))
    # very stands there: .5 * 3/4
    assert satisfaction(check, "It was very dark") == pytest.approx(0.5 * 3 / 4)


def test_what_has_no_degrees_is_all_or_nothing() -> None:
    assert satisfaction(Person(person="first"), "He walked and she ran.") == 0
    assert satisfaction(Person(person="first"), "I walked.") == 1


def test_a_list_counts_by_the_kind_of_mark_that_comes_nearest() -> None:
    # two bullets of four: .5 * 2/4
    assert satisfaction(ListCount(min=4, max=4), "- a\n- b") == pytest.approx(0.25)


def test_a_ceiling_of_nothing_has_no_slope_to_divide_by() -> None:
    assert satisfaction(WordCount(max=0), "one") == 0


@given(
    text=st.text(alphabet="ab \n-.", max_size=60),
    low=st.integers(0, 5),
    more=st.one_of(st.none(), st.integers(0, 5)),
)
def test_one_is_for_what_keeps_the_demand_and_for_nothing_else(
    text: str, low: int, more: int | None
) -> None:
    for check in (
        WordCount(min=low, max=None if more is None else low + more),
        LineCount(min=low, max=None if more is None else low + more),
        MustInclude(terms=("a b", "b")),
    ):
        value = satisfaction(check, text)
        assert 0 <= value <= 1
        assert (value == 1) == (check.violation(text) is None)


@given(far=st.integers(7, 80), nearer=st.integers(7, 80))
def test_coming_nearer_is_never_worth_less(far: int, nearer: int) -> None:
    far, nearer = max(far, nearer), min(far, nearer)
    assert satisfaction(SIX, "w " * nearer) >= satisfaction(SIX, "w " * far)


def test_weights_count() -> None:
    text = "one two three"
    criteria = [hard("h1", SIX, weight=1.0), hard("h2", MustInclude(terms=("two",)), weight=3.0)]
    # (1 * .5 * 3/6 + 3 * 1) / 4 = .8125
    assert satisfied_share(criteria, text) == pytest.approx(0.8125)


def test_without_hard_criteria_there_is_no_share() -> None:
    assert satisfied_share([], "text") is None
