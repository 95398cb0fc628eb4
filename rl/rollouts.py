"""Texts for a training step from an inference engine: TRL's `rollout_func`, on any chat backend.

The engine gets the policy as a LoRA adapter before each step and returns the tokens that it
sampled, with their log-probs: these are the old log-probs of the update, and no text is tokenised
again. Without an engine TRL generates with transformers by itself.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quillgraph.backends.capabilities import require
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import (
    BackendError,
    ConfigError,
    QuillError,
    RewardError,
    ServerFailed,
    Unreachable,
)
from quillgraph.backends.loops import BackgroundLoop
from quillgraph.rl.fresh import EXCLUDED, TRAJECTORY
from quillgraph.rl.rollout_columns import columns_of
from quillgraph.rl.rollout_runs import Run
from quillgraph.rl.sampling import Sampling, samplings
from quillgraph.rl.trajectory import Trajectory

logger = logging.getLogger(__name__)


@dataclass
class Rollouts:
    """Runs one step's prompts on an engine, all at once; give it to a trainer as `rollout_func`.

    Args:
        model: The engine; it must return token ids and log-probs and swap adapters.
        folder: Where adapters are written; the last two stay.
        run: How a text comes about.
        begin: Called with prompt and trajectory as each text is done, while others are still being
            written: a judge can begin. It must return at once.
        sync_every: Optimizer steps between adapter swaps. Texts are at most `sync_every - 1` steps
            behind the policy; their log-probs tell by how much that matters.
    """

    model: ChatBackend
    folder: Path
    run: Run
    begin: Callable[[Any, Trajectory], None] | None = None
    sync_every: int = 1
    restarts: int = 0
    """How often the engine was started again; once is borne."""
    _synced: int | None = None
    """Step whose policy the engine has."""
    _loop: BackgroundLoop = field(default_factory=lambda: BackgroundLoop("quillgraph-rollouts"))

    def __post_init__(self) -> None:
        """Refuse an engine that cannot train.

        Raises:
            ConfigError: Naming what is missing.
        """
        require(self.model, "rollouts", "token_ids", "logprobs", "adapters")
        if self.sync_every < 1:
            raise ConfigError(f"expected sync_every >= 1, got {self.sync_every}")

    @property
    def version(self) -> str:
        """Version of the weights that the engine has."""
        return "base" if self._synced is None else f"step-{self._synced}"

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, list[Any]]:
        """Write a text for each prompt, as TRL asks.

        Raises:
            ServerFailed: If the engine died twice; a checkpoint is written before.
            RewardError: If not one text can be learned from.
        """
        begun = time.perf_counter()
        self._sync(trainer)
        synced = time.perf_counter()
        step = trainer.state.global_step
        asked = list(zip(prompts, samplings(prompts, trainer, step), strict=True))
        done = self._loop.submit(self._all(asked)).result()
        lost = [number for number, each in enumerate(done) if isinstance(each, QuillError)]
        if death := _death(done):
            self._restart(trainer, death)
            again = self._loop.submit(self._all([asked[number] for number in lost])).result()
            for number, each in zip(lost, again, strict=True):
                done[number] = each
            if death := _death(done):
                self._stop(trainer, death)
        columns = columns_of(done, trainer._tokenizer.eos_token_id)
        if all(columns[EXCLUDED]):
            raise RewardError(
                f"none of {len(done)} rollouts gave a text to learn from: {columns[EXCLUDED][0]}"
            )
        self._tell(trainer, columns, synced - begun, time.perf_counter() - synced)
        return columns

    async def _all(self, asked: Sequence[tuple[Any, Sampling]]) -> list[Trajectory | QuillError]:
        return list(await asyncio.gather(*(self._one(*each) for each in asked)))

    async def _one(self, prompt: Any, sampling: Sampling) -> Trajectory | QuillError:
        try:
            made = await self.run(prompt, self.model, sampling)
        except QuillError as error:
            return error
        if strange := {row.weights_version for row in made.rows} - {self.version}:
            return ServerFailed(
                f"expected texts of weights {self.version!r}, the engine says {sorted(strange)}"
            )
        if self.begin is not None and made.excluded is None:
            self.begin(prompt, made)
        return made

    def _sync(self, trainer: Any) -> None:
        step = trainer.state.global_step
        if self._synced is not None and 0 <= step - self._synced < self.sync_every:
            return
        before = self.folder / f"step-{self._synced}"
        path = self._save(trainer, step)
        trainer.accelerator.wait_for_everyone()
        try:
            self._load(path, step)
        except BackendError as error:
            self._restart(trainer, error, path, step)
        for old in set(self.folder.glob("step-*")) - {path, before}:
            shutil.rmtree(old, ignore_errors=True)

    def _save(self, trainer: Any, step: int) -> Path:
        if trainer.use_vllm:
            raise ConfigError("use_vllm starts TRL's own engine beside the rollouts': set it False")
        policy = trainer.accelerator.unwrap_model(trainer.model)
        if not hasattr(policy, "peft_config"):
            raise ConfigError(
                "the policy reaches the rollout engine as a LoRA adapter, and the trainer has "
                "none: give it peft_config=LoraConfig(...), or leave rollout_func out"
            )
        state = None
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        path = self.folder / f"step-{step}"
        if trainer.accelerator.is_main_process:
            policy.save_pretrained(
                path, state_dict=state, selected_adapters=["default"], save_embedding_layers=False
            )
        return path

    def _load(self, path: Path, step: int) -> None:
        # how long it may take is known to the backend: the first time it starts an engine
        self._loop.submit(self.model.load_adapter(path, f"step-{step}")).result()
        self._synced = step

    def _restart(
        self, trainer: Any, error: BaseException, path: Path | None = None, step: int | None = None
    ) -> None:
        """Start the engine again, once in a run, with the adapter that it had."""
        if self.restarts:
            self._stop(trainer, error)
        self.restarts += 1
        logger.warning("the rollout engine failed (%s); it is started again", error)
        at = self._synced if step is None else step
        assert at is not None  # the first thing a step does is to load an adapter
        try:
            self._loop.submit(self._again()).result()
            self._load(path or self.folder / f"step-{at}", at)
        except BackendError as second:
            self._stop(trainer, second)

    async def _again(self) -> None:
        await self.model.aclose()
        await self.model.start()

    def _stop(self, trainer: Any, error: BaseException) -> None:
        """Write a checkpoint, then give up."""
        step = trainer.state.global_step
        trainer._save_checkpoint(trainer.model, trial=None)
        trainer.callback_handler.on_save(trainer.args, trainer.state, trainer.control)
        raise ServerFailed(
            f"the rollout engine died again after it had been started anew: {error}; step {step} "
            f"is saved under {trainer.args.output_dir}, go on from there when the engine is well"
        ) from error

    def _tell(self, trainer: Any, columns: Mapping[str, Any], sync_s: float, run_s: float) -> None:
        metrics = trainer._metrics["train" if trainer.model.training else "eval"]
        made = [each for each in columns[TRAJECTORY] if each is not None]
        tokens = sum(len(row.completion_ids) for each in made for row in each.rows)
        metrics["rollouts/calls"].append(float(sum(len(each.rows) for each in made)))
        metrics["rollouts/sync_s"].append(sync_s)
        metrics["rollouts/generate_s"].append(run_s)
        metrics["rollouts/tokens_per_s"].append(tokens / run_s)
        behind = trainer.state.global_step - (self._synced or 0)
        metrics["rollouts/staleness"].append(float(behind))
        metrics["rollouts/excluded"].append(float(sum(bool(each) for each in columns[EXCLUDED])))
        metrics["rollouts/restarts"].append(float(self.restarts))


def _death(done: Sequence[Trajectory | QuillError]) -> QuillError | None:
    """The failure of the engine itself among the failures, if there is one.

    Where every single text failed it is taken for the engine's, whatever the reason.
    """
    failures = [each for each in done if isinstance(each, QuillError)]
    of_engine = [each for each in failures if isinstance(each, ServerFailed | Unreachable)]
    if of_engine or len(failures) < len(done):
        return next(iter(of_engine), None)
    return failures[0]
