"""Adapters: swapped while the engine runs, or refused."""

from pathlib import Path

import pytest

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.contract.prompts import ASK
from quillgraph.backends.errors import (
    ConfigError,
)
from quillgraph.backends.messages.trace import trace_of


@pytest.mark.needs("adapters", "token_ids")
async def test_an_adapter_is_swapped_and_named_in_the_trace(
    backend: ChatBackend, adapters: tuple[Path, Path]
) -> None:
    traces = []
    for path, version in (
        (None, "base"),
        (adapters[0], "one"),
        (adapters[1], "two"),
        (None, "base"),
    ):
        await backend.load_adapter(path, version)
        traces.append(trace_of(await backend.ainvoke(ASK, temperature=0.0, max_tokens=12)))
    assert [each.weights_version for each in traces if each] == ["base", "one", "two", "base"]
    bare, one, two, last = [each.completion_ids for each in traces if each]
    assert bare == last
    assert len({bare, one, two}) == 3


@pytest.mark.lacks("adapters")
async def test_an_adapter_is_refused_and_not_left_out(backend: ChatBackend, tmp_path: Path) -> None:
    assert not backend.capabilities.adapters
    with pytest.raises(ConfigError, match="swaps no adapters"):
        await backend.load_adapter(tmp_path, "one")
