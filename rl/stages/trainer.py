"""Code that both stages share: run a TRL trainer with checkpoints, and save the policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PrinterCallback

from quillgraph.backends.errors import ConfigError, OutOfMemory, QuillError, StorageError
from quillgraph.backends.runtime import multiplies_bfloat16
from quillgraph.rl.monitors.checkpoints import (
    CheckpointCallback,
    Checkpoints,
    Part,
    epochs_of,
    step_of,
)
from quillgraph.rl.monitors.evaluation import Evaluating
from quillgraph.rl.monitors.log import Lines, MetricsLog
from quillgraph.rl.processes import processes
from quillgraph.rl.run.run import Run
from quillgraph.rl.trainers import Trainer

EMPTY = "dataloader does not have a length"
"""What Transformers says where no batch is full and `max_steps` is not set."""


def checkpoints_of(run: Run, stage: str, parts: list[Part]) -> Checkpoints:
    """The checkpoints of a stage."""
    return Checkpoints(
        folder=run.folder / "checkpoints" / stage,
        keep=run.config.checkpoints.keep,
        facts=run.facts,
        parts=parts,
    )


def run_trainer(
    run: Run,
    trainer: Trainer,
    stage: str,
    checkpoints: Checkpoints,
    extra: Callable[[], dict[str, float]],
    *,
    resume: bool,
) -> None:
    """Train; with `resume`, from the newest checkpoint if there is one.

    Raises:
        ConfigError: If not one step was made.
        OutOfMemory: If the update does not fit the device.
        StorageError: If a checkpoint cannot be written.
    """
    them = processes()
    newest = checkpoints.newest() if resume else None
    step = step_of(newest) if newest else 0
    if newest:
        run.tell(f"{stage} goes on after step {step}")
        checkpoints.restore(newest)
        _wind_on(trainer, epochs_of(newest))
    if them.is_main_process:
        checkpoints.clear_scratch()
        for name in ("metrics", "rollouts", "samples"):
            Lines(run.folder / f"{name}.jsonl").rewind(stage, step)
    them.wait_for_everyone()
    if trainer.args.bf16 and trainer.args.use_cpu and not multiplies_bfloat16():
        run.tell(
            "warning: bf16 is true, but this CPU probably does not multiply bfloat16 natively: "
            "emulation makes a step several times slower; bf16: auto takes float32 here"
        )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(MetricsLog(Lines(run.folder / "metrics.jsonl"), stage, run.tell, extra))
    trainer.add_callback(CheckpointCallback(checkpoints))
    trainer.add_callback(Evaluating(run, stage))
    try:
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(_too_large(error, stage)) from error
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise _translated(error, checkpoints, stage) from error
    finally:
        if them.is_main_process:
            checkpoints.clear_scratch()
    if not trainer.state.global_step:
        raise ConfigError(_no_step(stage))


def save_policy(run: Run, trainer: Trainer, folder: Path) -> None:
    """Write the trained weights, also where they are sharded over processes.

    Raises:
        StorageError: If the folder cannot be written.
    """
    try:
        trainer.save_model(str(folder))
        if processes().is_main_process:
            run.policy.sign(folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _is_of_disk(error):
            raise
        raise StorageError(f"cannot write the policy to {folder}: {error}") from error


def _wind_on(trainer: Any, epochs: int) -> None:
    """Make the sampler of a resumed run continue with the order of the original run.

    TRL's sampler draws each epoch's order from one random state, which no checkpoint holds: after
    a resume it would repeat the first epoch's order. So this draws the finished epochs again.
    """
    make_sampler = getattr(trainer, "_get_train_sampler", None)
    if make_sampler is None or not epochs:
        return

    def wound_on(*arguments: Any, **options: Any) -> Any:
        sampler = make_sampler(*arguments, **options)
        for _ in range(epochs):
            for _ in sampler:
                pass
        return sampler

    trainer._get_train_sampler = wound_on


def _no_step(stage: str) -> str:
    return (
        f"{stage} made no step, as its rows fill no batch: lower per_device_train_batch_size, or "
        f"leave dataloader_drop_last out of {stage}.options"
    )


def _translated(error: Exception, checkpoints: Checkpoints, stage: str) -> Exception:
    """Turn an error of torch, of the disk or of an empty epoch into one that says what to do."""
    if isinstance(error, QuillError):
        return error
    message = str(error)
    if EMPTY in message:
        return ConfigError(_no_step(stage))
    if "alloc" in message and "memory" in message:
        return OutOfMemory(_too_large(error, stage))
    if _is_of_disk(error):
        return StorageError(
            f"cannot write a checkpoint to {checkpoints.folder}: {message}; earlier "
            "checkpoints are intact: free disk space and go on with --resume"
        )
    return error


def _is_of_disk(error: Exception) -> bool:
    """Whether an error means that a file could not be written; torch raises RuntimeError."""
    of_torch = ("PytorchStreamWriter", "inline_container", "iostream error")
    return isinstance(error, OSError | SafetensorError) or any(
        name in str(error) for name in of_torch
    )


def _too_large(error: BaseException, stage: str) -> str:
    length = "max_completion_length or num_generations" if stage == "rl" else "max_length"
    return (
        f"out of memory: {' '.join(str(error).split())[:200]}; lower {stage}.options."
        "per_device_train_batch_size (and raise gradient_accumulation_steps as much), "
        f"{length}, set gradient_checkpointing, or take a smaller model; --resume goes on from the "
        "last checkpoint"
    )
