"""What a judgement comes to as one number."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.count import (
    CharCount,
    LineCount,
    ListCount,
    ParagraphCount,
    WordCount,
)
from quillgraph.agents.checks.manner import Person
from quillgraph.agents.checks.words import MustInclude, MustNotInclude
from quillgraph.agents.domain import Core, CriteriaSet, Criterion
from quillgraph.agents.judgements import Judgement, Missing, Reward, Verdict, Violation, text_hash
from quillgraph.agents.judges.rewards import (
    LONGEST,
    LengthRange,
    length_range,
    length_term,
    repetition_term,
    reward,
    satisfaction,
    satisfied_share,
    weighted_score,
)

MakeCriterion = Callable[..., Criterion]
IDS = ("k1.0", "k1.1", "k1.2")
TIERS = ("essential", "important", "optional")


def words(count: int) -> str:
    """So many words, none of them twice."""
    return " ".join(f"word{number}" for number in range(count))


@pytest.fixture(scope="session")
def three(criterion: MakeCriterion) -> tuple[Criterion, ...]:
    """Criteria of weights 1, .7 and .3."""
    return tuple(criterion(id_, tier=tier) for id_, tier in zip(IDS, TIERS, strict=True))


@pytest.fixture(scope="session")
def hard(criterion: MakeCriterion) -> Callable[..., Criterion]:
    def make(check: Any, criterion_id: str = "h1") -> Criterion:
        return criterion(criterion_id, kind="hard", levels={}, category_id=None, check=check)

    return make


def set_of(criteria: Sequence[Criterion]) -> CriteriaSet:
    return CriteriaSet(
        request_hash="ab12",
        language="en",
        genre="story",
        core=Core(category_id="k1", storyline="The keeper stays."),
        criteria=tuple(criteria),
    )


def judgement_of(
    criteria_set: CriteriaSet, text: str, scores: dict[str, float], **fields: Any
) -> Judgement:
    verdicts = tuple(Verdict(criterion_id=id_, score=s, votes=(s,)) for id_, s in scores.items())
    return Judgement(
        criteria_sha=criteria_set.sha256,
        text_sha=text_hash(text),
        judge="scripted",
        verdicts=verdicts,
        **fields,
    )


def rewarded(
    criteria: Sequence[Criterion], scores: dict[str, float], text: str = words(9), **options: Any
) -> Reward:
    made = set_of(criteria)
    return reward(judgement_of(made, text, scores), made, text, **options)


# --- length ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "requests"),
    [
        (WordCount(min=400, max=600), LengthRange(400, 600, "words")),
        (WordCount(max=600), LengthRange(0, 600, "words")),
        (WordCount(min=400), LengthRange(400, None, "words")),
        # 字数 is counted as words are
        (CharCount(min=800, max=800), LengthRange(800, 800, "words")),
        (CharCount(max=280, unit="character"), LengthRange(0, 280, "characters")),
        (ParagraphCount(min=3), None),
        (None, None),
    ],
)
def test_the_length_that_is_asked_for_is_read_off_the_check(
    hard: Callable[..., Criterion], check: Any, requests: LengthRange | None
) -> None:
    assert length_range([hard(check)]) == requests


def test_hard_criteria_count_the_whole_text_and_the_first_says_what_is_counted(
    criterion: MakeCriterion, hard: Callable[..., Criterion]
) -> None:
    soft = criterion(check=WordCount(max=9))
    checks = (ParagraphCount(min=3), CharCount(max=5), WordCount(max=7))
    rows = [hard(check, f"h{number}") for number, check in enumerate(checks, 1)]
    assert length_range([soft, *rows]) == LengthRange(0, 5, "words")
    # characters are counted by another criterion, and in another way
    rows.insert(0, hard(CharCount(min=2, unit="character"), "h0"))
    assert length_range(rows) == LengthRange(2, None, "characters")
    assert length_range([soft]) is None
    assert length_range([]) is None


@pytest.mark.parametrize(
    ("checks", "requests"),
    [
        ((WordCount(min=5), WordCount(max=10)), LengthRange(5, 10, "words")),
        ((WordCount(max=10), WordCount(min=5)), LengthRange(5, 10, "words")),
        # the narrower ends: 5 above 3, 9 below 12
        ((WordCount(min=3, max=12), CharCount(min=5, max=9)), LengthRange(5, 9, "words")),
        ((WordCount(min=5, max=9), WordCount(min=9)), LengthRange(9, 9, "words")),
        # what counts characters is no range of words
        ((WordCount(min=5), CharCount(max=9, unit="character")), LengthRange(5, None, "words")),
        # no length has both
        ((WordCount(min=5), WordCount(max=4)), LengthRange(5, None, "words")),
    ],
)
def test_a_length_that_several_criteria_ask_for_lies_in_all_their_ranges(
    hard: Callable[..., Criterion], checks: tuple[Any, ...], requests: LengthRange
) -> None:
    assert length_range([hard(check, f"h{n}") for n, check in enumerate(checks)]) == requests


@pytest.mark.parametrize(
    ("count", "lo", "hi", "term"),
    [
        (500, 400, 600, 1.0),
        # both ends belong to the range
        (400, 400, 600, 1.0),
        (600, 400, 600, 1.0),
        # 200 / 400
        (200, 400, 600, 0.5),
        (399, 400, 600, 399 / 400),
        (0, 400, 600, 0.0),
        # L_max = 2 * 600 = 1200: (1200 - 900) / (1200 - 600)
        (900, 400, 600, 0.5),
        # (1200 - 601) / 600
        (601, 400, 600, 599 / 600),
        (1200, 400, 600, 0.0),
        # never below 0
        (1500, 400, 600, 0.0),
        # an exact length: 13 / 14, and (28 - 15) / (28 - 14)
        (14, 14, 14, 1.0),
        (13, 14, 14, 13 / 14),
        (15, 14, 14, 13 / 14),
        # open ends
        (5000, 400, None, 1.0),
        (100, 400, None, 0.25),
        (0, 0, 600, 1.0),
        (0, 0, None, 1.0),
        # nothing at all is asked for
        (0, 0, 0, 1.0),
        (1, 0, 0, 0.0),
    ],
)
def test_the_length_term_is_a_plateau_with_two_slopes(
    count: int, lo: int, hi: int | None, term: float
) -> None:
    assert length_term(words(count), LengthRange(lo, hi, "words")) == pytest.approx(term)
    assert LONGEST == 2


def test_length_is_counted_as_the_check_counts_it() -> None:
    # five Chinese characters and one word are 6; with the blank and the stop 11 characters
    text = "灯塔很旧了 dark。"
    assert length_term(text, LengthRange(6, 6, "words")) == 1.0
    assert length_term(text, LengthRange(11, 11, "characters")) == 1.0
    assert length_term(text, LengthRange(12, 12, "words")) == pytest.approx(6 / 12)


@given(st.integers(0, 60), st.integers(0, 20), st.none() | st.integers(0, 20))
def test_only_a_text_that_keeps_the_check_has_the_full_term(
    hard: Callable[..., Criterion], count: int, lo: int, span: int | None
) -> None:
    check = WordCount(min=lo, max=None if span is None else lo + span)
    requests = length_range([hard(check)])
    assert requests is not None
    text = words(count)
    term = length_term(text, requests)
    assert 0 <= term <= 1
    assert (term == 1) == (check.violation(text) is None)


# --- repetition ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "term"),
    [
        (words(50), 1.0),
        ("", 1.0),
        # three words have no 4-gram, however equal
        ("no no no", 1.0),
        # 8 words, 5 4-grams, abcd comes again: 1/5 = .2 and 1 - (.2 - .05)/.95
        ("a b c d a b c d", 1 - 0.15 / 0.95),
        # the same in Chinese, by characters; punctuation is no token
        ("灯塔很旧。灯塔很旧。", 1 - 0.15 / 0.95),
        # 6 words, 3 4-grams, the third is the first: 1 - (1/3 - .05)/.95
        ("The sea, the SEA. “The sea!”", 1 - (1 / 3 - 0.05) / 0.95),
        # 9 words, 6 4-grams, all but the first: 1 - (5/6 - .05)/.95
        ("no " * 9, 1 - (5 / 6 - 0.05) / 0.95),
        # 23 words, 20 4-grams, one comes again: 1/20 = .05 is free
        (f"a b c d {words(15)} a b c d", 1.0),
    ],
)
def test_repeated_runs_of_four_words_cost_above_a_free_share(text: str, term: float) -> None:
    assert repetition_term(text) == pytest.approx(term)


@given(st.text(alphabet="abAB 灯塔。,\n", max_size=40))
def test_the_repetition_term_lies_above_0_and_does_not_see_case(text: str) -> None:
    assert 0 < repetition_term(text) <= 1
    assert repetition_term(text.upper()) == repetition_term(text)


# --- the weighted score ----------------------------------------------------------------------


def test_the_weighted_score_is_that_of_the_reference(three: tuple[Criterion, ...]) -> None:
    # units 9/9, 4/9, 0: (1*1 + .7*4/9 + .3*0) / 2 = 1.311111 / 2
    score = weighted_score({"k1.0": 10, "k1.1": 5, "k1.2": 1}, three)
    assert score == pytest.approx(0.6555556)


def test_a_pitfall_counts_as_a_soft_criterion_and_a_hard_one_not_at_all(
    criterion: MakeCriterion, hard: Callable[..., Criterion]
) -> None:
    mixed = [criterion("a"), criterion("p", kind="pitfall", tier="pitfall"), hard(None)]
    # weights 1 and .9, units 1 and 0: 1 / 1.9; a verdict on the hard one changes nothing
    assert weighted_score({"a": 10, "p": 1, "h1": 1}, mixed) == pytest.approx(1 / 1.9)


def test_what_has_no_score_is_left_out_of_both_sums(three: tuple[Criterion, ...]) -> None:
    # (1*1 + .3*0) / 1.3; as a zero it would be 1 / 2
    assert weighted_score({"k1.0": 10, "k1.2": 1}, three) == pytest.approx(1 / 1.3)
    assert weighted_score({}, three) is None
    assert weighted_score({"k1.0": 10}, []) is None


def test_criteria_without_weight_have_no_mean(three: tuple[Criterion, ...]) -> None:
    weightless = [each.model_copy(update={"weight": 0.0}) for each in three]
    assert weighted_score(dict.fromkeys(IDS, 10.0), weightless) is None


# --- the reward ------------------------------------------------------------------------------

SCORES = {"k1.0": 10.0, "k1.1": 5.0, "k1.2": 1.0}  # S = .6555556, see above


@pytest.mark.parametrize(
    ("count", "length", "value"),
    [
        # .85 * .6555556 + .10 * 1 + .05 * 1 = .5572222 + .15
        (500, 1.0, 0.7072222),
        # 200/400 of the length: .5572222 + .05 + .05
        (200, 0.5, 0.6572222),
    ],
)
def test_the_reward_is_a_composite_of_score_length_and_repetition(
    three: tuple[Criterion, ...],
    hard: Callable[..., Criterion],
    count: int,
    length: float,
    value: float,
) -> None:
    outcome = rewarded([*three, hard(WordCount(min=400, max=600))], SCORES, words(count))
    assert outcome.value == pytest.approx(value)
    assert outcome.soft == pytest.approx(0.6555556)
    assert (outcome.length, outcome.repetition) == (length, 1.0)
    assert (outcome.excluded, outcome.inactive, outcome.violations) == ((), (), ())


def test_without_an_asked_length_its_weight_goes_to_the_score(
    three: tuple[Criterion, ...],
) -> None:
    outcome = rewarded(three, SCORES)
    # .95 * .6555556 + .05
    assert outcome.value == pytest.approx(0.6727778)
    assert outcome.length is None
    # repetition .8421053 (see above): .95 * .6555556 + .05 * .8421053
    again = rewarded(three, SCORES, "a b c d a b c d")
    assert again.value == pytest.approx(0.6648830)


def test_the_best_text_has_exactly_1(
    three: tuple[Criterion, ...], hard: Callable[..., Criterion]
) -> None:
    best = dict.fromkeys(IDS, 10.0)
    assert rewarded(three, best).value == 1.0
    assert rewarded([*three, hard(WordCount(min=1))], best).value == 1.0


def test_criteria_that_dropout_hides_count_nowhere(three: tuple[Criterion, ...]) -> None:
    outcome = rewarded(three, SCORES, active=frozenset({"k1.0", "k1.2"}))
    assert outcome.soft == pytest.approx(1 / 1.3)
    assert outcome.inactive == ("k1.1",)
    # a hidden criterion need not be judged
    unread = rewarded(three, {"k1.0": 10, "k1.2": 1}, active=frozenset({"k1.0", "k1.2"}))
    assert unread == outcome


def test_dropout_does_not_hide_the_length(
    three: tuple[Criterion, ...], hard: Callable[..., Criterion]
) -> None:
    outcome = rewarded([*three, hard(WordCount(max=9))], SCORES, active=frozenset({"k1.0"}))
    assert outcome.length == 1.0
    assert outcome.inactive == ("k1.1", "k1.2")


def test_a_missing_verdict_makes_the_reward_absent_and_says_which(
    three: tuple[Criterion, ...],
) -> None:
    outcome = rewarded(three, {"k1.0": 10, "k1.1": 5})
    assert (outcome.value, outcome.soft, outcome.excluded) == (None, None, ("k1.2",))


def test_training_may_allow_a_share_of_the_weight_to_be_missing(
    three: tuple[Criterion, ...],
) -> None:
    # .3 of 2 is missing, a share of .15: (1*1 + .7*4/9) / 1.7 = .7712418
    outcome = rewarded(three, {"k1.0": 10, "k1.1": 5}, most_missing=0.3)
    assert outcome.soft == pytest.approx(0.7712418)
    assert outcome.excluded == ("k1.2",)
    # .15 may be missing if .15 is allowed; .7 of 2 is .35, and more than .3
    assert rewarded(three, {"k1.0": 10, "k1.1": 5}, most_missing=0.15).value is not None
    assert rewarded(three, {"k1.0": 10, "k1.2": 5}, most_missing=0.3).value is None
    # of what is active: without the third, .7 of 1.7 is .41
    some = frozenset({"k1.0", "k1.1"})
    assert rewarded(three, {"k1.0": 10}, active=some, most_missing=0.4).value is None
    assert rewarded(three, {"k1.0": 10}, active=some, most_missing=0.42).value is not None


def test_even_if_all_may_be_missing_nothing_is_not_a_zero(three: tuple[Criterion, ...]) -> None:
    assert rewarded(three, {}, most_missing=1.0).value is None
    assert rewarded(three, SCORES, active=frozenset()).value is None


def test_criteria_that_only_code_can_check_are_rewarded_by_code(
    hard: Callable[..., Criterion],
) -> None:
    # four words of at least eight: H = .5·4/8, R = .95·H + .05·1
    outcome = rewarded([hard(WordCount(min=8))], {}, text="a b c d")
    assert outcome.hard == pytest.approx(0.25)
    assert outcome.value == pytest.approx(0.95 * 0.25 + 0.05)
    assert (outcome.soft, outcome.length) == (None, None)


def test_a_text_that_was_turned_away_is_worth_nothing(
    three: tuple[Criterion, ...], hard: Callable[..., Criterion]
) -> None:
    criteria = set_of([*three, hard(WordCount(max=9))])
    broken = (Violation(criterion_id="h1", reason="-"),)
    gated = judgement_of(criteria, "", {}, gate="the text is empty", violations=broken)
    outcome = reward(gated, criteria, "")
    # not even the length and the absence of repetitions pay
    assert (outcome.value, outcome.soft) == (0.0, 0.0)
    assert outcome.violations == ("gate", "h1")
    # no judge was asked, so no verdict is missing
    assert outcome.excluded == ()


def test_a_broken_hard_criterion_is_listed_and_costs_nothing_here(
    three: tuple[Criterion, ...], hard: Callable[..., Criterion]
) -> None:
    made, text = set_of([*three, hard(ParagraphCount(min=2))]), words(9)
    broken = (Violation(criterion_id="h1", reason="-"),)
    outcome = reward(judgement_of(made, text, SCORES, violations=broken), made, text)
    assert outcome.violations == ("h1",)
    assert outcome.value == rewarded(three, SCORES).value


def test_a_judgement_under_other_criteria_is_refused(three: tuple[Criterion, ...]) -> None:
    one, other = set_of(three), set_of(three[:2])
    with pytest.raises(ValueError, match="of the criteria with hash") as caught:
        reward(judgement_of(one, "-", SCORES), other, "-")
    assert one.sha256 in str(caught.value)
    assert other.sha256 in str(caught.value)


def test_a_judgement_of_another_text_is_refused(three: tuple[Criterion, ...]) -> None:
    criteria = set_of(three)
    with pytest.raises(ValueError, match="of the text with hash") as caught:
        reward(judgement_of(criteria, "one", SCORES), criteria, "two")
    assert text_hash("one") in str(caught.value)
    assert text_hash("two") in str(caught.value)


def test_an_active_criterion_that_is_not_in_the_set_is_refused(
    three: tuple[Criterion, ...],
) -> None:
    with pytest.raises(ValueError, match=r"got \['k9.9'\]"):
        rewarded(three, SCORES, active=frozenset({"k1.0", "k9.9"}))


POINTS = st.floats(1, 10)


@given(st.tuples(POINTS, POINTS, POINTS))
def test_the_order_of_criteria_and_verdicts_changes_nothing(
    three: tuple[Criterion, ...], points: tuple[float, ...]
) -> None:
    scores = dict(zip(IDS, points, strict=True))
    values = {
        rewarded(order, dict(verdicts)).value
        for order in itertools.permutations(three)
        for verdicts in itertools.permutations(scores.items())
    }
    assert len(values) == 1


@given(st.tuples(POINTS, POINTS, POINTS), st.sets(st.sampled_from(IDS)))
def test_what_is_missing_is_never_a_zero(
    three: tuple[Criterion, ...], points: tuple[float, ...], missing: set[str]
) -> None:
    scores = {i: p for i, p in zip(IDS, points, strict=True) if i not in missing}
    strict = rewarded(three, scores)
    assert (strict.value is None) == bool(missing)
    assert set(strict.excluded) == missing
    # where it is allowed, the mean is that of what was read
    lenient = rewarded(three, scores, most_missing=1.0)
    assert lenient.soft == weighted_score(scores, [c for c in three if c.id not in missing])


def test_saying_why_a_verdict_is_missing_does_not_change_that_it_is(
    three: tuple[Criterion, ...],
) -> None:
    made, lost = set_of(three), (Missing(criterion_id="k1.2", reason="no number"),)
    judged_text = judgement_of(made, "-", {"k1.0": 10, "k1.1": 5}, missing=lost)
    assert reward(judged_text, made, "-").excluded == ("k1.2",)


def hard_criterion(name: str, check: Check, weight: float = 1.0) -> Criterion:
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
    criteria = [
        hard_criterion("h1", SIX, weight=1.0),
        hard_criterion("h2", MustInclude(terms=("two",)), weight=3.0),
    ]
    # (1 * .5 * 3/6 + 3 * 1) / 4 = .8125
    assert satisfied_share(criteria, text) == pytest.approx(0.8125)


def test_without_hard_criteria_there_is_no_share() -> None:
    assert satisfied_share([], "text") is None
