"""`quillgraph eval criteria`: automatic criteria held against people's and against baselines."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from quillgraph.backends.errors import InputError
from quillgraph.cli.display.criteria import (
    caveat,
    comparison_table,
    differences_table,
    exclusions,
    write_plot,
)
from quillgraph.cli.evals.criteria_work import Asked, Comparing
from quillgraph.cli.session.budget import budget_of, charge_earlier
from quillgraph.cli.session.engines import Engines, connected, with_backend
from quillgraph.cli.session.folder import RunFolder, alone_in, goes_on_as_begun
from quillgraph.cli.session.progress import plain_console
from quillgraph.cli.session.settings import Settings, load_settings
from quillgraph.cli.session.supervisor import supervise
from quillgraph.graphs.study import ROLES


def begin_eval_criteria(
    asked: Asked, settings: Settings, *, plot: Path | None, as_json: bool
) -> None:
    """Compare criteria in a new folder, and show what was found.

    Raises:
        QuillError: After what was finished has been written to the run folder.
    """
    asked = asked.checked()
    cases, said = asked.read(settings.seed), plain_console(sys.stderr)
    settings = with_backend(settings, said)
    engines = connected(settings, (*ROLES, "judge"), said)
    title = f"eval criteria {asked.data[0].name}"
    folder = RunFolder(settings.out, title, settings.model_dump(mode="json"))
    folder.note(asked=asked.model_dump(mode="json"))
    with alone_in(folder.path):
        work = Comparing(asked, settings, cases, folder.path, budget_of(settings, []))
        _compare(work, engines, folder, plot=plot, as_json=as_json)


def resume_eval_criteria(
    path: Path,
    given: Mapping[str, Any],
    limits: Mapping[str, Any],
    *,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Go on with a comparison that ended early; no result that is there is worked out again.

    Args:
        path: The run's folder.
        given: What else the command line says; nothing may, a run goes on as it was begun.
        limits: Budgets and time that may be given anew.
        plot: Where to draw the result.
        as_json: Show the result for machines.

    Raises:
        ConfigError: If something is given that the run has begun without.
        InputError: If no such run is kept there, or its data have changed.
    """
    goes_on_as_begun(given)
    with alone_in(path):
        folder = RunFolder.reopened(path)
        try:
            asked = Asked.model_validate(folder.facts.get("asked"))
        except ValidationError as error:
            raise InputError(f"expected a run of `quillgraph eval criteria` in {path}") from error
        changed = {name: value for name, value in limits.items() if value is not None}
        settings = load_settings(None, **{**folder.facts["settings"], **changed})
        budget = budget_of(settings, [])
        charge_earlier(budget, path)
        work = Comparing(asked, settings, asked.read(settings.seed), path, budget)
        engines = connected(settings, (*ROLES, "judge"), plain_console(sys.stderr))
        _compare(work, engines, folder, plot=plot, as_json=as_json)


def _compare(
    work: Comparing, engines: Engines, folder: RunFolder, *, plot: Path | None, as_json: bool
) -> None:
    supervise(work, engines, folder, work.budget, timeout=work.settings.timeout)
    assert work.report is not None
    if plot:
        write_plot(work.report, plot)
    if as_json:
        shown = {"run": str(folder.path), "report": work.report.model_dump(mode="json")}
        sys.stdout.write(json.dumps(shown, ensure_ascii=False) + "\n")
    else:
        Console().print(comparison_table(work.report))
        if work.report.differences:
            Console().print(differences_table(work.report))
        for told in filter(None, (exclusions(work.report), caveat(work.report))):
            Console().print(told, markup=False)
    plain_console(sys.stderr).print(f"run folder: {folder.path}", style="dim")
