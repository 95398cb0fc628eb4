"""Is memory worth its cost? A sequence task with an exact judge."""

import statistics
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("trl")

SEEDS = range(5)
MOST_STEPS, TEXTS = 80, 8


def opens_the_door(completions: list[Any], **_: Any) -> list[float]:
    """1 for a text that begins with one of 17 tokens, `door`, else 0: few first texts have it."""
    texts = [each[0]["content"].split() for each in completions]
    return [float(text[:1] == ["door"]) for text in texts]


def test_with_memory_a_rare_success_is_learned_from_fewer_fresh_texts(
    tiny_model: Callable[[], Any], tokenizer: Any, prompts: Any, options: dict[str, Any]
) -> None:
    from transformers import TrainerCallback

    from quillgraph.rl.mrpo.config import MRPOConfig
    from quillgraph.rl.mrpo.trainer import MRPOTrainer

    class Enough(TrainerCallback):  # type: ignore[misc]
        """Ends a run once three quarters of the texts of its last five steps succeed."""

        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            rewards = [each["reward"] for each in state.log_history if "reward" in each]
            control.should_training_stop = statistics.fmean([*[0.0] * 5, *rewards][-5:]) >= 0.75

    def texts_needed(seed: int, replay_weight: float) -> int:
        settings = options | {
            "seed": seed,
            "max_steps": MOST_STEPS,
            "max_completion_length": 2,
            "learning_rate": 3e-3,
            "lr_scheduler_type": "constant",
        }
        run = MRPOTrainer(
            model=tiny_model(),
            reward_funcs=[opens_the_door],
            args=MRPOConfig(
                **settings,
                replay_weight=replay_weight,
                anchor_weight=0.0,
                replay_start=0,
                replay_start_reward=0.0,
            ),
            train_dataset=prompts.select(range(2)),
            processing_class=tokenizer,
            callbacks=[Enough()],
        )
        run.train()
        return int(run.state.global_step) * TEXTS

    with_memory = [texts_needed(seed, 1.0) for seed in SEEDS]
    without = [texts_needed(seed, 0.0) for seed in SEEDS]
    # measured: 283 against 309 texts, and fewer at each of the seeds
    assert max(without) < MOST_STEPS * TEXTS  # both reach the target
    assert statistics.fmean(with_memory) < statistics.fmean(without)
