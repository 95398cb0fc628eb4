"""The whole of a training run: requests and criteria in, an adapter and its record out."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # else every trainer of TRL reports itself

from quillgraph.backends.errors import ConfigError
from quillgraph.rl.config.run import TrainConfig, load_config
from quillgraph.rl.processes import Notify, are_several, processes
from quillgraph.rl.run.run import Run, prepare

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")
"""What a training needs beside the package itself."""

TRL_MINOR = "1.16"
"""The version that the trainers are built upon; another one may have other methods."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run has made."""

    adapter: Path
    """Folder of the trained adapter, or of the model if all its weights were trained."""
    curves: Path | None
    """Picture of the curves; None where matplotlib is not installed."""


def train(
    config: TrainConfig | Path,
    folder: Path | None = None,
    *,
    resume: bool = False,
    tell: Notify = logger.info,
) -> TrainingResult:
    """Train a model by criteria, through the stages that the configuration names.

    Args:
        config: What is trained, on what, and how; or the YAML file that says so.
        folder: The run's folder, in which all lies that the run leaves; None takes `out` of the
            configuration.
        resume: Whether to go on where an earlier run in the folder has stopped.
        tell: Told what is being done.

    Raises:
        InputError: If the file cannot be read.
        ConfigError: If something in the configuration does not fit, no folder is named, or a
            package is missing.
        QuillError: Whatever ends a run early; the newest checkpoint is whole.
    """
    if isinstance(config, Path):
        config = load_config(config)
    folder = folder or config.out
    if folder is None:
        raise ConfigError(
            "expected a folder for the run, got none; name it as out: in the configuration, or as "
            "folder="
        )
    require_packages()
    run = prepare(config, folder, tell)
    try:
        # here, so that what is wrong with a run is said before seconds are spent on imports
        from quillgraph.rl.monitors.curves import draw_curves
        from quillgraph.rl.stages.rl import rl_stage
        from quillgraph.rl.stages.sft import sft_stage

        if config.sft is not None and not _finished(run, "sft", resume):
            sft_stage(run, resume=resume)
        if config.rl is not None:
            rl_stage(run, resume=resume)
        adapter = folder / "adapter" if config.rl else folder / "sft" / "adapter"
        is_first = not are_several() or processes().is_main_process
        return TrainingResult(adapter, draw_curves(folder) if is_first else None)
    finally:
        asyncio.run(run.aclose())


def require_packages() -> None:
    """See that what trains is installed.

    Raises:
        ConfigError: If a package is missing, or TRL is of another version than we build upon.
    """
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise ConfigError(
            f"training needs {', '.join(missing)}, not installed here; pip install 'quillgraph[rl]'"
        )
    if not version("trl").startswith(f"{TRL_MINOR}."):
        raise ConfigError(
            f"expected trl {TRL_MINOR}, got {version('trl')}; pip install 'quillgraph[rl]'"
        )


def check(config: TrainConfig, folder: Path, tell: Notify) -> None:
    """Check everything and train nothing: `--dry-run`.

    The trainer of reinforcement is made; no engine is started and no episode is collected.

    Raises:
        QuillError: If something that is named is not there, or does not fit.
    """
    run = prepare(config, folder, tell)
    try:
        if config.sft is not None:
            from quillgraph.rl.config.episodes import load_episodes

            load_episodes(config.sft.episodes)
        if config.rl is not None:
            from quillgraph.rl.monitors.timer import Clock
            from quillgraph.rl.run.arguments import rl_arguments
            from quillgraph.rl.stages.rl import rl_trainer

            with TemporaryDirectory() as scratch:  # trainers make their folder
                rl_trainer(run, rl_arguments(config, Path(scratch)), (), Clock())
    finally:
        asyncio.run(run.aclose())


def _finished(run: Run, stage: str, resume: bool) -> bool:
    """Whether an earlier run has been through a stage; its adapter is then taken up."""
    folder = run.folder / stage / "adapter"
    if not resume or not (folder / "quillgraph.json").exists():
        return False
    run.policy.take_up(folder)
    run.tell(f"{stage} was finished before")
    return True
