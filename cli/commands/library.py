"""`quillgraph library`: show, forget and export stored criteria."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from rich.text import Text

from quillgraph.agents.memory import KnownCriterion
from quillgraph.agents.text import amount, visible
from quillgraph.cli.display.items import console, export, show_fields, with_file, write_json
from quillgraph.cli.session.settings import Settings, load_settings
from quillgraph.graphs.memory import LIBRARY, OWN, Library

T = TypeVar("T")

NOTHING = "no criteria are kept yet\n"


def library_file(settings: Settings) -> Path | None:
    """Path of the library that a run uses; None if it uses none."""
    if settings.library is None or settings.no_library:
        return None
    return _expanded(settings.library) or LIBRARY.default_path()


def list_items(path: Path | None, *, genre: str | None, as_json: bool) -> None:
    """List the criteria, a line each; a retired criterion shows the reason.

    Raises:
        ConfigError: If no criterion has this genre.
    """
    criteria: tuple[KnownCriterion, ...] = ()
    if path is not None or _file(path).exists():
        criteria = _with_library(path, lambda library: library.criteria(genre))
    if as_json:
        write_json([each.model_dump(mode="json") for each in criteria])
        return
    if not criteria:
        sys.stdout.write(NOTHING)
    out = console()
    for known in criteria:
        out.print(
            Text.assemble(
                (f"{visible(known.id)}  ", "cyan"),
                visible(f"{known.name}: {known.description}"),
                (visible(f"  [{known.genre}; {known.language}; {used(known)}]"), "dim"),
                (visible(f"  {known.retired}") if known.retired else "", "yellow"),
            )
        )


def show_item(path: Path | None, item_id: str, *, as_json: bool) -> None:
    """Show a criterion with all its fields.

    Raises:
        ConfigError: If there is none of this id.
    """
    known = _with_library(path, lambda library: library.find(item_id))
    fields = known.model_dump(mode="json")
    if as_json:
        write_json(fields)
        return
    measures = {
        "uses": known.uses,
        "discrimination": _rounded(known.discrimination),
        "saturation": _rounded(known.saturation),
    }
    show_fields({**fields, **measures})


def forget_item(path: Path | None, item_id: str) -> None:
    """Forget a criterion.

    Raises:
        ConfigError: If there is none of this id.
    """
    _with_library(path, lambda library: library.forget(item_id))
    sys.stdout.write(f"forgot {visible(item_id)}\n")


def export_items(path: Path | None, file: Path | None, *, genre: str | None) -> None:
    """Write the criteria as JSON, to a file or to stdout.

    Raises:
        StorageError: If the file cannot be written.
    """
    everything = _with_library(path, lambda library: library.export(genre))
    export(everything, file, amount(len(everything["criteria"]), "criterion", "criteria"))


def used(known: KnownCriterion) -> str:
    """Describe how a criterion did in use."""
    uses = f"uses {known.uses}"
    if known.discrimination is None or known.saturation is None:
        return f"{uses}; not judged yet"
    return (
        f"{uses}; {amount(known.groups, 'group')}: spread {known.discrimination:.3f}, "
        f"saturated {known.saturation:.0%}"
    )


def _rounded(measure: float | None) -> float | None:
    return None if measure is None else round(measure, 4)


def _with_library(path: Path | None, use: Callable[[Library], Awaitable[T]]) -> T:
    return with_file(LIBRARY, _file(path), Library.open, use)


def _file(path: Path | None) -> Path:
    """The given file, else the file of the settings, else the user's own."""
    file = _expanded(path) if path else _expanded(load_settings(None).library)
    return file or LIBRARY.default_path()


def _expanded(path: Path | None) -> Path | None:
    """A path, or None if it means the user's own file."""
    return None if path is None or str(path) == OWN else path.expanduser()
