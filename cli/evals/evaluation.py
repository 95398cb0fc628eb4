"""An evaluation as a command runs it: begun or taken up again, its result written."""

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
    """What is made of a result."""

    plot: Path | None
    """Picture to draw."""
    as_json: bool
    """Whether it is for machines."""
    require: Sequence[str] = ()
    """Measures with the numbers that they must reach."""


def non_defaults(options: "DataclassInstance") -> dict[str, Any]:
    """The options of a command that have another value than their default."""
    values = {each.name: (getattr(options, each.name), each.default) for each in fields(options)}
    return {name: value for name, (value, default) in values.items() if value != default}


def at_least(lowest: int, **options: int | None) -> None:
    """Refuse a number below the lowest that an option takes; None stands for no number.

    Raises:
        InputError: Naming the option.
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
    """Open the folder of an evaluation that ended early, alone.

    Args:
        path: The folder.
        form: What the folder keeps of the inquiry.
        command: What has begun the run.
        others: What the command line says beside limits; it may say nothing.
        limits: Budgets and time that may be given anew.

    Yields:
        The folder, the inquiry, and the settings under the new limits.

    Raises:
        ConfigError: If something is given that the run has begun without.
        InputError: If no such run is kept there.
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
    """Write a result for machines, with the folder of its run."""
    line = json.dumps({"run": str(folder.path), **result}, ensure_ascii=False)
    sys.stdout.write(line + "\n")


def refuse_unmet(requirements: Sequence[str], measures: dict[str, Estimate]) -> None:
    """Say which requirements are not met.

    Raises:
        Exit: With status 1 if one is not.
    """
    missed = [line for each in requirements if (line := unmet(each, measures))]
    for line in missed:
        plain_console(sys.stderr).print(f"not met: {line}")
    if missed:
        raise typer.Exit(1)
