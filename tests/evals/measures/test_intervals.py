import numpy as np
import pytest

from quillgraph.backends.errors import InputError
from quillgraph.evals import Estimate, cluster_bootstrap, paired_bootstrap
from quillgraph.evals.measures.intervals import mean_bootstrap, ratio_bootstrap


def mean(rows: "list[tuple[int, float]]") -> float | None:
    return float(np.mean([value for _, value in rows])) if rows else None


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    # 200 worlds, 40 prompts of 5 ratings each that share their prompt's luck; true mean 0.
    # The chance of fewer than 176 of 200 hits at a true coverage of 94 % is below 1 in 500.
    generator = np.random.default_rng(1)
    hits = naive = 0
    for world in range(200):
        luck = generator.normal(size=(40, 1)) + 0.2 * generator.normal(size=(40, 5))
        rows = [(prompt, float(v)) for prompt, values in enumerate(luck) for v in values]
        estimate = cluster_bootstrap(rows, lambda row: row[0], mean, resamples=200, seed=world)  # type: ignore[arg-type]
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= 0 <= estimate.high
        alone = [(n, value) for n, (_, value) in enumerate(rows)]
        blind = cluster_bootstrap(alone, lambda row: row[0], mean, resamples=200, seed=world)  # type: ignore[arg-type]
        assert blind.low is not None
        assert blind.high is not None
        naive += blind.low <= 0 <= blind.high
    assert hits >= 176
    # ratings taken for independent make it far too narrow
    assert naive < 150


def test_the_same_seed_gives_the_same_interval() -> None:
    rows = [(n % 7, float(n)) for n in range(40)]
    one, two = (cluster_bootstrap(rows, lambda row: row[0], mean, seed=3) for _ in range(2))  # type: ignore[arg-type]
    assert one == two
    assert one.clusters == 7


def test_one_cluster_has_a_value_and_no_interval() -> None:
    estimate = cluster_bootstrap([(1, 2.0), (1, 4.0)], lambda row: row[0], mean)  # type: ignore[arg-type]
    assert (estimate.value, estimate.low, estimate.high, estimate.clusters) == (3.0, None, None, 1)


def test_no_data_is_no_number() -> None:
    estimate = cluster_bootstrap([], lambda row: row, lambda rows: None)
    assert (estimate.value, estimate.low, estimate.clusters) == (None, None, 0)


def test_resamples_that_leave_the_number_undefined_are_counted() -> None:
    def only_with_a_seven(rows: "list[int]") -> float | None:
        return 7.0 if 7 in rows else None

    estimate = cluster_bootstrap([7, 1, 2], lambda row: row, only_with_a_seven, resamples=500)  # type: ignore[arg-type]
    # chance that three draws of three miss the 7: (2/3)^3 = .296
    assert 100 < estimate.undefined < 200
    assert (estimate.low, estimate.high) == (7.0, 7.0)


def test_paired_differences_by_hand() -> None:
    estimate = paired_bootstrap([3.0, 5.0, 4.0], [1.0, 3.0, 2.0])
    # every prompt differs by 2, so there is nothing to be unsure of
    assert (estimate.value, estimate.low, estimate.high) == (2.0, 2.0, 2.0)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="got 1 and 2"):
        paired_bootstrap([1.0], [1.0, 2.0])
    with pytest.raises(InputError, match="100 resamples or more, got 9"):
        cluster_bootstrap([1], lambda row: row, lambda rows: 1.0, resamples=9)


def test_a_mean_has_the_same_interval_whether_rows_are_gone_through_or_not() -> None:
    values = [float(n % 5) for n in range(30)]
    slow = cluster_bootstrap(list(enumerate(values)), lambda row: row[0], mean, seed=3)  # type: ignore[arg-type]
    fast = mean_bootstrap(values, seed=3)
    assert fast.value == pytest.approx(slow.value, abs=1e-12)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=1e-12)
    assert (fast.clusters, fast.undefined) == (slow.clusters, slow.undefined) == (30, 0)


def test_the_mean_of_one_prompt_or_none_has_no_interval() -> None:
    assert mean_bootstrap([]) == Estimate(value=None)
    assert mean_bootstrap([2.0]) == Estimate(value=2.0, clusters=1)
    with pytest.raises(InputError, match="100 resamples or more"):
        mean_bootstrap([1.0, 2.0], resamples=9)


def test_a_ratio_has_the_interval_that_it_has_prompt_by_prompt() -> None:
    parts = [(1.0, 2.0), (0.0, 3.0), (4.0, 4.0), (2.0, 7.0)]
    numbered = list(enumerate(parts))

    def ratio(rows: "list[tuple[int, tuple[float, float]]]") -> float | None:
        return sum(part for _, (part, _) in rows) / sum(whole for _, (_, whole) in rows)

    estimate = ratio_bootstrap(parts, seed=5)
    # (1 + 0 + 4 + 2) / (2 + 3 + 4 + 7)
    assert estimate.value == pytest.approx(7 / 16)
    slow = cluster_bootstrap(numbered, lambda row: row[0], ratio, seed=5)  # type: ignore[arg-type]
    assert estimate.low == pytest.approx(slow.low)
    assert estimate.high == pytest.approx(slow.high)
    assert (estimate.clusters, estimate.undefined) == (4, 0)


def test_a_ratio_over_nothing_is_no_number_and_draws_without_a_whole_are_counted() -> None:
    assert ratio_bootstrap([]).value is None
    assert ratio_bootstrap([(0.0, 0.0), (0.0, 0.0)]).value is None
    # one of two has a whole: a quarter of the draws miss it
    estimate = ratio_bootstrap([(1.0, 2.0), (0.0, 0.0)])
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)
    assert 400 < estimate.undefined < 600
