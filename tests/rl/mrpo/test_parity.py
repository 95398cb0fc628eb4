"""With replay and anchor off a run of MRPO is a run of TRL's GRPO, through the real trainer."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")


def rarity(completions: list[Any], **_: Any) -> list[float]:
    """Toy reward that differs from text to text."""
    texts = [each[0]["content"].split() for each in completions]
    return [len(set(text)) / 8 for text in texts]


class Watched:
    """Keeps losses and gradients of each step, as they are before the optimizer sees them."""

    def __init__(self, trainer: Any) -> None:
        self.losses: list[float] = []
        self.gradients: list[Any] = []
        inner = trainer.training_step

        def step(model: Any, inputs: Any, count: Any) -> Any:
            loss = inner(model, inputs, count)
            self.losses.append(loss.item())
            grads = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
            self.gradients.append(torch.cat(grads).clone())
            return loss

        trainer.training_step = step


def _trained(trainer: Any) -> tuple[Watched, Any]:
    watched = Watched(trainer)
    trainer.train()
    weights = torch.cat([each.detach().flatten() for each in trainer.model.parameters()])
    return watched, weights


TWICE = {"num_iterations": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
"""Each batch twice, in two parts: in the second pass ratios leave 1 and losses leave 0."""


@pytest.mark.parametrize("is_adapted", [False, True], ids=["whole", "adapter"])
@pytest.mark.parametrize("more", [{}, TWICE], ids=["once", "twice"])
@pytest.mark.parametrize(
    ("loss_type", "scale_rewards", "beta"),
    [
        ("grpo", "group", 0.0),
        ("dr_grpo", "none", 0.0),
        ("dapo", "none", 0.04),
        ("bnpo", "group", 0),
    ],
)
def test_with_replay_and_anchor_off_loss_and_gradient_equal_those_of_trl(
    loss_type: str,
    scale_rewards: str,
    beta: float,
    more: dict[str, Any],
    is_adapted: bool,
    tokenizer: Any,
    prompts: Any,
    options: dict[str, Any],
    tiny_folder: Path,
) -> None:
    from peft import LoraConfig
    from trl import GRPOConfig, GRPOTrainer

    from quillgraph.rl.mrpo.config import MRPOConfig
    from quillgraph.rl.mrpo.trainer import MRPOTrainer

    same = options | more | {"epsilon_high": 0.28, "adam_beta2": 0.95, "max_steps": 4}
    same |= {"loss_type": loss_type, "scale_rewards": scale_rewards, "beta": beta}
    parts = {"reward_funcs": [rarity], "train_dataset": prompts, "processing_class": tokenizer}
    if is_adapted:  # on a CPU our own head is then read
        parts["peft_config"] = LoraConfig(r=4, target_modules="all-linear")
    model = str(tiny_folder)
    theirs, their_weights = _trained(GRPOTrainer(model, args=GRPOConfig(**same), **parts))
    off = MRPOConfig(**same, replay_weight=0, anchor_weight=0)
    ours, our_weights = _trained(MRPOTrainer(model, args=off, **parts))

    assert len(ours.losses) == len(theirs.losses) >= 3
    if more:
        assert max(map(abs, theirs.losses)) > 1e-3  # the comparison would else hold of anything
    assert ours.losses == pytest.approx(theirs.losses, abs=1e-6)
    for mine, other in zip(ours.gradients, theirs.gradients, strict=True):
        assert other.abs().max() > 1e-4
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(our_weights, their_weights, atol=1e-6, rtol=1e-5)
