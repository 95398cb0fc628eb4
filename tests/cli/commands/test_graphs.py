"""`quillgraph graphs`: ours, those of other packages, and those of a file."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from quillgraph.graphs.episodes import registry


def test_every_graph_is_listed_with_what_it_does(quillgraph: Any) -> None:
    assert json.loads(quillgraph("graphs", "--json").stdout) == registry.GRAPHS
    listed = quillgraph("graphs").stdout.splitlines()
    assert len(listed) == len(registry.GRAPHS)
    assert "voting             drafts side by side, ranked by the votes of three judges" in listed


def test_a_graph_of_another_package_is_listed_without_being_imported(
    quillgraph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("sonnets", "no_such_module:build", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    registry.foreign.cache_clear()
    done = quillgraph("graphs")
    registry.foreign.cache_clear()
    assert done.status == 0
    assert "sonnets            from no_such_module:build" in done.stdout.splitlines()


def test_a_graph_of_ones_own_can_be_drawn(quillgraph: Any) -> None:
    Path("own_poem.py").write_text(
        "from quillgraph.graphs.prebuilt import debate\nbuild = debate.build\n", encoding="utf-8"
    )
    done = quillgraph("graphs", "--draw", "own_poem.py:build")
    assert done.status == 0, done.stderr
    # the turns of a side are a graph within the graph
    assert r"\3aobject" in done.stdout
