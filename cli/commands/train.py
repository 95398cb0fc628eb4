"""`quillgraph train`: SFT and RL with the rewards of each request's criteria."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from quillgraph.backends.errors import ConfigError
from quillgraph.cli.display.items import write_json
from quillgraph.cli.session.progress import announce, log_shown, plain_console
from quillgraph.rl.config import TrainConfig, load_config
from quillgraph.rl.processes import are_several
from quillgraph.rl.stages import require_packages, train_in, train_or_check, training_folder


def run_train(
    file: Path, choices: Mapping[str, Any], *, resume: bool, dry_run: bool, as_json: bool
) -> None:
    """Train by a configuration, or only check it.

    Args:
        file: The configuration.
        choices: `out` and `seed` of the command line; they override the file.
        resume: Resume from the last checkpoint.
        dry_run: Check everything and train nothing.
        as_json: Show the result for machines.

    Raises:
        QuillError: If the run ends early; the reason is already in the run folder.
    """
    out = choices.get("out")
    config = load_config(file, out=str(out) if out else None, seed=choices.get("seed"))
    require_packages()
    if are_several():
        return _run_among_others(config, file, resume=resume, dry_run=dry_run)
    console = plain_console(sys.stderr)
    folder = training_folder(config, file, resume=resume, dry_run=dry_run)
    with log_shown(console):
        result = train_in(folder, config, console.print, resume=resume, dry_run=dry_run)
    if as_json:
        write_json({"run": str(folder.path), **result})
    announce(folder.path, console)


def _run_among_others(config: TrainConfig, file: Path, *, resume: bool, dry_run: bool) -> None:
    """Run as one of several processes; only the first writes the folder and the output."""
    from quillgraph.rl.processes import processes

    if config.out is None:
        raise ConfigError(
            "expected --out with several processes: all of them write to one folder, so name it"
        )
    them = processes()
    if them.is_main_process:
        folder = training_folder(config, file, resume=resume, dry_run=dry_run)
        them.wait_for_everyone()
        console = plain_console(sys.stderr)
        with log_shown(console):
            train_in(folder, config, console.print, resume=resume, dry_run=dry_run)
    else:
        them.wait_for_everyone()
        silent = Console(quiet=True).print
        train_or_check(config, config.out, silent, resume=resume, dry_run=dry_run)
