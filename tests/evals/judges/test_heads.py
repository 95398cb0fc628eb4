"""Heads on texts whose points are a known line of their states."""

import numpy as np
import pytest

from quillgraph.evals.judges.heads import (
    HEADS,
    LeastSquares,
    Ridge,
    ScoredVectors,
    predicted,
    validate,
)

pytest.importorskip("sklearn")


def texts(seed: int = 0, noise: float = 0.0, count: int = 200) -> ScoredVectors:
    """Points 5 + x - 2y in pairs of versions; a third number says nothing."""
    draw = np.random.default_rng(seed)
    states = draw.normal(size=(count, 3))
    points = 5 + states[:, 0] - 2 * states[:, 1] + noise * draw.normal(size=count)
    return ScoredVectors(states, points, tuple(n // 2 for n in range(count)))


def test_without_a_penalty_the_line_is_found() -> None:
    line = Ridge(1e-9).fit(texts())
    assert line.weights == pytest.approx([1, -2, 0], abs=1e-6)
    assert line.bias == pytest.approx(5, abs=1e-6)


def test_partial_least_squares_with_all_directions_is_least_squares() -> None:
    line = LeastSquares(3).fit(texts())
    assert line.weights == pytest.approx([1, -2, 0], abs=1e-6)
    assert line.bias == pytest.approx(5, abs=1e-6)


def test_versions_outweigh_what_families_have_in_common() -> None:
    """Among families points fall with x, within a family they rise: versions decide."""
    base = np.repeat(np.arange(50.0), 2)
    step = np.tile([0.0, 1.0], 50)
    scores = ScoredVectors(
        (base + step)[:, None], 60 - base + step, tuple(n // 2 for n in range(100))
    )
    plain, versions = Ridge(1e-6).fit(scores), Ridge(1e-6, versions=1e6).fit(scores)
    assert plain.weights[0] < 0
    assert versions.weights[0] == pytest.approx(1.0, abs=0.01)


def test_spoilt_texts_are_learned_from_and_not_measured() -> None:
    good = texts()
    bad = ScoredVectors(np.tile([0.0, 0.0, 9.0], (50, 1)), np.ones(50), (999,) * 50)
    line = Ridge(1e-6).fit(ScoredVectors(good.states, good.points, good.families, bad))
    assert line(np.array([[0.0, 0.0, 9.0]]))[0] < 2
    both = ScoredVectors(good.states, good.points, good.families, bad)
    assert len(predicted(Ridge(1.0), both)) == 200


def test_what_was_made_of_a_text_is_left_out_with_it() -> None:
    scores = texts(count=4)
    spoilt = ScoredVectors(np.zeros((3, 3)), np.ones(3), (0, 1, 7))
    subset = ScoredVectors(scores.states, scores.points, scores.families, spoilt).where(
        np.array([False, False, True, True])
    )
    assert subset.families == (1, 1)
    assert subset.spoilt is not None
    assert subset.spoilt.families == (1, 7)


def test_predictions_come_of_other_families() -> None:
    """Points that are drawn for each family say nothing of other families."""
    draw = np.random.default_rng(0)
    family = np.repeat(np.arange(100), 2)
    states = np.repeat(draw.normal(size=(100, 60)), 2, axis=0)
    scores = ScoredVectors(states, np.repeat(draw.normal(size=100), 2), tuple(family.tolist()))
    validation = validate("ridge", predicted(Ridge(1.0), scores), scores)
    assert abs(validation.spearman) < 0.25
    # a head that has seen the other version knows its points by heart
    points = Ridge(1e-6).fit(scores)(states)
    assert validate("seen", points, scores).spearman > 0.5


def test_pairs_are_of_versions_with_different_points() -> None:
    scores = ScoredVectors(np.zeros((5, 1)), np.array([1.0, 2.0, 3.0, 3.0, 9.0]), (0, 0, 1, 1, 2))
    validation = validate("any", np.array([0.0, 1.0, 5.0, 6.0, 7.0]), scores)
    # one pair, told rightly; the ranks 0..4 against 1, 2, 3.5, 3.5, 5
    assert (validation.pairs, validation.pair_accuracy) == (1, 1.0)
    assert validation.spearman == pytest.approx(0.9746794)
    assert validation.merit == pytest.approx((0.9746794 + 1) / 2)


@pytest.mark.parametrize("name", HEADS)
def test_every_head_finds_what_is_there(name: str) -> None:
    draw = np.random.default_rng(1)
    states = draw.normal(size=(300, 20))
    points = 5 + states @ draw.normal(size=20) / 4 + 0.5 * draw.normal(size=300)
    scores = ScoredVectors(states, points, tuple(n // 2 for n in range(300)))
    validation = validate(name, predicted(HEADS[name], scores), scores)
    assert validation.pair_accuracy > 0.75
