"""Options of TRL's trainers: checked by name, joined with what a run decides itself."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.runtime.hardware import multiplies_bfloat16

OWNED = {
    "output_dir": "out",
    "seed": "seed",
    "report_to": "report_to",
    "save_strategy": "checkpoints.every",
    "save_steps": "checkpoints.every",
    "save_total_limit": "checkpoints.keep",
    "resume_from_checkpoint": "--resume",
    "save_only_model": "nothing: a run goes on from its whole state",
    "ignore_data_skip": "nothing: a run goes on with the prompts that are next",
    "eval_strategy": "evaluation.every",
    "eval_steps": "evaluation.every",
    "do_eval": "evaluation.every",
    "remove_unused_columns": "nothing: the rewards read all columns",
    "completion_only_loss": "nothing: the prompt is never imitated",
    "assistant_only_loss": "nothing: the prompt is never imitated",
}
"""Options that the run sets, and where the configuration says the same."""

AUTO = "auto"
"""Value of `bf16` that leaves it to the machine."""


def trainer_args(
    kind: type[Any], options: Mapping[str, Any], decided: Mapping[str, Any], where: str
) -> Any:
    """Make the arguments of a trainer.

    Args:
        kind: The dataclass of the arguments.
        options: What the configuration says, by the dataclass's own names. `bf16` may also be
            `auto`: on a GPU as the run decides, on a CPU true if it multiplies bfloat16.
        decided: What the run decides; the options win over it but for those in `OWNED`.
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
    chosen = {name: value for name, value in decided.items() if name in known}
    try:
        return kind(**{**chosen, **options})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {' '.join(str(error).split())}") from error
