"""A training in the folder that keeps its run."""

from pathlib import Path
from typing import Any

from quillgraph.backends.errors import ConfigError, GuardTripped
from quillgraph.graphs.supervision import RunFolder
from quillgraph.rl.config import TrainConfig
from quillgraph.rl.processes import Notify
from quillgraph.rl.stages.pipeline import check, train


def train_in(
    folder: RunFolder, config: TrainConfig, tell: Notify, *, resume: bool, dry_run: bool
) -> dict[str, Any]:
    """Train, or check that it could be done, and write down how it went.

    Args:
        folder: Keeps the run.
        config: What is trained, on what, and how.
        tell: Told what is being done.
        resume: Go on from the last checkpoint.
        dry_run: Check everything and train nothing.

    Returns:
        Whether there was a training, and where its adapter and curves are.

    Raises:
        QuillError: Whatever ends the run early, after its folder has been told.
    """
    try:
        result = train_or_check(config, folder.path, tell, resume=resume, dry_run=dry_run)
    except BaseException as error:
        folder.end_early(error, {GuardTripped: "stopped by a guard"})
        raise
    folder.finish("checked" if dry_run else "done")
    return result


def train_or_check(
    config: TrainConfig, folder: Path, tell: Notify, *, resume: bool, dry_run: bool
) -> dict[str, Any]:
    """Train in a folder that another process keeps, or check that it could be done."""
    if dry_run:
        check(config, folder, tell)
        tell("everything is there: nothing was trained")
        return {"trained": False}
    outcome = train(config, folder, resume=resume, tell=tell)
    tell(f"adapter: {outcome.adapter}")
    if outcome.curves is None:
        tell("no picture of the curves: pip install 'quillgraph[plot]'")
    curves = outcome.curves and str(outcome.curves)
    return {"trained": True, "adapter": str(outcome.adapter), "curves": curves}


def training_folder(config: TrainConfig, file: Path, *, resume: bool, dry_run: bool) -> RunFolder:
    """Make the folder of a training, or open the one of a training that goes on.

    Args:
        config: Names it as `out`; a new training without gets one under `runs`.
        file: The configuration, kept with the run.
        resume: Whether the training goes on.
        dry_run: Whether it is only checked, which the folder's name says.

    Raises:
        ConfigError: If a training that goes on names no folder, or a new one holds something.
        InputError: If no run is kept in the folder of a training that goes on.
    """
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
