"""What a judge says of a text."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from quillgraph.agents.domain import Criterion
from quillgraph.agents.judgements import (
    GATE,
    Judgement,
    Verdict,
    Violation,
    checked,
    judged,
    text_hash,
    unit,
)

READ = Verdict(criterion_id="k1.1", score=6.5, votes=(6, 7))
BROKEN = Violation(criterion_id="h1", reason="too long")


def judgement(**fields: object) -> Judgement:
    given = {"criteria_sha": "a", "text_sha": text_hash("The lamp."), "judge": "scripted"}
    return Judgement.model_validate(given | fields)


@pytest.mark.parametrize(("score", "share"), [(1, 0.0), (5.5, 0.5), (10, 1.0)])
def test_ten_points_become_a_share(score: float, share: float) -> None:
    # (s - 1) / 9
    assert unit(score) == share


@pytest.mark.parametrize("score", [0, 0.99, 10.01, float("nan"), True])
def test_a_score_lies_on_the_scale(score: float) -> None:
    with pytest.raises(ValidationError):
        Verdict(criterion_id="k1.1", score=score, votes=(5,))
    with pytest.raises(ValidationError):
        Verdict(criterion_id="k1.1", score=5, votes=(score,))


def test_a_verdict_rests_on_a_vote() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        Verdict(criterion_id="k1.1", score=5, votes=())


def test_a_text_that_was_turned_away_has_no_verdict() -> None:
    with pytest.raises(ValidationError, match="expected no verdicts on a text that the gate"):
        judgement(gate="no letters in it", verdicts=(READ,))


def test_what_is_violated_counts_the_gate() -> None:
    assert judgement(verdicts=(READ,)).violated == frozenset()
    assert judgement(violations=(BROKEN,)).violated == {"h1"}
    assert judgement(gate="-", violations=(BROKEN,)).violated == {GATE, "h1"}


def test_scores_are_by_criterion_and_what_is_missing_has_none() -> None:
    missing = ({"criterion_id": "k1.2", "reason": "reply"},)
    assert judgement(verdicts=(READ,), missing=missing).scores == {"k1.1": 6.5}


def test_the_hash_of_a_text_is_that_of_its_bytes() -> None:
    assert text_hash("灯") == text_hash("灯") != text_hash("灯 ")
    assert len(text_hash("")) == 64


def test_code_checks_hard_criteria_and_a_judge_scores_the_others(
    criterion: Callable[..., Criterion],
) -> None:
    soft, hard = criterion("k1.1"), criterion("h1", kind="hard", levels={})
    pitfall = criterion("k1.p", kind="pitfall", tier="pitfall")
    assert judged((hard, soft, pitfall)) == (soft, pitfall)
    assert checked((hard, soft, pitfall)) == (hard,)


def test_a_judgement_goes_to_json_and_back() -> None:
    ballot = judgement(verdicts=(READ,), violations=(BROKEN,))
    assert Judgement.model_validate_json(ballot.model_dump_json()) == ballot
