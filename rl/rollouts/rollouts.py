"""Texts for a training step from an inference engine: TRL's `rollout_func`, on any chat backend.

The engine gets the policy as a LoRA adapter before each step and returns the sampled tokens with
their log-probs: these are the old log-probs of the update, and no text is tokenised again. Without
an engine, TRL generates with transformers.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object

from quillgraph.backends.capabilities import require
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import (
    BackendError,
    ConfigError,
    QuillError,
    RewardError,
    ServerFailed,
)
from quillgraph.backends.runtime import BackgroundLoop
from quillgraph.rl.columns import EXCLUDED, TRAJECTORY, key_of
from quillgraph.rl.rollouts.ahead import Ahead, AheadPart, Written, death_of, same_prompts
from quillgraph.rl.rollouts.columns import columns_of
from quillgraph.rl.rollouts.run import RolloutFn
from quillgraph.rl.rollouts.sampling import Sampling, samplings
from quillgraph.rl.trainers import GroupTrainer
from quillgraph.rl.trajectories.rows import Trajectory

logger = logging.getLogger(__name__)


@dataclass
class Rollouts:
    """Runs one step's prompts on an engine, all at once; a trainer takes it as `rollout_func`.

    Args:
        model: The engine; it must return token ids and log-probs and swap adapters.
        folder: Folder of the adapters; the last two stay.
        run: Makes a text for a prompt.
        begin: Called with prompt and trajectory when a text is complete, during generation of the
            others, so that a judge can start. It must return at once.
        sync_every: Optimizer steps between adapter swaps. Texts are at most `sync_every - 1` steps
            behind the policy; their log-probs show how much that matters.
        ahead: From the trainer and a step to the prompts of this process in that step, such as a
            `PromptOrder`. With it the engine writes the texts of the next step during the present
            update: they are exactly one step behind the policy. A step has to be one generation.
            None writes the texts of a step when the step starts.
    """

    model: ChatBackend
    folder: Path
    run: RolloutFn
    begin: Callable[[Any, Trajectory], None] | None = None
    sync_every: int = 1
    ahead: Callable[[Any, int], Sequence[Any]] | None = None
    restarts: int = 0
    """How often the engine was restarted; one restart is allowed."""
    _synced: int | None = None
    """Step whose policy the engine has loaded."""
    _ahead: Ahead | None = None
    _loop: BackgroundLoop = field(default_factory=lambda: BackgroundLoop("quillgraph-rollouts"))

    def __post_init__(self) -> None:
        """Refuse an engine that cannot train.

        Raises:
            ConfigError: Naming what is missing.
        """
        require(self.model, "rollouts", "token_ids", "logprobs", "adapters")
        if self.sync_every < 1:
            raise ConfigError(f"expected sync_every >= 1, got {self.sync_every}")
        if self.ahead is not None and self.sync_every > 1:
            raise ConfigError(
                f"texts written ahead are one step behind already: with ahead= leave sync_every at "
                f"1, got {self.sync_every}"
            )

    @property
    def version(self) -> str:
        """Version of the weights that the engine has loaded."""
        return "base" if self._synced is None else f"step-{self._synced}"

    def __call__(self, prompts: Sequence[Any], trainer: GroupTrainer) -> dict[str, list[Any]]:
        """Write a text for each prompt, in the form that TRL expects.

        Raises:
            ServerFailed: If the engine died twice; a checkpoint is written first.
            RewardError: If no text can be trained on.
        """
        step = trainer.state.global_step
        requests = list(zip(prompts, samplings(prompts, trainer, step), strict=True))
        start = time.perf_counter()
        ready = self._texts_ahead(trainer, step, prompts)
        if ready is None:
            self._sync(trainer)
        sync_end = time.perf_counter()
        ahead = ready or Ahead(step, self._synced or 0, (), self._loop.submit(self._all(requests)))
        outcomes, seconds = ahead.texts.result()
        self._mend(trainer, requests, outcomes)
        columns = columns_of(outcomes, trainer._tokenizer.eos_token_id)
        everyones = gather_object(columns[EXCLUDED])
        if all(everyones):
            raise RewardError(
                f"none of {len(everyones)} rollouts gave a text to train on: {everyones[0]}"
            )
        wait_s = time.perf_counter() - sync_end
        self._log(trainer, columns, seconds, step - ahead.policy)
        sync_end += self._begin(trainer, step + 1)
        metrics = trainer._metrics["train" if trainer.model.training else "eval"]
        metrics["rollouts/sync_s"].append(sync_end - start)
        metrics["rollouts/waited_s"].append(wait_s)
        return columns

    def close(self) -> None:
        """Cancel the texts under way for a step that will not run."""
        if self._ahead is not None:
            self._ahead.texts.cancel()
            self._ahead = None

    def part(self) -> AheadPart:
        """The texts written ahead, as a part of a checkpoint (`AheadPart`)."""

        def put(ahead: Ahead) -> None:
            self._ahead = ahead

        return AheadPart(lambda: self._ahead, put)

    def _texts_ahead(
        self, trainer: GroupTrainer, step: int, prompts: Sequence[Any]
    ) -> Ahead | None:
        """The texts under way for this step, if every process has them for the right prompts."""
        if self.ahead is None or not trainer.model.training:
            return None
        ahead, self._ahead = self._ahead, None
        keys = [key_of(prompt) for prompt in prompts]
        is_right = ahead is not None and same_prompts(ahead, step, keys)
        if all(gather_object([is_right])):
            return ahead
        if ahead is not None:
            logger.warning("the texts written ahead for step %d do not match its prompts", step)
            ahead.texts.cancel()
        return None

    def _begin(self, trainer: GroupTrainer, step: int) -> float:
        """Start the texts of the next step with the present policy.

        Returns:
            Seconds that the engine took to load the policy.
        """
        if self.ahead is None or not trainer.model.training or step >= trainer.state.max_steps:
            return 0.0
        start = time.perf_counter()
        self._sync(trainer)
        prompts = self.ahead(trainer, step)
        requests = list(zip(prompts, samplings(prompts, trainer, step), strict=True))
        keys = tuple(key_of(prompt) for prompt in prompts)
        texts = self._loop.submit(self._all(requests))
        assert self._synced is not None  # `_sync` has just loaded the policy
        self._ahead = Ahead(step, self._synced, keys, texts)
        return time.perf_counter() - start

    def _mend(
        self,
        trainer: GroupTrainer,
        requests: Sequence[tuple[Any, Sampling]],
        outcomes: list[Trajectory | QuillError],
    ) -> None:
        """If the engine died, restart it and write the lost texts again."""
        death: QuillError | None = death_of(outcomes)
        reasons = [each for each in gather_object([death and str(death)]) if each]
        if not reasons:
            return
        if self.model.is_shared and death is None:
            death = ServerFailed(reasons[0])
        at = self._synced
        assert at is not None  # a step starts by loading an adapter
        self._hand_over(trainer, self.folder / f"step-{at}", at, death)
        lost = [n for n, each in enumerate(outcomes) if death and isinstance(each, QuillError)]
        again, _ = self._loop.submit(self._all([requests[number] for number in lost])).result()
        for number, each in zip(lost, again, strict=True):
            outcomes[number] = each
        self._stop_if_dead(trainer, death_of(outcomes))

    async def _all(self, requests: Sequence[tuple[Any, Sampling]]) -> Written:
        start = time.perf_counter()
        outcomes = list(await asyncio.gather(*(self._one(*each) for each in requests)))
        return outcomes, time.perf_counter() - start

    async def _one(self, prompt: Any, sampling: Sampling) -> Trajectory | QuillError:
        try:
            trajectory = await self.run(prompt, self.model, sampling)
        except QuillError as error:
            return error
        if strange := {row.weights_version for row in trajectory.rows} - {self.version}:
            return ServerFailed(
                f"expected texts of weights {self.version!r}, got texts of {sorted(strange)}"
            )
        if self.begin is not None and trajectory.excluded is None:
            self.begin(prompt, trajectory)
        return trajectory

    def _sync(self, trainer: GroupTrainer) -> None:
        step = trainer.state.global_step
        if self._synced is not None and 0 <= step - self._synced < self.sync_every:
            return
        before = self.folder / f"step-{self._synced}"
        path = self._save(trainer, step)
        trainer.accelerator.wait_for_everyone()
        self._hand_over(trainer, path, step)
        for old in set(self.folder.glob("step-*")) - {path, before}:
            shutil.rmtree(old, ignore_errors=True)

    def _save(self, trainer: GroupTrainer, step: int) -> Path:
        if trainer.use_vllm:
            raise ConfigError(
                "use_vllm starts TRL's own engine beside that of the rollouts: set it to False"
            )
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

    def _hand_over(
        self, trainer: GroupTrainer, path: Path, step: int, death: QuillError | None = None
    ) -> None:
        """Load a policy into the engine, and restart the engine first if it has died.

        All processes do so together, or the others would wait for one that stops. If they share an
        engine, the first process loads the adapter for all.
        """
        leads = trainer.accelerator.is_main_process or not self.model.is_shared
        if leads and (death is not None or self._synced != step):
            death = death or self._try_load(path, step)
            if death is not None and not isinstance(death, ConfigError):
                death = self._try_restart(death, path, step)
        self._stop_if_dead(trainer, death if leads else None)
        if not leads:
            self.model.take_up_adapter(f"step-{step}")
        self._synced = step

    def _try_load(self, path: Path, step: int) -> QuillError | None:
        """Load an adapter; return the error, if any."""
        # the backend sets the time limit: the first call starts an engine
        loading = self._loop.submit(self.model.load_adapter(path, f"step-{step}"))
        try:
            loading.result()
        except (BackendError, ConfigError) as error:
            return error
        return None

    def _try_restart(self, death: QuillError, path: Path, step: int) -> QuillError | None:
        """Restart the engine, once in a run; return the error, if any."""
        if self.restarts:
            return death
        self.restarts += 1
        logger.warning("the rollout engine failed (%s); restarting it", death)
        try:
            self._loop.submit(self._restart_engine()).result()
        except BackendError as second:
            return second
        return self._try_load(path, step)

    async def _restart_engine(self) -> None:
        await self.model.aclose()
        await self.model.start()

    def _stop_if_dead(self, trainer: GroupTrainer, death: QuillError | None) -> None:
        """If the engine of any process cannot be restarted, write a checkpoint and raise."""
        failures = gather_object([death and (str(death), isinstance(death, ConfigError))])
        deaths = [each for each in failures if each]
        if not deaths:
            return
        reason, is_wrong = deaths[0]
        if is_wrong:
            raise ConfigError(reason) from death
        step = trainer.state.global_step
        trainer._save_checkpoint(trainer.model, trial=None)
        trainer.callback_handler.on_save(trainer.args, trainer.state, trainer.control)
        raise ServerFailed(
            f"the rollout engine died again after a restart: {reason}; step {step} is saved as a "
            "checkpoint: resume from it once the engine works (--resume)"
        ) from death

    def _log(
        self, trainer: GroupTrainer, columns: Mapping[str, Any], seconds: float, age: int
    ) -> None:
        metrics = trainer._metrics["train" if trainer.model.training else "eval"]
        trajectories = [each for each in columns[TRAJECTORY] if each is not None]
        tokens = sum(len(row.completion_ids) for each in trajectories for row in each.rows)
        metrics["rollouts/calls"].append(float(sum(len(each.rows) for each in trajectories)))
        metrics["rollouts/generate_s"].append(seconds)
        metrics["rollouts/tokens_per_s"].append(tokens / seconds)
        metrics["rollouts/policy_age"].append(float(age))
        metrics["rollouts/excluded"].append(float(sum(bool(each) for each in columns[EXCLUDED])))
        metrics["rollouts/restarts"].append(float(self.restarts))
