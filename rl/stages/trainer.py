"""What both stages do with TRL's trainers: training that resumes, and a policy that is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PrinterCallback

from quillgraph.backends.errors import OutOfMemory, StorageError
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
    """Train, from the newest checkpoint on if there is one.

    Raises:
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
            "bf16: true, and this CPU is not known to multiply bfloat16: where it emulates that, "
            "a step takes several times as long; bf16: auto takes float32 here"
        )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(MetricsLog(Lines(run.folder / "metrics.jsonl"), stage, run.tell, extra))
    trainer.add_callback(CheckpointCallback(checkpoints))
    trainer.add_callback(Evaluating(run, stage))
    try:
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(_too_large(error, stage)) from error
    except (OSError, RuntimeError, SafetensorError) as error:
        raise _translated(error, checkpoints, stage) from error
    finally:
        if them.is_main_process:
            checkpoints.clear_scratch()


def save_policy(run: Run, trainer: Trainer, folder: Path) -> None:
    """Write what was trained, whole also where it is sharded among processes.

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
    """Have the sampler go on with the order that it would have had.

    TRL's sampler draws each epoch's order from one random state, which no checkpoint holds: after
    a resume it would begin with the first epoch's order again. So the epochs that are done are
    drawn once more.
    """
    fresh = getattr(trainer, "_get_train_sampler", None)
    if fresh is None or not epochs:
        return

    def wound_on(*arguments: Any, **options: Any) -> Any:
        sampler = fresh(*arguments, **options)
        for _ in range(epochs):
            for _ in sampler:
                pass
        return sampler

    trainer._get_train_sampler = wound_on


def _translated(error: Exception, checkpoints: Checkpoints, stage: str) -> Exception:
    """An error of torch or of the disk in words that say what to do."""
    if isinstance(error, StorageError):
        return error
    message = str(error)
    if "alloc" in message and "memory" in message:
        return OutOfMemory(_too_large(error, stage))
    if _is_of_disk(error):
        return StorageError(
            f"cannot write a checkpoint to {checkpoints.folder}: {message}; earlier "
            "checkpoints are intact: free disk space and go on with --resume"
        )
    return error


def _is_of_disk(error: Exception) -> bool:
    """Whether a file could not be written, in the words of who writes it."""
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
