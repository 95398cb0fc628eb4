"""Graphs by name."""

import json
import queue
import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from quillgraph.backends.errors import ConfigError
from quillgraph.graphs.episodes import registry
from quillgraph.graphs.episodes.source import compiled_form

FOLDER = Path(__file__).parents[3] / "graphs"


@pytest.mark.parametrize("name", sorted(registry.GRAPHS))
def test_every_named_graph_compiles_and_can_be_drawn(name: str) -> None:
    drawing = compiled_form(registry.build(name)).get_graph(xray=1).draw_mermaid()
    assert "__start__" in drawing
    assert "__end__" in drawing


def test_every_module_with_a_graph_has_a_name() -> None:
    with_graph = {
        ".".join(("quillgraph.graphs", *file.relative_to(FOLDER).with_suffix("").parts))
        for file in FOLDER.rglob("*.py")
        if "\ndef build() " in file.read_text(encoding="utf-8")
    }
    assert {place.removesuffix(":build") for place in registry.PLACES.values()} == with_graph


def test_an_unknown_graph_is_refused_with_the_name_that_may_be_meant() -> None:
    with pytest.raises(ConfigError, match=r"unknown graph 'criterion': did you mean 'criteria'\?"):
        registry.build("criterion")


def test_the_graphs_for_langgraphs_own_server_are_those_that_have_a_name() -> None:
    config = json.loads((FOLDER.parent / "langgraph.json").read_text(encoding="utf-8"))["graphs"]
    assert {name: each["description"] for name, each in config.items()} == registry.GRAPHS
    for name, each in config.items():
        graph = compiled_form(registry.build(each["path"]))
        assert graph.nodes.keys() == compiled_form(registry.build(name)).nodes.keys()


OWN = """
from typing import TypedDict
from langgraph.graph import END, START, StateGraph
import beside

class State(TypedDict):
    request: str

def build():
    graph = StateGraph(State)
    graph.add_node("end", beside.end)
    graph.add_edge(START, "end")
    return graph

def needs(something):
    return build()
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file with a graph, which imports another one that lies beside it."""
    (tmp_path / "own_graph.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "beside.py").write_text("def end(state): return state", encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path / "own_graph.py"
    for name in ("own_graph", "beside"):
        sys.modules.pop(name, None)


def test_a_graph_is_found_in_a_file_and_its_types_under_the_files_name(own: Path) -> None:
    graph = registry.build(f"{own}:build")
    assert "end" in compiled_form(graph).nodes
    # a checkpoint names types by their modules
    assert sys.modules["own_graph"].State.__module__ == "own_graph"


def test_a_graph_is_found_in_a_module_that_lies_where_one_stands(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    assert "end" in compiled_form(registry.build("own_graph:build")).nodes


def test_a_file_is_kept_by_where_it_is_and_other_names_as_they_are(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    assert registry.lasting("own_graph.py:build") == f"{own}:build"
    assert registry.lasting("own_graph:build") == "own_graph:build"
    assert registry.lasting("reflection") == "reflection"


def test_a_factory_that_takes_arguments_is_refused(own: Path) -> None:
    with pytest.raises(ConfigError, match="without arguments that makes one, but calling"):
        registry.build(f"{own}:needs")


def test_a_module_that_lacks_one_of_its_own_imports_is_not_taken_for_missing(own: Path) -> None:
    (own.parent / "beside.py").unlink()
    with pytest.raises(ConfigError, match=r"No module named 'beside' \(own_graph\.py, line \d+\)"):
        registry.build(f"{own}:build")
    assert "own_graph" not in sys.modules


def test_a_file_does_not_stand_for_a_module_that_has_its_name(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = own.rename(own.with_name("queue.py"))
    for _ in range(2):
        assert "end" in compiled_form(registry.build(f"{mine}:build")).nodes
    assert sys.modules["queue"] is queue
    monkeypatch.delitem(sys.modules, "queue")  # as if nobody had imported it so far
    registry.build(f"{mine}:build")
    assert "queue" not in sys.modules
    # its types are found under the name that it has instead, the same in every process
    (name,) = (name for name, each in sys.modules.items() if _is_file(each, mine))
    assert re.fullmatch("queue_[0-9a-f]{8}", name)
    assert sys.modules[name].State.__module__ == name


def _is_file(module: object, path: Path) -> bool:
    return getattr(module, "__file__", None) == str(path)


def test_a_file_that_fails_takes_no_module_away(own: Path) -> None:
    mine = own.rename(own.with_name("queue.py"))
    mine.write_text("raise ValueError('x')", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"fails: ValueError: x \(queue\.py, line 1\)"):
        registry.build(f"{mine}:build")
    assert sys.modules["queue"] is queue
    assert not any(_is_file(each, mine) for each in sys.modules.values())


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\ndef build(:\n", r"SyntaxError: .*\(broken\.py, line 2\)$"),
        ("x = 1\ny = z\n", r"importing .*broken.* NameError: .*\(broken\.py, line 2\)$"),
        ("def build():\n    1 / 0\n", r"calling .*ZeroDivisionError: .*\(broken\.py, line 2\)$"),
        ("def build():\n    len()\n", r"calling .*\(broken\.py, line 2\)$"),
    ],
)
@pytest.mark.parametrize("as_module", [False, True])
def test_code_that_fails_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str, as_module: bool
) -> None:
    (tmp_path / "broken.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    with pytest.raises(ConfigError, match=message):
        registry.build("broken:build" if as_module else "broken.py:build")
    sys.modules.pop("broken", None)


def test_an_error_of_ours_in_a_graphs_code_passes_as_it_is(tmp_path: Path) -> None:
    mine = tmp_path / "own_connect.py"
    code = 'from quillgraph.backends import connect\n\ndef build():\n    connect("vlm:m")\n'
    mine.write_text(code, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^unknown backend kind 'vlm'") as raised:
        registry.build(f"{mine}:build")
    assert raised.value.__cause__ is None


def test_files_of_one_name_in_two_folders_are_two_modules(own: Path) -> None:
    other = own.parent / "other" / own.name
    other.parent.mkdir()
    other.write_text(OWN.replace('"end"', '"finish"'), encoding="utf-8")
    assert "end" in compiled_form(registry.build(f"{own}:build")).nodes
    assert "finish" in compiled_form(registry.build(f"{other}:build")).nodes
    assert sys.modules["own_graph"].__file__ == str(own)


def test_packages_offer_graphs_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("sonnets", "quillgraph.graphs.prebuilt.reflection:build", registry.GROUP)
    broken = EntryPoint("odes", "quillgraph.graphs.prebuilt.reflection:biuld", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point, broken])
    registry.foreign.cache_clear()
    assert set(registry.foreign()) == {"sonnets", "odes"}
    assert "decide" in compiled_form(registry.build("sonnets")).nodes
    with pytest.raises(ConfigError, match="graph 'odes' of its package cannot be loaded from"):
        registry.build("odes")
    with pytest.raises(ConfigError, match="did you mean 'sonnets'"):
        registry.build("sonets")
    registry.foreign.cache_clear()
