"""A graph says what it needs beside the request, and a start without it is refused."""

from typing import Any

import pytest

from quillgraph.backends.errors import InputError
from quillgraph.graphs.episodes import registry
from quillgraph.graphs.episodes.batch import read_entry
from quillgraph.graphs.episodes.start import complete_start

NEEDS = {
    "open_coding": "constraints, incidents",
    "axial_coding": "codes",
    "selective_coding": "categories, relations",
    "criteria_writing": "categories, codes, constraints, core, drafts, incidents, tiers",
    "judging": "criteria_set, text",
    "reflection": "criteria_set",
}


@pytest.mark.parametrize(("name", "fields"), NEEDS.items())
def test_a_graph_that_a_request_cannot_start_names_what_is_missing(name: str, fields: str) -> None:
    with pytest.raises(InputError) as error:
        complete_start(registry.build(name), {"request": "A poem on rain."})
    assert f"to have {fields} beside the request, got the request alone" in str(error.value)
    assert "--input FILE.json" in str(error.value)


def test_only_what_is_missing_is_asked_for() -> None:
    with pytest.raises(InputError, match="to have constraints beside the request, got incidents"):
        read_entry(registry.build("open_coding"), '{"request": "Rain.", "incidents": []}', {})


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("criteria", {}),
        ("sampling", {}),
        ("self_refine", {}),
        ("open_coding", {"incidents": [], "constraints": []}),
    ],
)
def test_what_a_graph_can_do_without_need_not_be_there(name: str, data: dict[str, Any]) -> None:
    start = complete_start(registry.build(name), {"request": "A poem on rain.", **data})
    assert start.task.request == "A poem on rain."
    assert set(start.rest) == set(data)
