"""Graphs by name."""

from pathlib import Path

import pytest

from quillgraph.backends.errors import ConfigError
from quillgraph.graphs import registry

FOLDER = Path(__file__).parents[2] / "graphs"


@pytest.mark.parametrize("name", sorted(registry.GRAPHS))
def test_every_named_graph_compiles_and_can_be_drawn(name: str) -> None:
    drawing = registry.build(name).compile().get_graph(xray=1).draw_mermaid()
    assert "__start__" in drawing
    assert "__end__" in drawing


def test_every_module_with_a_graph_has_a_name() -> None:
    with_graph = {
        file.stem
        for file in FOLDER.glob("*.py")
        if "\ndef build() " in file.read_text(encoding="utf-8")
    }
    assert set(registry.GRAPHS) == with_graph


def test_an_unknown_graph_is_refused_with_the_name_that_may_be_meant() -> None:
    with pytest.raises(ConfigError, match=r"unknown graph 'criterion': did you mean 'criteria'\?"):
        registry.build("criterion")
