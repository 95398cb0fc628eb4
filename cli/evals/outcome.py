"""What the eval commands do alike: check numbers, write the result, end with a status."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from quillgraph.backends.errors import InputError
from quillgraph.cli.session.folder import RunFolder
from quillgraph.cli.session.progress import plain_console
from quillgraph.evals.judges import unmet
from quillgraph.evals.measures import Estimate


def at_least(lowest: int, **options: int | None) -> None:
    """Refuse a number below the lowest that an option takes; None is not said.

    Raises:
        InputError: Naming the option.
    """
    for name, number in options.items():
        if number is not None and number < lowest:
            raise InputError(f"expected --{name} of {lowest} or more, got {number}")


def write_result(folder: RunFolder, result: Mapping[str, Any]) -> None:
    """Write a result for machines, with the folder of its run."""
    line = json.dumps({"run": str(folder.path), **result}, ensure_ascii=False)
    sys.stdout.write(line + "\n")


def write_rows(folder: RunFolder, files: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write files of JSON lines into the folder of a run.

    Args:
        folder: The folder.
        files: Name of a file to its rows.
    """
    for name, rows in files.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        folder.write_text(name, "".join(lines))


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
