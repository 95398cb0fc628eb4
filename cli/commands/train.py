"""`quillgraph train`: imitate and reinforce what the criteria of writing requests reward."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from quillgraph.backends.errors import ConfigError, GuardTripped
from quillgraph.cli.display.items import write_json
from quillgraph.cli.session.progress import announce, log_shown, plain_console
from quillgraph.graphs.supervision import RunFolder
from quillgraph.rl.config import TrainConfig, load_config
from quillgraph.rl.processes import are_several
from quillgraph.rl.stages import check, require_packages, train


def run_train(
    file: Path, choices: Mapping[str, Any], *, resume: bool, dry_run: bool, as_json: bool
) -> None:
    """Train what a configuration says, or check that it could be.

    Args:
        file: The configuration.
        choices: `out` and `seed` of the command line, which win over the file.
        resume: Go on from the last checkpoint.
        dry_run: Check everything and train nothing.
        as_json: Show the result for machines.

    Raises:
        QuillError: Whatever ends the run early, after its folder has been told.
    """
    out = choices.get("out")
    config = load_config(file, out=str(out) if out else None, seed=choices.get("seed"))
    require_packages()
    if are_several():
        return _run_among_others(config, file, resume=resume, dry_run=dry_run)
    console = plain_console(sys.stderr)
    folder = _folder(config, file, resume=resume, dry_run=dry_run)
    result = _kept(config, folder, console, resume=resume, dry_run=dry_run)
    if as_json:
        write_json({"run": str(folder.path), **result})
    announce(folder.path, console)


def _run_among_others(config: TrainConfig, file: Path, *, resume: bool, dry_run: bool) -> None:
    """Run as one of several processes, of which the first keeps the folder and speaks."""
    from quillgraph.rl.processes import processes

    if config.out is None:
        raise ConfigError(
            "expected --out with several processes: all of them write to one folder, so name it"
        )
    them = processes()
    if them.is_main_process:
        folder = _folder(config, file, resume=resume, dry_run=dry_run)
        them.wait_for_everyone()
        _kept(config, folder, plain_console(sys.stderr), resume=resume, dry_run=dry_run)
    else:
        them.wait_for_everyone()
        _work(config, config.out, Console(quiet=True), resume=resume, dry_run=dry_run)


def _kept(
    config: TrainConfig, folder: RunFolder, console: Console, *, resume: bool, dry_run: bool
) -> dict[str, Any]:
    """Do the work, and write down how it went."""
    try:
        with log_shown(console):
            result = _work(config, folder.path, console, resume=resume, dry_run=dry_run)
    except BaseException as error:
        folder.end_early(error, {GuardTripped: "stopped by a guard"})
        raise
    folder.finish("checked" if dry_run else "done")
    return result


def _work(
    config: TrainConfig, folder: Path, console: Console, *, resume: bool, dry_run: bool
) -> dict[str, Any]:
    if dry_run:
        check(config, folder, console.print)
        console.print("everything is there: nothing was trained")
        return {"trained": False}
    outcome = train(config, folder, resume=resume, tell=console.print)
    console.print(f"adapter: {outcome.adapter}")
    if outcome.curves is None:
        console.print("no picture of the curves: pip install 'quillgraph[plot]'")
    curves = outcome.curves and str(outcome.curves)
    return {"trained": True, "adapter": str(outcome.adapter), "curves": curves}


def _folder(config: TrainConfig, file: Path, *, resume: bool, dry_run: bool) -> RunFolder:
    settings = config.model_dump(mode="json")
    if not resume:
        title = file.stem + ("-dry-run" if dry_run else "")
        folder = RunFolder(config.out, title, settings)
        folder.write_text("config.yaml", file.read_text(encoding="utf-8"))
        return folder
    if config.out is None:
        raise ConfigError(
            "expected the folder of the run that is to go on: name it as out: in the configuration "
            "or with --out"
        )
    folder = RunFolder.reopened(config.out)
    folder.note(settings=settings)
    return folder
