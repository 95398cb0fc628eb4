"""The two stages of training: imitation of good texts, and reinforcement by criteria."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from quillgraph.agents.asking import Role
from quillgraph.backends import connect
from quillgraph.backends.budgets import Budget
from quillgraph.backends.errors import ConfigError, OutOfMemory, StorageError
from quillgraph.graphs.workshop import Workshop
from quillgraph.rl.checkpoints import CheckpointCallback, Checkpoints, Part, step_of
from quillgraph.rl.collecting import collect, judge_or_code
from quillgraph.rl.config import SftConfig
from quillgraph.rl.evaluating import Evaluating
from quillgraph.rl.journal import Journal, Ledger, Lines, Rollouts
from quillgraph.rl.mrpo import MRPOTrainer
from quillgraph.rl.mrpo_config import MRPOConfig
from quillgraph.rl.options import trainer_args
from quillgraph.rl.reward_functions import NAME, criteria_reward, guarded
from quillgraph.rl.rewards import recount_of
from quillgraph.rl.run import Run, function_of
from quillgraph.rl.sft_data import Target, preferences, read_episodes, successes, targets
from quillgraph.rl.timing import Clock


def sft_stage(run: Run, *, resume: bool) -> None:
    """Imitate the best texts of episodes (`ALGORITHM.md` 6.5, stage 1).

    Raises:
        ConfigError: If no episode has anything to imitate.
    """
    config = run.config.sft
    assert config is not None
    found = _targets(run, config)
    checkpoints = _checkpoints(run, "sft", [])
    args = trainer_args(
        SFTConfig,
        config.options,
        {
            **_decided(run, checkpoints),
            "learning_rate": 1e-5,
            "num_train_epochs": 1,
            "completion_only_loss": True,
            "max_length": run.policy.window,
        },
        "sft.options",
    )
    trainer = SFTTrainer(
        model=run.policy.model,
        args=args,
        train_dataset=Dataset.from_list([target.row() for target in found]),
        processing_class=run.policy.tokenizer,
    )
    _train(run, trainer, "sft", checkpoints, Clock(), resume=resume)


def rl_stage(run: Run, *, resume: bool) -> None:
    """Reinforce what the criteria reward (`ALGORITHM.md` 6.5, stage 2)."""
    config = run.config.rl
    assert config is not None
    ledger, clock, rules = Ledger(), Clock(), run.rules
    parts: list[Part] = [ledger, _Judgements(run)]
    checkpoints = _checkpoints(run, "rl", parts)
    is_mrpo = config.algorithm == "mrpo"
    args = trainer_args(
        MRPOConfig if is_mrpo else GRPOConfig,
        config.options,
        {**_decided(run, checkpoints), "learning_rate": 1e-5, "num_generations": 8},
        "rl.options",
    )
    _check_boundaries(args, run.config.checkpoints.every)
    if is_mrpo:  # it has the gate itself, since the texts in memory are judged by it as well
        if rules.diversity:
            raise ConfigError("rewards.rules.diversity: texts in memory have none; use grpo, or 0")
        rules = rules.model_copy(update={"gate": False})
    rewards = criteria_reward(
        run.sets,
        scorer=run.scorer,
        rules=rules,
        observers=[ledger, Rollouts(Lines(run.folder / "rollouts.jsonl"))],
    )
    options: dict[str, Any] = {
        "model": run.policy.model,
        "reward_funcs": [rewards, *map(guarded, map(function_of, run.config.rewards.functions))],
        "args": args,
        "train_dataset": Dataset.from_list(run.rows()),
        "processing_class": run.policy.tokenizer,
    }
    if is_mrpo:
        by_sha = {each.sha256: each for each in run.sets.values()}
        trainer = MRPOTrainer(**options, recount={NAME: recount_of(by_sha, rules)})
        parts.append(Memory(trainer))
    else:
        trainer = GRPOTrainer(**options)
    clock.measure(trainer)
    _train(run, trainer, "rl", checkpoints, clock, resume=resume)
    ledger.save(run.folder)


class Memory:
    """MRPO's memory as a part of a checkpoint."""

    FILE = "memory.json"

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def save(self, folder: Path) -> None:
        """Write it."""
        (folder / self.FILE).write_text(json.dumps(self._trainer.state_dict()), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take it back."""
        text = (folder / self.FILE).read_text(encoding="utf-8")
        self._trainer.load_state_dict(json.loads(text))


class _Judgements:
    """The judge's cache as a part of a checkpoint."""

    FILE = "judgements.sqlite"

    def __init__(self, run: Run) -> None:
        self._cache = run.scorer.cache

    def save(self, folder: Path) -> None:
        self._cache.save(folder / self.FILE)

    def load(self, folder: Path) -> None:
        self._cache.load(folder / self.FILE)


def _targets(run: Run, config: SftConfig) -> tuple[Target, ...]:
    folder, prompt = run.folder / "sft", run.config.data.prompt
    episodes = read_episodes(config.episodes)
    kept = Lines(folder / "episodes.jsonl")
    if not episodes and config.collect is not None:
        if kept.path.exists():
            episodes = read_episodes([kept.path])
        else:
            run.tell(f"collecting episodes of {len(run.requests.train)} requests")
            episodes = asyncio.run(_collect(run, config))
            kept.add([each.model_dump(mode="json") for each in episodes])
    found = targets(
        successes(episodes, config.top_share), prompt=prompt, mix=config.mix, seed=run.config.seed
    )
    counts = {kind: sum(t.kind == kind for t in found) for kind in ("write", "revise", "criticise")}
    run.tell(f"{len(episodes)} episodes give {counts} targets")
    if not found:
        raise ConfigError(
            f"nothing to imitate: in none of {len(episodes)} episodes a text became better; give "
            "sft.episodes of a stronger writer, or raise sft.collect.texts"
        )
    for name, rows in (("targets", found), ("preferences", preferences(episodes, prompt=prompt))):
        path = folder / f"{name}.jsonl"
        path.unlink(missing_ok=True)
        Lines(path).add([row.model_dump(mode="json") for row in rows])
    return found


async def _collect(run: Run, config: SftConfig) -> Any:
    assert config.collect is not None
    named = run.config.rl.rollouts if run.config.rl else None
    spec = config.collect.backend or named or f"transformers:{run.config.model.name}"
    writer, budget = connect(spec), Budget()

    def role(name: str) -> Role:
        return Role(name, writer, run.config.seed, budget)

    workshop = Workshop(
        writer=role("writer"),
        judge=judge_or_code(run.scorer.judge),
        reflector=role("reflector"),
        consolidator=role("consolidator"),
        rounds=config.collect.texts - 1,
        text_tokens=run.completion_tokens,
    )
    try:
        return await collect(run.requests.train, run.sets, workshop, config.collect, run.tell)
    finally:
        await writer.aclose()


def _checkpoints(run: Run, stage: str, parts: list[Part]) -> Checkpoints:
    return Checkpoints(
        folder=run.folder / "checkpoints" / stage,
        keep=run.config.checkpoints.keep,
        facts=run.facts,
        parts=parts,
    )


def _decided(run: Run, checkpoints: Checkpoints) -> dict[str, Any]:
    """What the run decides for both trainers."""
    on_cpu = not torch.cuda.is_available()
    return {
        "output_dir": str(checkpoints.scratch),
        "seed": run.config.seed,
        "report_to": list(run.config.report_to) or "none",
        "save_strategy": "steps",
        "save_steps": run.config.checkpoints.every,
        "logging_steps": 1,
        "disable_tqdm": True,
        "use_cpu": on_cpu,
        "bf16": not on_cpu,
        "gradient_checkpointing": not on_cpu,
        "remove_unused_columns": False,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
    }


def _check_boundaries(args: Any, every: int) -> None:
    """A checkpoint between two generations would lose texts that were paid for."""
    steps = args.steps_per_generation * args.num_iterations // args.gradient_accumulation_steps
    if every % max(1, steps):
        raise ConfigError(
            f"checkpoints.every: expected a multiple of {steps}, the steps that one generation is "
            f"learned from, got {every}"
        )


def _train(
    run: Run, trainer: Any, stage: str, checkpoints: Checkpoints, clock: Clock, *, resume: bool
) -> None:
    """Train, from the newest checkpoint on if there is one.

    Raises:
        OutOfMemory: If the update does not fit the device.
        StorageError: If a checkpoint cannot be written.
    """
    files = [run.folder / name for name in ("metrics.jsonl", "rollouts.jsonl", "samples.jsonl")]
    newest = checkpoints.newest() if resume else None
    trainer.remove_callback(PrinterCallback)
    checkpoints.clear_scratch()
    step = step_of(newest) if newest else 0
    if newest:
        run.tell(f"{stage} goes on after step {step}")
        checkpoints.restore(newest)
    for file in files:
        Lines(file).rewind(stage, step)
    trainer.add_callback(Journal(Lines(files[0]), stage, run.tell, clock.take))
    trainer.add_callback(CheckpointCallback(checkpoints))
    trainer.add_callback(Evaluating(run, stage))
    try:
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(_too_large(error)) from error
    except (OSError, RuntimeError) as error:
        raise _translated(error, checkpoints) from error
    finally:
        checkpoints.clear_scratch()


def _translated(error: Exception, checkpoints: Checkpoints) -> Exception:
    """An error of torch or of the disk in words that say what to do."""
    if isinstance(error, StorageError):
        return error
    said = str(error)
    if "alloc" in said and "memory" in said:
        return OutOfMemory(_too_large(error))
    if isinstance(error, OSError) or "PytorchStreamWriter" in said:
        return StorageError(
            f"cannot write a checkpoint to {checkpoints.folder}: {said}; the ones before are "
            "whole: free some room and go on with --resume"
        )
    return error


def _too_large(error: BaseException) -> str:
    return (
        f"out of memory: {' '.join(str(error).split())[:200]}; lower rl.options."
        "per_device_train_batch_size (and raise gradient_accumulation_steps as much), "
        "max_completion_length or num_generations, set gradient_checkpointing, or take a smaller "
        "model; --resume goes on from the last checkpoint"
    )
