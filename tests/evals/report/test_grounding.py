from typing import Any

from quillgraph.evals.report.folder import StudyFile
from quillgraph.evals.report.grounding import branches, documents


def _study(hand: Any) -> StudyFile:
    return StudyFile.model_validate(hand.study())


def test_what_code_checks_comes_first_and_then_the_core(hand: Any) -> None:
    tree = branches(hand.criteria_set(), _study(hand))
    assert [(b.title, b.is_core) for b in tree] == [
        ("Checked by code", False),
        ("Praise of rain", True),
    ]


def test_a_criterion_shows_what_it_cites_apart_from_what_lies_behind_its_codes(hand: Any) -> None:
    _, (_, _, (soft,)) = (
        (b.title, b.is_core, b.criteria) for b in branches(hand.criteria_set(), _study(hand))
    )
    assert [code.id for code in soft.codes] == ["c1"]
    assert [incident.id for incident in soft.cited] == ["i1", "d1.n1"]
    assert [incident.id for incident in soft.behind] == ["d1.n2"]
    assert soft.unknown == ()


def test_without_a_study_the_evidence_is_named_as_unknown(hand: Any) -> None:
    tree = branches(hand.criteria_set(), StudyFile())
    assert [g.unknown for b in tree for g in b.criteria] == [("i2",), ("i1", "d1.n1")]
    assert tree[1].title == "Category k1"


def test_request_and_drafts_carry_the_marks_of_each_criterion(hand: Any) -> None:
    request, draft = documents(hand.REQUEST, _study(hand), hand.criteria_set())
    assert [(s.text, s.names("cited")) for s in request.segments] == [
        ("A toast to rain.", "k1.0"),
        (" ", ""),
        ("No umbrella.", "h1"),
    ]
    assert [(s.text, s.names("cited"), s.names("behind")) for s in draft.segments] == [
        ("Rain falls", "k1.0", ""),
        (" ", "", ""),
        ("on the square", "", "k1.0"),
        (".", "", ""),
    ]
    assert [note.id for note in draft.notes] == ["d1.n1", "d1.n2"]


def test_a_study_that_broke_off_before_criteria_still_shows_its_texts(hand: Any) -> None:
    tree = documents(hand.REQUEST, _study(hand), None)
    assert [(each.title, "".join(s.text for s in each.segments)) for each in tree] == [
        ("Request", hand.REQUEST),
        ("Sampled draft d1", hand.DRAFT),
    ]
