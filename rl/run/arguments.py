"""Arguments of the stages' trainers, from the configuration alone.

They combine the user's options, checked by name, with those that a run sets itself. Errors show
before any criteria are generated and before the first stage starts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError
from transformers.integrations import get_available_reporting_integrations
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from trl import GRPOConfig, SFTConfig

from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.runtime import multiplies_bfloat16
from quillgraph.rl.config.run import LENGTH, TrainConfig
from quillgraph.rl.mrpo.config import UNCUT, MRPOConfig, changed

OWNED = {
    "output_dir": "out",
    "seed": "seed",
    "report_to": "report_to",
    "save_strategy": "checkpoints.every",
    "save_steps": "checkpoints.every",
    "save_total_limit": "checkpoints.keep",
    "resume_from_checkpoint": "--resume",
    "save_only_model": "nothing: a run resumes from its whole state",
    "ignore_data_skip": "nothing: a run resumes with the next prompts",
    "eval_strategy": "evaluation.every",
    "eval_steps": "evaluation.every",
    "do_eval": "evaluation.every",
    "remove_unused_columns": "nothing: the rewards read all columns",
    "completion_only_loss": "nothing: the prompt is never imitated",
    "assistant_only_loss": "nothing: the prompt is never imitated",
}
"""Options that the run sets, and the setting of the configuration to use instead."""

AUTO = "auto"
"""Value of `bf16` that decides by the hardware."""


def trainer_args(
    kind: type[Any], options: Mapping[str, Any], decided: Mapping[str, Any], where: str
) -> Any:
    """Make the arguments of a trainer.

    Args:
        kind: The dataclass of the arguments.
        options: Options of the configuration, by the dataclass's own names. `bf16` may also be
            `auto`: on a GPU the run's value, on a CPU true if the CPU multiplies bfloat16.
        decided: Defaults of the run, which options override; those in `OWNED` cannot be set.
        where: The section of the configuration, for messages.

    Raises:
        ConfigError: On an unknown option, one that is set elsewhere, or values that contradict
            each other.
    """
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    for name in options:
        if name in OWNED:
            raise ConfigError(f"{where}.{name}: set {OWNED[name]} instead")
        if name not in known:
            raise ConfigError(f"unknown option '{where}.{name}': {nearest(name, known)}")
    if options.get("bf16") == AUTO:
        on_cpu = options.get("use_cpu", decided.get("use_cpu"))
        options = {**options, "bf16": multiplies_bfloat16() if on_cpu else decided.get("bf16")}
    options = {name: _typed(kind, name, value, where) for name, value in options.items()}
    defaults = {name: value for name, value in decided.items() if name in known}
    try:
        return kind(**{**defaults, **options})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {' '.join(str(error).split())}") from error


def _typed(kind: type[Any], name: str, value: Any, where: str) -> Any:
    """Read an option that YAML has as a string, such as `1e-5`, as the type of its field."""
    texts = value if isinstance(value, list) else [value]
    if not any(isinstance(each, str) for each in texts):
        return value
    hint = get_type_hints(kind)[name]
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise ConfigError(f"{where}.{name}: {reason}, got {value!r}") from error


OF_TRLS_GENERATION = {**UNCUT, "chat_template_kwargs": None, "use_vllm": False}
"""Options of TRL's own generation with their neutral values: an engine gets only temperature,
top_p, length and seed."""

NOT_DETECTED = ("azure_ml", "flyte")
"""Trackers that Transformers accepts but does not detect."""


def rl_arguments(config: TrainConfig, scratch: Path) -> GRPOConfig:
    """Make the arguments of the RL trainer.

    Args:
        config: Configuration of the run.
        scratch: Output folder of the trainer.

    Raises:
        ConfigError: On an option that is unknown, set elsewhere or without effect here, and on
            values that contradict each other.
    """
    stage = config.rl
    assert stage is not None
    args: GRPOConfig = trainer_args(
        MRPOConfig if stage.algorithm == "mrpo" else GRPOConfig,
        stage.options,
        {
            **_of_both(config, scratch),
            "learning_rate": 1e-5,
            "num_generations": 8,
            LENGTH: config.text_tokens,
        },
        "rl.options",
    )
    _check_batches(args, config.checkpoints.every, overlap=stage.overlap)
    if stage.has_engine:
        _refuse_trls_sampling(args)
    else:
        _refuse_reflection(stage.options)
    if (stage.credit != "uniform" or stage.credit_per_role) and args.scale_rewards != "none":
        raise ConfigError(
            "rl.credit and rl.credit_per_role divide advantages among calls, and rl.options."
            f"scale_rewards={args.scale_rewards!r} divides them by a deviation first; set "
            "scale_rewards: none, or leave both out"
        )
    functions = 1 + len(config.rewards.functions)
    if args.reward_weights is not None and len(args.reward_weights) != functions:
        raise ConfigError(
            f"rl.options.reward_weights: expected {functions} weights, of the criteria and then of "
            f"rewards.functions, got {args.reward_weights}"
        )
    return args


def sft_arguments(config: TrainConfig, scratch: Path, window: int | None) -> SFTConfig:
    """Make the arguments of the SFT trainer.

    Args:
        config: Configuration of the run.
        scratch: Output folder of the trainer.
        window: Context length of the model in tokens; None if unknown.

    Raises:
        ConfigError: As `rl_arguments` does.
    """
    assert config.sft is not None
    args: SFTConfig = trainer_args(
        SFTConfig,
        config.sft.options,
        {
            **_of_both(config, scratch),
            "learning_rate": 1e-5,
            "num_train_epochs": 1,
            "completion_only_loss": True,
            "max_length": window,
        },
        "sft.options",
    )
    return args


def check_arguments(config: TrainConfig, folder: Path, requests: int) -> None:
    """Check that the stages' trainers accept the configuration.

    Args:
        config: Configuration of the run.
        folder: Folder of the run.
        requests: Number of requests to train on.

    Raises:
        ConfigError: If they do not, or if the requests do not fill one generation: TRL would leave
            them out and end without a step.
    """
    here = {*get_available_reporting_integrations(), *NOT_DETECTED, "all", "none"}
    for name in config.report_to:
        if name not in INTEGRATION_TO_CALLBACK and name not in here:
            raise ConfigError(
                f"report_to: unknown tracker {name!r}: {nearest(name, INTEGRATION_TO_CALLBACK)}"
            )
        if name not in here:
            raise ConfigError(
                f"report_to: {name} is not installed here; install it, or leave it out, as "
                "metrics.jsonl is always written"
            )
    if config.sft is not None:
        sft_arguments(config, folder, None)
    if config.rl is not None:
        args = rl_arguments(config, folder)
        taken = args.generation_batch_size // args.num_generations
        if requests < taken:
            raise ConfigError(
                f"data.prompts: expected at least {taken} requests to train on, as many as one "
                f"generation takes, got {requests}; lower per_device_train_batch_size or "
                "gradient_accumulation_steps in rl.options"
            )


def _of_both(config: TrainConfig, scratch: Path) -> dict[str, Any]:
    """Values that the run sets for both trainers."""
    on_cpu = not torch.cuda.is_available()
    return {
        "output_dir": str(scratch),
        "seed": config.seed,
        "report_to": list(config.report_to) or "none",
        "save_strategy": "steps",
        "save_steps": config.checkpoints.every,
        "logging_steps": 1,
        "disable_tqdm": True,
        "use_cpu": on_cpu,
        "bf16": not on_cpu,
        "gradient_checkpointing": not on_cpu,
        "remove_unused_columns": False,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
    }


def _refuse_trls_sampling(args: Any) -> None:
    if cuts := changed(args, OF_TRLS_GENERATION):
        raise ConfigError(
            f"rl.options: {cuts} are options of TRL's own generation, but the texts come from an "
            "engine (rl.rollouts, rl.graph or rl.lessons), which takes only temperature, top_p and "
            "max_completion_length; leave them out"
        )


def _refuse_reflection(options: dict[str, Any]) -> None:
    names = [name for name in ("reflect_every", "anchor_weight") if options.get(name)]
    if names:
        raise ConfigError(
            f"rl.options.{names[0]} is about revisions, which an engine writes: set rl.rollouts, "
            "or leave it out"
        )


def _check_batches(args: Any, every: int, *, overlap: bool) -> None:
    """Check that a process has whole groups, and that no checkpoint falls within a generation.

    The gate needs whole groups. A checkpoint within a generation would lose texts that were already
    generated, and a run that resumes from it would differ.
    """
    texts = args.per_device_train_batch_size * args.steps_per_generation
    if texts % args.num_generations:
        raise ConfigError(
            f"rl.options: expected a multiple of num_generations={args.num_generations} texts in a "
            f"process, got {texts}: raise per_device_train_batch_size or "
            "gradient_accumulation_steps"
        )
    steps = args.steps_per_generation * args.num_iterations // args.gradient_accumulation_steps
    if every % max(1, steps):
        raise ConfigError(
            f"checkpoints.every: expected a multiple of {steps}, the steps that one generation is "
            f"learned from, got {every}"
        )
    generation = args.steps_per_generation * args.num_iterations
    if overlap and generation != args.gradient_accumulation_steps:
        raise ConfigError(
            "rl.overlap: texts would be more than one step behind the policy; set "
            "steps_per_generation and num_iterations so that one generation makes one step, got "
            f"{generation} passes over it for {args.gradient_accumulation_steps} of a step"
        )
