import pytest

from quillgraph.backends.errors import ConfigError
from quillgraph.evals.data.records import Side
from quillgraph.evals.judges.report import judge_report, unmet
from quillgraph.evals.judges.scores import JudgedText, ScoredPair


def text(
    number: int, judged: float | None, human: float | None = None, words: str = "x"
) -> JudgedText:
    reason = "" if judged is not None else "no JSON came"
    return JudgedText(
        id=f"t{number}", group=f"g{number}", text=words, judged=judged, human=human, reason=reason
    )


def pair(number: int, left: float | None, right: float | None, *votes: Side) -> ScoredPair:
    return ScoredPair(
        id=f"p{number}",
        group=f"g{number}",
        left=text(number, left, words="long text"),
        right=text(number, right, words="short"),
        votes=votes,
    )


def test_pairs_by_hand() -> None:
    pairs = [
        pair(1, 8, 3, "left", "left"),  # hit
        pair(2, 8, 3, "right"),  # miss
        pair(3, 5, 5, "left"),  # tie: half
        pair(4, None, 3, "left"),  # unread
        pair(5, 8, 3, "left", "right"),  # people are divided
    ]
    report = judge_report([], pairs, judge="j", criteria="generic", data="d")
    accuracy = report.measures["pair_accuracy"]
    # (1 + 0 + .5) / 3; the unread pair is a cluster without a hit or a miss
    assert accuracy.value == pytest.approx(0.5)
    # left is always longer, and preferred in pairs 1, 3 and 4 of 1 to 4
    assert report.measures["length_pair_accuracy"].value == pytest.approx(0.75)
    # raters in pairs: 1 agrees, 5 does not
    assert report.measures["human_agreement"].value == pytest.approx(0.5)
    assert report.excluded == {
        "no JSON came": 1,
        "pairs on which people are divided evenly": 1,
    }
    assert report.pairs == 5


def test_texts_by_hand() -> None:
    texts = [text(n, judged, human) for n, (judged, human) in enumerate([(4, 2), (6, 4), (9, 8)])]
    report = judge_report(texts, [], judge="j", criteria="generic", data="d", skipped=3)
    assert report.measures["spearman"].value == pytest.approx(1.0)
    # (2 + 2 + 1) / 3
    assert report.measures["leniency"].value == pytest.approx(5 / 3)
    assert report.excluded == {"records that could not be read": 3}
    assert report.calibration is None  # three texts would calibrate on noise
    assert len(report.curve) == 3


def test_a_lenient_judge_is_calibrated_on_one_half_and_measured_on_the_other() -> None:
    texts = [text(n, min(10.0, 5 + n % 5), 1.0 + n % 5) for n in range(60)]
    report = judge_report(texts, [], judge="j", criteria="generic", data="d").calibration
    assert report is not None
    assert report.calibration.fitted_on + report.tested_on == 60
    # it always gives 4 points too many
    assert report.error_before == pytest.approx(4.0)
    assert report.error_after == pytest.approx(0.0)


def test_nothing_to_go_by_is_no_number() -> None:
    report = judge_report([text(1, None, 5)], [], judge="j", criteria="generic", data="d")
    assert report.measures["spearman"].value is None
    assert report.excluded == {"no JSON came": 1}


def test_a_requirement_is_met_or_told() -> None:
    report = judge_report([], [pair(1, 8, 3, "left")], judge="j", criteria="c", data="d").measures
    assert unmet("pair_accuracy>=0.6", report) is None
    assert unmet("pair_accuracy < 0.6", report) == "pair_accuracy < 0.6: pair_accuracy is 1.000"
    assert unmet("kappa>=0", report) == "kappa>=0: kappa is undefined"
    with pytest.raises(ConfigError, match="did you mean 'pair_accuracy'"):
        unmet("pair_acuracy>=0.6", report)
    with pytest.raises(ConfigError, match="expected NAME>=NUMBER"):
        unmet("better than nothing", report)
