"""Adapters come and go in an engine; those of vLLM itself: `weights/test_adapter_on_smollm2.py`."""

import logging
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends.errors import Refused
from quillgraph.backends.vllm.adapters import EngineAdapters

pytest.importorskip("vllm")
# vLLM loads torch, and both of them use what Python and torch are giving up
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Engine:
    """Holds adapters by number, and lets go of none while it is told not to."""

    def __init__(self) -> None:
        self.loaded: set[int] = set()
        self.is_stubborn = False
        self.takes = True

    async def add_lora(self, request: Any) -> None:
        if not self.takes:
            raise Exception("no room")
        self.loaded.add(request.lora_int_id)

    async def list_loras(self) -> set[int]:
        return self.loaded

    async def remove_lora(self, number: int) -> None:
        if self.is_stubborn:
            raise Exception("cannot remove")
        self.loaded.remove(number)


async def test_an_adapter_that_stays_behind_fails_no_swap_and_is_removed_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine, adapters = Engine(), EngineAdapters()
    await adapters.swap(engine, Path("one"), "v1")
    engine.is_stubborn = True
    with caplog.at_level(logging.WARNING, "quillgraph"):
        await adapters.swap(engine, Path("two"), "v2")
    message = caplog.messages[-1]
    assert "vLLM did not give up adapter 'v1': cannot remove" in message
    with adapters.in_use() as weights:
        assert weights.version == "v2"
    assert engine.loaded == {1, 2}
    engine.is_stubborn = False
    await adapters.swap(engine, Path("three"), "v3")
    assert engine.loaded == {3}


async def test_an_adapter_in_use_stays_until_a_swap_after_its_last_call() -> None:
    engine, adapters = Engine(), EngineAdapters()
    await adapters.swap(engine, Path("one"), "v1")
    with adapters.in_use():
        await adapters.swap(engine, Path("two"), "v2")
        assert engine.loaded == {1, 2}
    await adapters.swap(engine, None, "base")
    assert engine.loaded == set()


async def test_an_adapter_that_the_engine_does_not_take_changes_nothing() -> None:
    engine, adapters = Engine(), EngineAdapters()
    await adapters.swap(engine, Path("one"), "v1")
    engine.takes = False
    with pytest.raises(Refused, match="vLLM did not take adapter 'v2' from two: no room"):
        await adapters.swap(engine, Path("two"), "v2")
    with adapters.in_use() as weights:
        assert weights.version == "v1"
    assert engine.loaded == {1}
