"""Shared by the evaluation commands: resume a run, write its result."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console

from quillgraph.agents.domain import Value
from quillgraph.agents.text import visible
from quillgraph.backends.errors import InputError
from quillgraph.cli.session.progress import plain_console
from quillgraph.cli.session.settings import Settings, load_settings
from quillgraph.evals import Estimate
from quillgraph.evals.judges import unmet
from quillgraph.graphs.supervision import RunFolder, alone_in, goes_on_as_begun

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

INQUIRY = "asked"
"""Where `run.json` keeps the inquiry that a run is to answer."""

T = TypeVar("T", bound=Value)


@dataclass(frozen=True, slots=True)
class Output:
    """How a command shows and writes its result."""

    plot: Path | None
    """Picture to draw."""
    as_json: bool
    """Whether it is for machines."""
    require: Sequence[str] = ()
    """Measures with the numbers that they must reach."""


def non_defaults(options: "DataclassInstance") -> dict[str, Any]:
    """The options of a command that differ from their defaults."""
    values = {each.name: (getattr(options, each.name), each.default) for each in fields(options)}
    return {name: value for name, (value, default) in values.items() if value != default}


def at_least(lowest: int, **options: int | None) -> None:
    """Refuse a number below an option's minimum; None means no number.

    Raises:
        InputError: If it is too low; names the option.
    """
    for name, number in options.items():
        if number is not None and number < lowest:
            raise InputError(f"expected --{name} of {lowest} or more, got {number}")


def tell_left_out(
    console: Console, reasons: Mapping[str, int], skipped: Sequence[str] = ()
) -> None:
    """Say before the first call which records an evaluation will be without.

    Args:
        console: Where it is said.
        reasons: Why records are left out, and how many.
        skipped: Those that could not be read, each with its place and the reason.
    """
    counts = "; ".join(f"{reason} ({count})" for reason, count in reasons.items() if count)
    if counts:
        first = f"; the first is {skipped[0]}" if skipped else ""
        console.print(visible(f"note: left out: {counts}{first}"))


@contextmanager
def reopened(
    path: Path, form: type[T], command: str, *, others: Mapping[str, Any], limits: Mapping[str, Any]
) -> Iterator[tuple[RunFolder, T, Settings]]:
    """Open and lock the folder of an evaluation that ended early.

    Args:
        path: The folder.
        form: Type of the inquiry that the folder stores.
        command: The command that started the run.
        others: Options of the command line other than limits; must be empty.
        limits: New budgets and time limit.

    Yields:
        The folder, the inquiry, and the settings under the new limits.

    Raises:
        ConfigError: If an option is given that a resumed run does not take.
        InputError: If the folder holds no such run.
    """
    goes_on_as_begun(others)
    with alone_in(path):
        folder = RunFolder.reopened(path)
        try:
            inquiry = form.model_validate(folder.facts.get(INQUIRY))
        except ValidationError as error:
            raise InputError(f"expected a run of `quillgraph {command}` in {path}") from error
        renewed = {name: value for name, value in limits.items() if value is not None}
        yield folder, inquiry, load_settings(None, **{**folder.facts["settings"], **renewed})


def write_result(folder: RunFolder, result: Mapping[str, Any]) -> None:
    """Write a result as JSON, with the folder of its run."""
    line = json.dumps({"run": str(folder.path), **result}, ensure_ascii=False)
    sys.stdout.write(line + "\n")


def refuse_unmet(requirements: Sequence[str], measures: dict[str, Estimate]) -> None:
    """Print the requirements that are not met.

    Raises:
        Exit: With status 1 if one is not.
    """
    missed = [line for each in requirements if (line := unmet(each, measures))]
    for line in missed:
        plain_console(sys.stderr).print(f"not met: {line}")
    if missed:
        raise typer.Exit(1)
