"""`quillgraph train`: imitate and reinforce what the criteria of writing requests reward."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from quillgraph.backends.errors import ConfigError, GuardTripped, StorageError
from quillgraph.cli.session.folder import RunFolder
from quillgraph.cli.session.progress import log_shown, plain_console
from quillgraph.rl.config import TrainConfig, load_config
from quillgraph.rl.processes import are_several

TRL_MINOR = "1.16"
"""The version that the trainers are built upon; another one may have other methods."""


def run_train(
    config_file: Path,
    changes: Mapping[str, Any],
    *,
    resume: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train what a configuration says, or check that it could be.

    Raises:
        QuillError: Whatever ends the run early, after its folder has been told.
    """
    out = changes.get("out")
    config = load_config(config_file, out=str(out) if out else None, seed=changes.get("seed"))
    _require_packages()
    if are_several():
        return _run_among_others(config, config_file, resume=resume, dry_run=dry_run)
    said = plain_console(sys.stderr)
    folder = _folder(config, config_file, resume=resume, dry_run=dry_run)
    done = _kept(config, folder, said, resume=resume, dry_run=dry_run)
    if as_json:
        sys.stdout.write(json.dumps({"run": str(folder.path), **done}) + "\n")
    said.print(f"run folder: {folder.path}", style="dim")


def _run_among_others(
    config: TrainConfig, config_file: Path, *, resume: bool, dry_run: bool
) -> None:
    """Run as one of several processes, of which the first keeps the folder and speaks."""
    from quillgraph.rl.processes import processes

    if config.out is None:
        raise ConfigError(
            "expected --out with several processes: all of them write to one folder, so name it"
        )
    them, silent = processes(), Console(quiet=True)
    if them.is_main_process:
        folder = _folder(config, config_file, resume=resume, dry_run=dry_run)
        them.wait_for_everyone()
        _kept(config, folder, plain_console(sys.stderr), resume=resume, dry_run=dry_run)
    else:
        them.wait_for_everyone()
        _work(config, config.out, silent, resume=resume, dry_run=dry_run)


def _kept(
    config: TrainConfig, folder: RunFolder, said: Console, *, resume: bool, dry_run: bool
) -> dict[str, Any]:
    """Do the work, and write down how it went."""
    try:
        with log_shown(said):
            done = _work(config, folder.path, said, resume=resume, dry_run=dry_run)
    except BaseException as error:
        _end(folder, error)
        raise
    folder.finish("checked" if dry_run else "done")
    return done


def _work(
    config: TrainConfig, folder: Path, said: Console, *, resume: bool, dry_run: bool
) -> dict[str, Any]:
    from quillgraph.rl.stages import check, train

    if dry_run:
        check(config, folder, said.print)
        said.print("everything is there: nothing was trained")
        return {"trained": False}
    outcome = train(config, folder, resume=resume, tell=said.print)
    said.print(f"adapter: {outcome.adapter}")
    if outcome.curves is None:
        said.print("no picture of the curves: pip install 'quillgraph[plot]'")
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


def _end(folder: RunFolder, error: BaseException) -> None:
    """Write down that a run ended early."""
    stopped = {KeyboardInterrupt: "interrupted", GuardTripped: "stopped by a guard"}
    told = f"{type(error).__name__}: {error}".removesuffix(": ")
    try:
        folder.finish(stopped.get(type(error), "failed"), error=told)
    except StorageError:
        # a disk that is full has ended the run already; another end is told for what it was
        if not isinstance(error, StorageError):
            raise


def _require_packages() -> None:
    needed = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")
    if missing := [package for package in needed if importlib.util.find_spec(package) is None]:
        raise ConfigError(
            f"training needs {', '.join(missing)}, not installed here; pip install 'quillgraph[rl]'"
        )
    if not version("trl").startswith(f"{TRL_MINOR}."):
        raise ConfigError(
            f"expected trl {TRL_MINOR}, got {version('trl')}; pip install 'quillgraph[rl]'"
        )
