import numpy as np
import pytest

from quillgraph.agents.judges.scorer_folder import MEASURES, relevance_measures

EAST, NORTH = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
BETWEEN = np.array([0.6, 0.8], np.float32)


def test_the_measures_are_cosines_and_their_products() -> None:
    rows = relevance_measures(BETWEEN, EAST, np.stack([NORTH, EAST]), NORTH[None])
    # text to request .6; to the first criterion .8, to the second .6; nearest anchor 1 and 0
    assert rows.shape == (2, MEASURES)
    assert rows[0] == pytest.approx([1, 0.6, 0.8, 1, 0.8, 0.6, 0.8])
    assert rows[1] == pytest.approx([1, 0.6, 0.6, 0, 0.6, 0, 0])


def test_without_a_request_nothing_is_near_to_it() -> None:
    (row,) = relevance_measures(BETWEEN, None, NORTH[None], EAST[None])
    assert row == pytest.approx([0, 0, 0.8, 0, 0, 0, 0])
