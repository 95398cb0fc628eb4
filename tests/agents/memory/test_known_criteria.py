"""What is known of a criterion, and when it has had its day."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.agents.memory.known_criteria import (
    KnownCriterion,
    Suggestion,
    fate,
    known_from,
    prompt_lines,
    request_key,
    used_again,
    with_scores,
)

SEA = WritingTask(request="Write a poem about the sea.", language="en", genre="poem")
MOON = WritingTask(request="Write a poem about the moon.", language="en", genre="poem")
NOW = "2026-01-01T00:00:00+00:00"


def after(days: int) -> str:
    return (datetime.fromisoformat(NOW) + timedelta(days=days)).isoformat()


def criterion(name: str = "Salt on the tongue", **fields: Any) -> Criterion:
    defaults: dict[str, Any] = {
        "id": "k1.0", "description": "The text lets the sea be tasted.", "kind": "soft",
        "tier": "essential", "weight": 1.0, "levels": {"1-2": "no sea"}, "category_id": "k1",
        "evidence": ("i1",),
    }  # fmt: skip
    return Criterion(name=name, **{**defaults, **fields})


def known(*groups: tuple[float, ...]) -> KnownCriterion:
    one = known_from(criterion(), SEA, NOW)
    for scores in groups:
        one = with_scores(one, scores, NOW)
    return one


def test_an_id_is_a_hash_of_what_is_said_and_for_what() -> None:
    one = known_from(criterion(), SEA, NOW)
    assert known_from(criterion(id="k9.3", weight=0.3), MOON, after(9)).id == one.id
    assert known_from(criterion(kind="pitfall"), SEA, NOW).id != one.id
    assert known_from(criterion("Salt"), SEA, NOW).id != one.id
    story = SEA.model_copy(update={"genre": "story"})
    assert known_from(criterion(), story, NOW).id != one.id


def test_a_hard_criterion_belongs_to_its_request_alone() -> None:
    with pytest.raises(ValueError, match=r"a judge scores, got hard 'k1\.0'"):
        known_from(criterion(kind="hard"), SEA, NOW)


def test_a_use_counts_once_for_each_request_and_the_first_wording_stands() -> None:
    one = known()
    assert (one.uses, one.requests) == (1, (request_key(SEA),))
    again = used_again(one, criterion("Taste of salt", description="Other words."), MOON, after(2))
    assert (again.uses, again.name, again.aliases) == (2, "Salt on the tongue", ("Taste of salt",))
    assert (again.description, again.last_used) == (one.description, after(2))
    assert used_again(again, criterion("A third name"), MOON, after(3)) == again
    assert used_again(one, criterion("SALT on the tongue"), MOON, NOW).aliases == ()


def test_the_spread_is_the_standard_deviation_on_the_scale_from_0_to_1() -> None:
    # scores 1 and 10 are 0 and 1: deviation .5; 4 and 7 are 3/9 and 6/9: deviation 1/6
    one = known((1, 10), (4, 7))
    assert (one.groups, one.saturated) == (2, 0)
    assert one.discrimination == pytest.approx((0.5 + 1 / 6) / 2)
    assert one.saturation == 0


def test_a_group_is_saturated_if_every_text_is_in_the_best_band() -> None:
    one = known((9, 10), (9, 8), (10, 10))
    assert (one.groups, one.saturated) == (3, 2)
    assert one.saturation == pytest.approx(2 / 3)


@pytest.mark.parametrize("scores", [(), (7,)])
def test_fewer_than_two_scores_tell_nothing(scores: tuple[float, ...]) -> None:
    one = known()
    assert with_scores(one, scores, after(5)) == one
    assert (one.discrimination, one.saturation) == (None, None)


def test_five_groups_at_the_top_retire_a_criterion_and_four_do_not() -> None:
    assert fate(known(*[(9, 10)] * 4), NOW) is None
    assert fate(known(*[(9, 10)] * 5), NOW) == (
        "saturated: every text was at the top in all of 5 groups"
    )
    assert fate(known(*[(9, 10)] * 5, (8, 9)), NOW) is None


def test_five_groups_without_any_spread_retire_a_criterion_and_one_spread_saves_it() -> None:
    assert fate(known(*[(5, 5)] * 4), NOW) is None
    assert fate(known(*[(5, 5)] * 5), NOW) == "dead: it told no texts apart in any of 5 groups"
    assert fate(known(*[(5, 5)] * 5, (5, 6)), NOW) is None


def test_what_one_request_alone_has_used_is_old_after_half_a_year() -> None:
    assert fate(known(), after(179)) is None
    assert str(fate(known(), after(180))).startswith("old: unused for 180 days")
    twice = used_again(known(), criterion(), MOON, NOW)
    assert fate(twice, after(1000)) is None


@given(st.lists(st.lists(st.floats(1, 10), min_size=2, max_size=6), min_size=1, max_size=8))
def test_statistics_stay_in_their_ranges_and_do_not_depend_on_the_order(
    groups: list[list[float]],
) -> None:
    one, other = known(*map(tuple, groups)), known(*map(tuple, reversed(groups)))
    assert one.discrimination is not None
    assert one.saturation is not None
    assert 0 <= one.discrimination <= 0.5 + 1e-9
    assert 0 <= one.saturation <= 1
    assert other.discrimination == pytest.approx(one.discrimination)
    assert other.saturation == one.saturation


def test_without_suggestions_a_prompt_says_nothing_of_them() -> None:
    assert prompt_lines([]) == ""


def test_suggestions_are_shown_to_compare_with() -> None:
    one = Suggestion(id="q-1", name="Salt", description="It tastes.", genre="poem", cosine=0.4)
    first, *lines = prompt_lines([one]).strip().splitlines()
    assert "only to compare with" in first
    assert lines == ["- Salt: It tastes."]
