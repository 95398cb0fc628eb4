"""Refused criteria go, the least harmful ones last; names never clash."""

from quillgraph.agents.criteria.validation import (
    CriterionRefusal,
    Fault,
    keep_valid,
    uniquely_named,
)
from quillgraph.agents.domain import Criterion


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
