"""Which revision may take the place of the text before it."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.domain import Core, CriteriaSet, Criterion
from quillgraph.agents.judgements import Judgement, Missing, Reward, Verdict, Violation
from quillgraph.agents.judges.rewards import weighted_score
from quillgraph.agents.writers.acceptance import LEAST_GAIN, MOST_FALL, refusals, stop_reason

Found = tuple[Judgement, Reward]
Find = Callable[..., Found]

IDS = ("k1.1", "k1.2", "k1.3", "k1.p")
SEVEN = dict.fromkeys(IDS, 7.0)


@pytest.fixture(scope="session")
def criteria_set(criterion: Callable[..., Criterion]) -> CriteriaSet:
    """Two essential criteria, an optional one, a pitfall and two hard ones."""
    return CriteriaSet(
        request_hash="ab12",
        language="en",
        genre="story",
        core=Core(category_id="k1", storyline="The keeper stays."),
        criteria=(
            criterion("k1.1"),
            criterion("k1.2"),
            criterion("k1.3", tier="optional"),
            criterion("k1.p", kind="pitfall", tier="pitfall"),
            criterion("h1", kind="hard", levels={}, category_id=None),
            criterion("h2", kind="hard", levels={}, category_id=None),
        ),
    )


@pytest.fixture(scope="session")
def find(criteria_set: CriteriaSet) -> Find:
    """Make a judgement of scores, and its reward, which is that of the scores if none is given."""

    def make(
        scores: dict[str, float],
        *broken: str,
        gate: str | None = None,
        value: float | None = None,
    ) -> Found:
        lost = tuple(id_ for id_ in IDS if id_ not in scores) if not gate else ()
        judgement = Judgement(
            criteria_sha=criteria_set.sha256,
            text_sha="-",
            judge="scripted",
            gate=gate,
            verdicts=tuple(
                Verdict(criterion_id=id_, score=score, votes=(score,))
                for id_, score in scores.items()
                if not gate
            ),
            violations=tuple(Violation(criterion_id=id_, reason=f"no {id_}") for id_ in broken),
            missing=tuple(Missing(criterion_id=id_, reason="reply") for id_ in lost),
        )
        soft = weighted_score(scores, criteria_set.criteria)
        whole = 0.0 if gate else None if lost else soft if value is None else value
        reward = Reward(
            value=whole, soft=whole, length=None, repetition=1.0, violations=broken, excluded=lost
        )
        return judgement, reward

    return make


# --- accepting -------------------------------------------------------------------------------


def test_a_revision_that_gains_enough_is_accepted(criteria_set: CriteriaSet, find: Find) -> None:
    best = find(SEVEN, value=0.5)
    assert refusals(criteria_set, find(SEVEN, value=0.53), best, best) == ()


@pytest.mark.parametrize(("value", "change"), [(0.51, "+0.010"), (0.5, "+0.000"), (0.4, "-0.100")])
def test_a_revision_that_does_not_is_refused(
    criteria_set: CriteriaSet, find: Find, value: float, change: str
) -> None:
    best = find(SEVEN, value=0.5)
    [reason] = refusals(criteria_set, find(SEVEN, value=value), best, best)
    assert reason == f"the reward changes by {change}, +{LEAST_GAIN:.3f} is needed"


def test_a_new_violation_is_refused_whatever_the_gain(
    criteria_set: CriteriaSet, find: Find
) -> None:
    best, tried = find(SEVEN, "h1", value=0.5), find(SEVEN, "h1", "h2", value=0.9)
    assert refusals(criteria_set, tried, best, best) == ("adds a violation: no h2",)
    # one for another adds one too
    swapped = find(SEVEN, "h2", value=0.9)
    assert refusals(criteria_set, swapped, best, best) == ("adds a violation: no h2",)


def test_a_revision_that_mends_a_violation_must_lose_nothing(
    criteria_set: CriteriaSet, find: Find
) -> None:
    best = find(SEVEN, "h1", "h2", value=0.5)
    assert refusals(criteria_set, find(SEVEN, "h1", value=0.5), best, best) == ()
    [reason] = refusals(criteria_set, find(SEVEN, value=0.49), best, best)
    assert reason == "the reward changes by -0.010, +0.000 is needed"
    # to keep what was broken mends nothing
    assert refusals(criteria_set, find(SEVEN, "h1", "h2", value=0.5), best, best)


@pytest.mark.parametrize(("now", "refused"), [(6.0, False), (5.5, True)])
def test_an_essential_criterion_may_fall_by_a_point(
    criteria_set: CriteriaSet, find: Find, now: float, refused: bool
) -> None:
    best, tried = find(SEVEN, value=0.5), find(SEVEN | {"k1.2": now}, value=0.6)
    reasons = refusals(criteria_set, tried, best, best)
    assert reasons == (("Name of k1.2 falls from 7 to 5.5",) if refused else ())


@pytest.mark.parametrize("falling", ["k1.3", "k1.p"])
def test_other_criteria_may_fall_further(
    criteria_set: CriteriaSet, find: Find, falling: str
) -> None:
    best, tried = find(SEVEN, value=0.5), find(SEVEN | {falling: 1.0}, value=0.6)
    assert refusals(criteria_set, tried, best, best) == ()


def test_falls_do_not_add_up_to_more_than_a_point_since_the_first_draft(
    criteria_set: CriteriaSet, find: Find
) -> None:
    first = find(SEVEN, value=0.5)
    best = find(SEVEN | {"k1.1": 6.0}, value=0.6)
    tried = find(SEVEN | {"k1.1": 5.5}, value=0.7)
    # half a point against the best, one and a half against the first
    assert refusals(criteria_set, tried, best, first) == ("Name of k1.1 falls from 7 to 5.5",)
    assert refusals(criteria_set, tried, best, best) == ()
    # and what was gained meanwhile may not be lost either
    higher = find(SEVEN | {"k1.1": 9.0}, value=0.6)
    back = find(SEVEN | {"k1.1": 7.0}, value=0.7)
    assert refusals(criteria_set, back, higher, first) == ("Name of k1.1 falls from 9 to 7",)


def test_all_reasons_are_named(criteria_set: CriteriaSet, find: Find) -> None:
    best, tried = find(SEVEN, value=0.5), find(SEVEN | {"k1.1": 2.0}, "h1", value=0.4)
    assert refusals(criteria_set, tried, best, best) == (
        "adds a violation: no h1",
        "the reward changes by -0.100, +0.020 is needed",
        "Name of k1.1 falls from 7 to 2",
    )


def test_a_revision_that_was_turned_away_is_refused(criteria_set: CriteriaSet, find: Find) -> None:
    best, gated = find(SEVEN, value=0.5), find({}, gate="no letters in it")
    reasons = ("turned away before a judge was asked: no letters in it",)
    assert refusals(criteria_set, gated, best, best) == reasons
    assert refusals(criteria_set, gated, gated, gated) == reasons


@pytest.mark.parametrize("lost", IDS)
def test_a_revision_with_a_missing_verdict_is_refused(
    criteria_set: CriteriaSet, find: Find, lost: str
) -> None:
    best, tried = find(SEVEN, value=0.5), find({i: s for i, s in SEVEN.items() if i != lost})
    assert refusals(criteria_set, tried, best, best) == (f"no reward: no verdict on {lost}",)
    assert refusals(criteria_set, best, tried, tried) == (f"no reward: no verdict on {lost}",)


def test_an_essential_verdict_may_not_be_missing_where_a_reward_allows_it(
    criteria_set: CriteriaSet, find: Find
) -> None:
    best = find(SEVEN, value=0.5)
    judgement, _ = find({i: s for i, s in SEVEN.items() if i != "k1.1"})
    lenient = best[1].model_copy(update={"value": 0.9})
    [reason] = refusals(criteria_set, (judgement, lenient), best, best)
    assert reason == "no verdict on Name of k1.1"


def test_anything_that_can_be_judged_may_follow_a_text_that_could_not(
    criteria_set: CriteriaSet, find: Find
) -> None:
    gated = find({}, gate="no letters in it")
    assert refusals(criteria_set, find(dict.fromkeys(IDS, 1.0)), gated, gated) == ()
    # but not one that breaks more
    assert refusals(criteria_set, find(SEVEN, "h1"), gated, gated) == ("adds a violation: no h1",)


# --- over a whole loop -----------------------------------------------------------------------

_POINTS = st.sampled_from([1.0, 4.0, 5.0, 5.5, 6.0, 6.5, 7.0, 8.0, 10.0])
_SCORES = st.fixed_dictionaries(dict.fromkeys(IDS[:3], _POINTS), optional={"k1.p": _POINTS})
_TRIES = st.lists(
    st.tuples(_SCORES, st.sets(st.sampled_from(["h1", "h2"])), st.booleans()),
    min_size=1,
    max_size=8,
)


@given(_TRIES)
def test_a_loop_that_accepts_by_this_rule_never_ends_worse_than_it_began(
    criteria_set: CriteriaSet,
    find: Find,
    tries: list[tuple[dict[str, float], set[str], bool]],
) -> None:
    found = [
        find(scores, *sorted(broken), gate="-" if gated and n % 3 == 0 else None)
        for n, (scores, broken, gated) in enumerate(tries)
    ]
    first = best = found[0]
    for tried in found[1:]:
        if refusals(criteria_set, tried, best, first):
            continue
        (judgement, reward), (before, standard) = tried, best
        assert reward.value is not None
        assert standard.value is not None
        mends = judgement.violated < before.violated
        assert reward.value - standard.value >= (0 if mends else LEAST_GAIN)
        assert judgement.violated <= before.violated
        assert not judgement.gate
        assert not judgement.missing
        best = tried
    assert best[0].violated <= first[0].violated
    if best is not first:
        for essential in ("k1.1", "k1.2"):
            floor = first[0].scores.get(essential, 0.0) - MOST_FALL
            assert best[0].scores[essential] >= floor


@given(_SCORES, st.sets(st.sampled_from(["h1", "h2"])))
def test_a_text_does_not_take_its_own_place(
    criteria_set: CriteriaSet, find: Find, scores: dict[str, float], broken: set[str]
) -> None:
    same = find(scores, *sorted(broken))
    assert refusals(criteria_set, same, same, same)


# --- stopping --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decisions", "reason"),
    [
        ([], None),
        ([True, True], None),
        ([True, True, True], "3 rounds are over"),
        ([False, False, False], "3 rounds are over"),
        ([False], None),
        ([False, False], "2 revisions running were refused"),
        ([True, False], None),
        ([False, True], None),
    ],
)
def test_the_loop_ends_after_its_rounds_or_two_refusals_running(
    criteria_set: CriteriaSet, find: Find, decisions: list[bool], reason: str | None
) -> None:
    assert stop_reason(criteria_set, find(SEVEN, value=0.6), decisions, 3) == reason


def test_without_rounds_the_first_draft_stands(criteria_set: CriteriaSet, find: Find) -> None:
    assert stop_reason(criteria_set, find(SEVEN), [], 0) == "0 rounds are over"


def test_a_reward_that_is_good_enough_ends_the_loop(criteria_set: CriteriaSet, find: Find) -> None:
    said = "the reward is 0.900, 0.9 is good enough"
    assert stop_reason(criteria_set, find(SEVEN, value=0.9), [], 3) == said
    assert stop_reason(criteria_set, find(SEVEN, value=0.89), [], 3) is None


def test_criteria_that_are_met_well_end_the_loop(criteria_set: CriteriaSet, find: Find) -> None:
    well = "even the weakest criteria are met well"
    # the two that cost most: (8.5 - 1) / 9 = .833 and 9.5 - 1 / 9 = .944, mean .889
    mixed = {"k1.1": 8.5, "k1.2": 9.5, "k1.3": 10.0, "k1.p": 10.0}
    assert stop_reason(criteria_set, find(mixed, value=0.8), [], 3) is None
    # 9 and 9.5: (.889 + .944) / 2 = .917
    assert stop_reason(criteria_set, find(mixed | {"k1.1": 9.0}, value=0.8), [], 3) == well
    assert stop_reason(criteria_set, find(dict.fromkeys(IDS, 10.0), value=0.8), [], 3) == well


def test_a_text_that_breaks_a_demand_is_never_good_enough(
    criteria_set: CriteriaSet, find: Find
) -> None:
    tens = dict.fromkeys(IDS, 10.0)
    assert stop_reason(criteria_set, find(tens, "h1"), [], 3) is None
    assert stop_reason(criteria_set, find({}, gate="no letters in it"), [], 3) is None
    assert stop_reason(criteria_set, find(tens, "h1"), [False, False], 3)


def test_without_a_reward_there_is_nothing_to_go_by(criteria_set: CriteriaSet, find: Find) -> None:
    reason = stop_reason(criteria_set, find({"k1.1": 7.0, "k1.2": 7.0}), [], 3)
    assert reason == "no reward: no verdict on k1.3, k1.p"
