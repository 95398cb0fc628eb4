from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.backends.errors import InputError
from quillgraph.evals.judges.calibration import curve, fit, leniency

points = st.lists(
    st.tuples(st.integers(1, 10), st.floats(1, 10, allow_nan=False)), min_size=2, max_size=30
)


def test_isotonic_by_hand() -> None:
    # people's 3, 1 at scores 2, 4 violate the order and are pooled to 2
    fitted = fit([2, 4, 6], [3, 1, 5], "isotonic")
    assert fitted.knots == ((2.0, 2.0), (4.0, 2.0), (6.0, 5.0))
    assert fitted(5) == pytest.approx(3.5)  # half way from (4, 2) to (6, 5)
    assert (fitted(1), fitted(9)) == (2.0, 5.0)  # level beyond the ends


def test_equal_scores_of_the_judge_share_the_mean_of_people() -> None:
    fitted = fit([4, 4, 8], [2, 4, 6], "isotonic")
    assert fitted.knots == ((4.0, 3.0), (8.0, 6.0))


def test_a_line_by_hand() -> None:
    # slope: Σ(x-5)(y-4)/Σ(x-5)² = (3·2 + 0 + 3·2) / 18 = 2/3
    fitted = fit([2, 5, 8], [2, 4, 6], "linear")
    assert fitted(2) == pytest.approx(2.0)
    assert fitted(5) == pytest.approx(4.0)
    assert fitted(8) == pytest.approx(6.0)


def test_a_line_that_would_fall_is_held_level() -> None:
    fitted = fit([1, 9], [8, 2], "linear")
    assert fitted(1) == fitted(9) == pytest.approx(5.0)


@given(points)
def test_isotonic_is_that_of_an_independent_library(pairs: list[tuple[int, float]]) -> None:
    from sklearn.isotonic import IsotonicRegression

    x, y = [float(a) for a, _ in pairs], [b for _, b in pairs]
    theirs = IsotonicRegression(out_of_bounds="clip").fit(x, y)
    ours = fit(x, y, "isotonic")
    for score in (1.0, 3.5, 5.0, 7.25, 10.0):
        assert ours(score) == pytest.approx(float(theirs.predict([score])[0]), abs=1e-6)


@given(points, st.sampled_from(["isotonic", "linear"]))
def test_a_calibration_never_falls(pairs: list[tuple[int, float]], method: str) -> None:
    fitted = fit([float(a) for a, _ in pairs], [b for _, b in pairs], method)  # type: ignore[arg-type]
    values = [fitted(n / 4) for n in range(4, 41)]
    assert all(low <= high + 1e-9 for low, high in pairwise(values))


def test_leniency_is_the_mean_surplus() -> None:
    assert leniency([8, 6], [5, 5]) == pytest.approx(2.0)
    assert leniency([], []) is None


def test_the_curve_shares_texts_out_evenly() -> None:
    # 20 texts in 10 bands: 0 and 1, 2 and 3, … with people's scores one higher
    fitted = curve(list(range(20)), list(range(1, 21)))
    assert [(band.judged, band.human, band.count) for band in fitted] == [
        (2 * n + 0.5, 2 * n + 1.5, 2) for n in range(10)
    ]
    # fewer texts than bands: one each
    few = curve([8, 2], [6, 4])
    assert [(band.judged, band.human, band.count) for band in few] == [(2, 4, 1), (8, 6, 1)]
    assert curve([], []) == ()


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(InputError, match="got 1 of the judge"):
        fit([1], [2], "linear")
