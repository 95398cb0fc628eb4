"""What is read of TRL's trainers, as types: TRL's own are not checked."""

from typing import Any, Protocol


class Trainer(Protocol):
    """Any trainer of TRL's."""

    args: Any
    model: Any
    state: Any
    """Transformers' `TrainerState`: steps done, steps of the run, what was logged."""
    accelerator: Any
    train_dataset: Any

    def train(self, resume_from_checkpoint: str | None = None) -> Any:
        """Train, from a checkpoint on if one is named."""

    def save_model(self, output_dir: str | None = None) -> None:
        """Write the weights, or the adapter, whole."""

    def add_callback(self, callback: Any) -> None:
        """Have a callback called from now on."""

    def remove_callback(self, callback: Any) -> None:
        """Call a callback no longer."""


class GroupTrainer(Trainer, Protocol):
    """TRL's GRPO trainer, or ours on top of it."""

    temperature: float
    top_p: float
    max_completion_length: int
    use_vllm: bool
    rollout_func: Any
    model_wrapped: Any
    control: Any
    callback_handler: Any
    is_fsdp_enabled: bool
    is_deepspeed_enabled: bool
    _metrics: dict[str, dict[str, list[float]]]
    """Lists of numbers by `train` or `eval` and by name; each is logged by its mean."""
    _tokenizer: Any
    _train_batch_size: int

    def _save_checkpoint(self, model: Any, trial: Any) -> None: ...

    def _get_train_sampler(self, dataset: Any = None) -> Any: ...
