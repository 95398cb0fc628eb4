"""One name means one thing, and a room can be taken in at a glance."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("api", "backends", "agents", "graphs", "rl", "evals", "cli")
MODULES = sorted(
    file for package in PACKAGES for file in (ROOT / package).rglob("*.py") if file.name[0] != "_"
)

MOST_MODULES = 12
"""Of a room, its `__init__` aside."""

MOST_LINES = 450
"""Of a module."""

LANGUAGES = "each language words the same thing in its own folder"
NODE = "a node of a graph, called by the name that its drawing shows"
MAKER = "makes a node that asks the role of this name, or holds the judge or the criteria"
STORE = "the same command on another file; `cli.groups` looks it up by name"

SHARED: dict[str, str] = {
    "build": "every graph is built by the function of this name; the registry's finds it",
    "build_without": "a graph of the study, wired without some stages",
    **dict.fromkeys(("choose", "choose_core", "close", "deal_drafts", "decide"), NODE),
    **dict.fromkeys(("draw", "enough", "examine", "settle", "weigh"), NODE),
    "draft": f"{NODE}; in `nodes`: {MAKER}",
    "judge": f"the verb; {NODE}; in `nodes`: {MAKER}",
    "write": f"the verb; in `criteria_writing`: {NODE}",
    "reflect": f"the act; in `nodes`: {MAKER}",
    "revise": f"the act; in `nodes`: {MAKER}",
    **dict.fromkeys(("dialogue", "edges", "forms", "kind_of", "language", "lengths"), LANGUAGES),
    **dict.fromkeys(("person", "read_number"), LANGUAGES),
    **dict.fromkeys(("list_items", "show_item", "forget_item", "export_items"), STORE),
}
"""Names that stand in several modules, and why."""

GERUNDS: dict[str, str] = {
    **dict.fromkeys(
        ("axial_coding", "open_coding", "selective_coding", "theoretical_sampling"),
        "a stage of Grounded Theory",
    ),
    "criteria_writing": "the study's last stage, named beside the others",
    "grounding": "what a criterion rests on",
    "learning": "what memory does",
    "matching": "pairs of criteria that say the same",
    "phrasing": "how a language puts what requests name",
    "reading": "what a lens reads out of a text",
    "sampling": "drawing tokens or prompts by chance",
    "training": "what is shown of, or done in, a training",
    "training_record": "what a training has left of itself",
    "voting": "the way that judges decide",
    "wording": "how a request words a demand",
}
"""Module names in -ing that are the field's own terms."""


def _defined(file: Path) -> Iterator[str]:
    """Public classes and functions of a module, but for the commands of the command line."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        calls = (each.func for each in node.decorator_list if isinstance(each, ast.Call))
        is_command = any(
            isinstance(call, ast.Attribute) and call.attr == "command" for call in calls
        )
        if not node.name.startswith("_") and not is_command:
            yield node.name


def _shared() -> dict[str, list[str]]:
    places = defaultdict(list)
    for file in MODULES:
        for name in _defined(file):
            places[name].append(str(file.relative_to(ROOT)))
    return {name: files for name, files in places.items() if len(files) > 1}


def test_a_name_stands_in_one_module_or_there_is_a_reason() -> None:
    assert {name: files for name, files in _shared().items() if name not in SHARED} == {}


def test_no_reason_outlives_its_names() -> None:
    assert sorted(set(SHARED) - set(_shared())) == []
    assert sorted(set(GERUNDS) - {file.stem for file in MODULES}) == []


def test_no_room_holds_more_modules_than_can_be_taken_in() -> None:
    rooms: defaultdict[str, list[str]] = defaultdict(list)
    for file in MODULES:
        rooms[str(file.parent.relative_to(ROOT))].append(file.stem)
    assert {room: names for room, names in rooms.items() if len(names) > MOST_MODULES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_longer_than_can_be_read_at_once(package: str) -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for file in (ROOT / package).rglob("*.py")
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


def test_a_module_is_named_by_a_noun() -> None:
    gerunds = {file.stem for file in MODULES if file.stem.endswith("ing") or "ing_" in file.stem}
    assert sorted(gerunds - set(GERUNDS)) == []
