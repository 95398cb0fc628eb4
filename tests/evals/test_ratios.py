"""Ratios of sums, against the bootstrap that goes from row to row."""

import pytest

from quillgraph.evals import cluster_bootstrap
from quillgraph.evals.ratios import ratio_bootstrap


def test_a_ratio_has_the_interval_that_it_has_prompt_by_prompt() -> None:
    parts = [(1.0, 2.0), (0.0, 3.0), (4.0, 4.0), (2.0, 7.0)]
    numbered = list(enumerate(parts))

    def ratio(rows: "list[tuple[int, tuple[float, float]]]") -> float | None:
        return sum(part for _, (part, _) in rows) / sum(whole for _, (_, whole) in rows)

    found = ratio_bootstrap(parts, seed=5)
    # (1 + 0 + 4 + 2) / (2 + 3 + 4 + 7)
    assert found.value == pytest.approx(7 / 16)
    slow = cluster_bootstrap(numbered, lambda row: row[0], ratio, seed=5)  # type: ignore[arg-type]
    assert found.low == pytest.approx(slow.low)
    assert found.high == pytest.approx(slow.high)
    assert (found.clusters, found.undefined) == (4, 0)


def test_a_ratio_over_nothing_is_no_number_and_draws_without_a_whole_are_counted() -> None:
    assert ratio_bootstrap([]).value is None
    assert ratio_bootstrap([(0.0, 0.0), (0.0, 0.0)]).value is None
    # one of two has a whole: a quarter of the draws miss it
    found = ratio_bootstrap([(1.0, 2.0), (0.0, 0.0)])
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    assert 400 < found.undefined < 600
