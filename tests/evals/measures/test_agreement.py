import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.backends.errors import ConfigError, InputError
from quillgraph.evals import (
    cohen_kappa,
    krippendorff_alpha,
    pair_accuracy,
    spearman,
    spearman_within,
)

# The 4 raters × 12 items that Krippendorff computes α on (2011), None where a rater skipped one.
N = None
CANONICAL: list[list[float | None]] = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]

labels = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("scale", "alpha"), [("nominal", 0.743421), ("ordinal", 0.815), ("interval", 0.849107)]
)
def test_alpha_of_the_canonical_data(scale: str, alpha: float) -> None:
    # published: .743 nominal, .815 ordinal, .849 interval
    value = krippendorff_alpha(CANONICAL, scale)  # type: ignore[arg-type]
    assert value == pytest.approx(alpha, abs=5e-4 if scale == "ordinal" else 1e-6)


@given(st.lists(st.lists(st.integers(1, 3), min_size=3, max_size=3), min_size=2, max_size=12))
def test_alpha_is_that_of_an_independent_library(items: list[list[int]]) -> None:
    from nltk.metrics.agreement import AnnotationTask

    raters = [[float(v) for v in column] for column in zip(*items, strict=True)]
    ours = krippendorff_alpha(raters)
    if ours is None:
        assert len({v for item in items for v in item}) == 1
        return
    triples = [
        (f"r{r}", str(i), value) for i, item in enumerate(items) for r, value in enumerate(item)
    ]
    assert ours == pytest.approx(AnnotationTask(data=triples).alpha(), abs=1e-6)


def test_kappa_by_hand() -> None:
    # 50 grant proposals, 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no:
    # P = .7, Pe = .5·.6 + .5·.4 = .5, κ = .2 / .5 = .4
    left = ["y"] * 25 + ["n"] * 25
    right = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert cohen_kappa(left, right) == pytest.approx(0.4, abs=1e-12)


@given(labels)
def test_kappa_is_that_of_an_independent_library(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    ours = cohen_kappa(left, right)
    if ours is None:
        assert len({*left, *right}) == 1
        return
    assert ours == pytest.approx(cohen_kappa_score(left, right), abs=1e-9)


@given(labels)
def test_kappa_does_not_depend_on_the_order_of_items_nor_on_who_comes_first(
    pairs: list[tuple[int, int]],
) -> None:
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    one = cohen_kappa(left, right)
    assert cohen_kappa(right[::-1], left[::-1]) == (one if one is None else pytest.approx(one))


def test_what_the_data_leave_undefined_is_absent_and_not_zero() -> None:
    assert cohen_kappa([], []) is None
    assert cohen_kappa(["a", "a"], ["a", "a"]) is None
    assert krippendorff_alpha([[1.0, 2.0]]) is None  # one rater
    assert krippendorff_alpha([[1.0, None], [None, 2.0]]) is None  # no item has two
    assert krippendorff_alpha([[3.0, 3.0], [3.0, 3.0]]) is None
    assert pair_accuracy([]) is None
    assert pair_accuracy([(None, 3.0)]) is None
    assert spearman([1, 2], [5, 5]) is None
    assert spearman_within([([1], [2]), ([1, 1], [2, 3])]) is None


def test_sides_of_different_length_are_refused() -> None:
    with pytest.raises(InputError, match="got 1 and 2"):
        cohen_kappa(["a"], ["a", "b"])
    with pytest.raises(InputError, match="got 1 and 2"):
        spearman([1.0], [1.0, 2.0])
    with pytest.raises(InputError, match=r"rows of \[1, 2\] items"):
        krippendorff_alpha([[1.0], [1.0, 2.0]])


def test_a_tie_is_half_a_hit_and_a_pair_without_a_score_is_left_out() -> None:
    # hit, miss, tie, unread: (1 + 0 + .5) / 3
    pairs = [(8.0, 3.0), (2.0, 4.0), (5.0, 5.0), (None, 4.0)]
    assert pair_accuracy(pairs) == pytest.approx(0.5)


def test_spearman_by_hand_with_a_tie() -> None:
    # ranks 1, 2.5, 2.5, 4 against 1, 3, 2, 4: covariance 4.5, variances 4.5 and 5
    assert spearman([1, 2, 2, 9], [10, 30, 20, 40]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=20))
def test_spearman_depends_on_the_order_of_scores_alone(pairs: list[tuple[int, int]]) -> None:
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    ours = spearman(left, right)
    if ours is None:
        assert len(set(left)) == 1 or len(set(right)) == 1
        return
    # a**3 + 1 rises with a; -b falls with b
    assert spearman([a**3 + 1 for a in left], right) == pytest.approx(ours, abs=1e-9)
    assert spearman(left, [-b for b in right]) == pytest.approx(-ours, abs=1e-9)


def test_a_missing_library_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(ConfigError, match="correlations need SciPy: pip install"):
        spearman([1, 2], [2, 1])


def test_spearman_within_prompts_is_not_fooled_by_easy_prompts() -> None:
    # within each prompt the judge is exactly wrong; over all texts it looks right
    easy, hard = ([9.0, 8.0], [8.0, 9.0]), ([2.0, 1.0], [1.0, 2.0])
    assert spearman_within([easy, hard]) == pytest.approx(-1.0)
    assert (spearman([9, 8, 2, 1], [8, 9, 1, 2]) or 0) > 0.5
