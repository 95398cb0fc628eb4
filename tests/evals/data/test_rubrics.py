"""Criteria that come of no study."""

from quillgraph.evals.data.records import HumanCriterion
from quillgraph.evals.data.rubrics import as_criteria, generic_rubric


def test_the_generic_rubric_has_five_criteria_with_all_levels() -> None:
    rubric = generic_rubric()
    assert len(rubric) == 5
    assert all(len(criterion.levels) == 5 for criterion in rubric)
    assert len({criterion.name for criterion in rubric}) == 5


def test_levels_of_five_points_become_our_bands_and_missing_ones_are_worded() -> None:
    tone = HumanCriterion(name="Tone", description="How it sounds.", levels={"1": "flat"})
    (criterion,) = as_criteria((tone,))
    assert criterion.levels["1-2"] == "flat"
    assert criterion.levels["9-10"] == "meets it wholly"
