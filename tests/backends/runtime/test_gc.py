"""Looking for unreachable cycles less often, and only for as long as was asked."""

import gc

import pytest

from quillgraph.backends import collecting_seldom
from quillgraph.backends.runtime.gc import MIDDLE, OLD, YOUNG


def test_thresholds_are_back_after_the_block_and_after_an_error() -> None:
    before = gc.get_threshold()
    with collecting_seldom():
        assert gc.get_threshold() == (YOUNG, MIDDLE, OLD)
        with collecting_seldom():
            pass
        assert gc.get_threshold() == (YOUNG, MIDDLE, OLD)
    assert gc.get_threshold() == before
    with pytest.raises(KeyError), collecting_seldom():
        raise KeyError
    assert gc.get_threshold() == before


def test_fewer_collections_for_the_same_objects() -> None:
    def collections_of(count: int) -> int:
        before = sum(each["collections"] for each in gc.get_stats())
        lists = [[number] for number in range(count)]
        assert len(lists) == count
        return int(sum(each["collections"] for each in gc.get_stats()) - before)

    as_ever = collections_of(20_000)
    with collecting_seldom():
        seldom = collections_of(20_000)
    assert seldom <= 1 < as_ever
