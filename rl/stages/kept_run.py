"""A training run in its run folder."""

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
    """Train, or only check the configuration, and record the outcome in the run folder.

    Args:
        folder: Folder of the run.
        config: Configuration of the run.
        tell: Receives progress messages.
        resume: Resume from the last checkpoint.
        dry_run: Check everything and train nothing.

    Returns:
        Whether it trained, and the paths of the adapter and the curves.

    Raises:
        QuillError: If the run ends early; the folder records why.
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
    """Train, or only check the configuration, in a folder that the caller manages."""
    if dry_run:
        check(config, folder, tell)
        tell("all checks passed; nothing was trained")
        return {"trained": False}
    outcome = train(config, folder, resume=resume, tell=tell)
    tell(f"adapter: {outcome.adapter}")
    if outcome.curves is None:
        tell("no picture of the curves: pip install 'quillgraph[plot]'")
    curves = outcome.curves and str(outcome.curves)
    return {"trained": True, "adapter": str(outcome.adapter), "curves": curves}


def training_folder(config: TrainConfig, file: Path, *, resume: bool, dry_run: bool) -> RunFolder:
    """Make the folder of a new training run, or open that of a run to resume.

    Args:
        config: Names the folder as `out`; a new run without `out` gets one under `runs`.
        file: The configuration file, copied into a new folder.
        resume: Whether to resume a run.
        dry_run: Whether the run is only a check; the folder's name then says so.

    Raises:
        ConfigError: If no folder is named to resume, or the folder of a new run is not empty.
        InputError: If the folder to resume holds no run.
    """
    settings = config.model_dump(mode="json")
    if not resume:
        title = file.stem + ("-dry-run" if dry_run else "")
        folder = RunFolder(config.out, title, settings)
        folder.write_text("config.yaml", file.read_text(encoding="utf-8"))
        return folder
    if config.out is None:
        raise ConfigError(
            "expected the folder of the run to resume: name it as out: in the configuration or "
            "with --out"
        )
    folder = RunFolder.reopened(config.out)
    folder.note(settings=settings)
    return folder
