"""Types for the parts of TRL's trainers that we use; TRL's own types are not checked."""

from typing import Any, Protocol


class Trainer(Protocol):
    """Any TRL trainer."""

    args: Any
    model: Any
    state: Any
    """Transformers' `TrainerState`: steps done, steps of the run, log history."""
    accelerator: Any
    train_dataset: Any

    def train(self, resume_from_checkpoint: str | None = None) -> Any:
        """Train, from a checkpoint if one is named."""

    def save_model(self, output_dir: str | None = None) -> None:
        """Write all the weights, or the whole adapter."""

    def add_callback(self, callback: Any) -> None:
        """Register a callback."""

    def remove_callback(self, callback: Any) -> None:
        """Remove a callback."""


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
    """Lists of numbers by `train` or `eval` and by name; the log shows the mean of each."""
    _tokenizer: Any
    _train_batch_size: int

    def _save_checkpoint(self, model: Any, trial: Any) -> None: ...

    def _get_train_sampler(self, dataset: Any = None) -> Any: ...
