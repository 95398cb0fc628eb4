"""A whole training run: from requests and criteria to an adapter and its logs."""

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
"""Packages that training needs beside this one."""

TRL_MINOR = "1.16"
"""The version that the trainers build on; another one may have other methods."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The results of a run."""

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
        config: The configuration, or its YAML file.
        folder: Folder for all files of the run; None takes `out` of the configuration.
        resume: Whether to resume an earlier run in the folder.
        tell: Receives progress messages.

    Raises:
        InputError: If the file cannot be read.
        ConfigError: If something in the configuration does not fit, no folder is named, or a
            package is missing.
        QuillError: If the run ends early; the newest checkpoint is complete.
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
        # here, so that errors in a run show before these imports, which take seconds
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
    """Check that the packages for training are installed.

    Raises:
        ConfigError: If a package is missing, or TRL has another version than we build on.
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

    It makes the RL trainer, but starts no engine and collects no episode.

    Raises:
        QuillError: If something in the configuration does not exist or does not fit.
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
    """Whether an earlier run finished a stage; if so, load its adapter."""
    folder = run.folder / stage / "adapter"
    if not resume or not (folder / "quillgraph.json").exists():
        return False
    run.policy.take_up(folder)
    run.tell(f"{stage} was finished before")
    return True
