"""Scores at the head of a model on a CPU: by hand, beside torch's, and beside TRL's own head."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

IDS = [[3, 4, 7, 8, 9], [3, 5, 7, 9, 1], [3, 6, 8, 8, 2]]
OUTPUTS = ("log_probs", "entropy", "is_top1")
LABELS = [[-100, -100, 7, 8, 9], [-100, -100, -100, 9, 1], [-100, -100, -100, -100, 2]]
"""What is scored of each row: its last three tokens, two, and one."""


@pytest.fixture
def headed(tiny_model: Callable[[], Any]) -> Callable[..., Any]:
    """The tiny model with frozen weights and TRL's head on it, and ours over it where asked."""
    from trl.trainer.utils import add_fused_lm_head

    from quillgraph.rl.cpu_head import score_on_cpu

    def make(
        *,
        ours: bool,
        temperature: float = 1.0,
        bias: bool = False,
        softcap: float | None = None,
        scale: float | None = None,
    ) -> Any:
        model = tiny_model().requires_grad_(False)
        model.config.final_logit_softcapping, model.config.logit_scale = softcap, scale
        if bias:
            weight = model.lm_head.weight
            model.lm_head = torch.nn.Linear(*weight.shape[::-1]).requires_grad_(False)
        add_fused_lm_head(model, temperature=temperature, outputs=OUTPUTS)
        if ours:
            score_on_cpu(SimpleNamespace(model=model, args=None, temperature=temperature))
        return model

    return make


def scored(model: Any, labels: list[list[int]] = LABELS) -> tuple[Any, Any]:
    """Scores of `labels`, and the gradient that their sum gives the embeddings."""
    embedded = model.get_input_embeddings()(torch.tensor(IDS)).requires_grad_()
    out = model(inputs_embeds=embedded, labels=torch.tensor(labels), fused_lm_head=True)
    (out.log_probs * torch.arange(1.0, 5.0)).sum().backward()
    return out, embedded.grad


def test_two_tokens_by_hand() -> None:
    from quillgraph.rl.cpu_head import HeadScores

    hidden = torch.tensor([[math.log(3) / 2]], requires_grad=True)  # odds of 3 to 1 for token 0
    weight = torch.tensor([[1.0], [-1.0]])
    logps, entropies, is_top = HeadScores.apply(hidden, weight, torch.tensor([0]), 1.0)
    logps.sum().backward()

    assert is_top.item()
    assert logps.item() == pytest.approx(math.log(0.75))
    assert entropies.item() == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert hidden.grad.item() == pytest.approx(1.0 - (0.75 - 0.25))


@pytest.mark.parametrize("count", [1, 127, 128, 300])
def test_scores_and_gradient_are_those_of_log_softmax(count: int) -> None:
    from quillgraph.rl.cpu_head import HeadScores

    torch.manual_seed(0)
    weight, targets = torch.randn(50, 16), torch.randint(0, 50, (count,))
    ours, theirs = (torch.randn(count, 16, generator=torch.manual_seed(1)) for _ in range(2))
    ours.requires_grad_()
    theirs.requires_grad_()
    pull = torch.randn(count)
    logps, entropies, is_top = HeadScores.apply(ours, weight, targets, 0.7)
    (logps * pull).sum().backward()
    whole = (theirs @ weight.t() / 0.7).log_softmax(-1)
    expected = whole.gather(-1, targets[:, None])[:, 0]
    (expected * pull).sum().backward()

    torch.testing.assert_close(logps, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(entropies, -(whole.exp() * whole).sum(-1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-5)
    assert torch.equal(is_top, whole.argmax(-1) == targets)


def test_of_two_likeliest_tokens_the_first_is_the_likeliest() -> None:
    from quillgraph.rl.cpu_head import HeadScores

    same = torch.ones(3, 2)
    _, _, is_top = HeadScores.apply(torch.ones(2, 2), same, torch.tensor([0, 1]), 1.0)

    assert is_top.tolist() == [True, False]


def test_in_bfloat16_scores_are_float32_and_near() -> None:
    from quillgraph.rl.cpu_head import HeadScores

    torch.manual_seed(0)
    hidden, weight = torch.randn(200, 64, requires_grad=True), torch.randn(500, 64) / 8
    targets = torch.randint(0, 500, (200,))
    exact, spread, _ = HeadScores.apply(hidden, weight, targets, 1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logps, entropies, _ = HeadScores.apply(hidden, weight, targets, 1.0)

    assert logps.dtype == entropies.dtype == torch.float32
    torch.testing.assert_close(logps, exact, atol=0.05, rtol=0)
    torch.testing.assert_close(entropies, spread, atol=0.05, rtol=0)


def test_in_bfloat16_the_gradient_of_a_token_that_is_nearly_sure_is_as_exact_as_any() -> None:
    from quillgraph.rl.cpu_head import HeadScores

    torch.manual_seed(0)
    weight = (torch.randn(500, 64) / 8).bfloat16().float()
    targets = torch.randint(0, 500, (200,))
    sureness = torch.linspace(0, 20, 200)[:, None]
    hidden = (torch.randn(200, 64) + sureness * weight[targets]).bfloat16().float()
    hidden.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logps, _, _ = HeadScores.apply(hidden, weight, targets, 1.0)
        logps.sum().backward()
    probs = torch.mm(hidden.detach().bfloat16(), weight.bfloat16().t()).float().softmax(-1)
    exact = (torch.nn.functional.one_hot(targets, 500) - probs) @ weight

    left = 1 - probs.gather(-1, targets[:, None])[:, 0]
    counts = left > 1e-4  # below, float32 has no digits for 1 - p
    assert left[counts].min() < 1e-3
    errors = (hidden.grad - exact).norm(dim=-1) / exact.norm(dim=-1)
    assert errors[counts].max() < 0.02


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_a_model_scores_as_under_trls_head(headed: Callable[..., Any], temperature: float) -> None:
    theirs, their_gradient = scored(headed(ours=False, temperature=temperature))
    ours, our_gradient = scored(headed(ours=True, temperature=temperature))

    assert (theirs.log_probs != 0).sum() == 6
    torch.testing.assert_close(ours.log_probs, theirs.log_probs, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours.entropy, theirs.entropy, atol=1e-6, rtol=1e-5)
    for name in ("is_top1", "label_mask"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name))
    assert their_gradient.abs().max() > 1e-3
    torch.testing.assert_close(our_gradient, their_gradient, atol=1e-5, rtol=1e-5)


def test_only_what_is_learned_from_is_scored(
    headed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from quillgraph.rl import cpu_head

    counts = []
    whole = cpu_head.HeadScores.apply

    def counted(hidden: Any, *rest: Any) -> Any:
        counts.append(len(hidden))
        return whole(hidden, *rest)

    monkeypatch.setattr(cpu_head.HeadScores, "apply", counted)
    scored(headed(ours=True))

    assert counts == [6]


def test_a_batch_with_nothing_to_score_gives_a_gradient_of_zero(
    headed: Callable[..., Any],
) -> None:
    out, gradient = scored(headed(ours=True), [[-100] * 5] * 3)

    assert not out.log_probs.any()
    assert not gradient.any()


@pytest.mark.parametrize("changed", [{"bias": True}, {"softcap": 0.2}, {"scale": 0.5}])
def test_heads_that_do_more_keep_trls(headed: Callable[..., Any], changed: dict[str, Any]) -> None:
    torch.manual_seed(3)
    theirs, their_gradient = scored(headed(ours=False, **changed))
    torch.manual_seed(3)
    ours, our_gradient = scored(headed(ours=True, **changed))

    assert torch.equal(ours.log_probs, theirs.log_probs)
    assert torch.equal(our_gradient, their_gradient)
    plain, _ = scored(headed(ours=True))
    assert not torch.allclose(ours.log_probs, plain.log_probs, atol=1e-3)


def test_a_trained_head_gets_its_gradient(headed: Callable[..., Any]) -> None:
    model = headed(ours=True)
    model.lm_head.weight.requires_grad_()
    scored(model)

    assert model.lm_head.weight.grad.abs().max() > 0


def test_the_model_still_writes(headed: Callable[..., Any]) -> None:
    begun = torch.tensor(IDS)
    texts = [
        headed(ours=each).generate(begun, max_new_tokens=4, do_sample=False)
        for each in (True, False)
    ]

    assert torch.equal(*texts)


@pytest.mark.parametrize(
    ("more", "module"),
    [
        ({}, "quillgraph.rl.cpu_head"),
        ({"entropy_coef": 0.01}, "trl.trainer.utils"),
        ({"use_adaptive_entropy": True}, "trl.trainer.utils"),
        ({"cast_lm_head_to_fp32": True}, "trl.trainer.utils"),
    ],
)
def test_the_trainer_takes_this_head_where_it_has_all_gradients(
    more: dict[str, Any],
    module: str,
    tiny_model: Callable[[], Any],
    tokenizer: Any,
    prompts: Any,
    options: dict[str, Any],
) -> None:
    from peft import LoraConfig

    from quillgraph.rl.mrpo.config import MRPOConfig
    from quillgraph.rl.mrpo.trainer import MRPOTrainer

    trainer = MRPOTrainer(
        tiny_model(),
        args=MRPOConfig(**options, **more),
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
        train_dataset=prompts,
        processing_class=tokenizer,
        peft_config=LoraConfig(target_modules="all-linear"),
    )

    forward = trainer.model.get_base_model().forward
    assert forward.__func__.__globals__["__name__"] == module


def test_imitation_learns_and_tells_the_same_as_under_trls_head(
    tiny_model: Callable[[], Any], tokenizer: Any, options: dict[str, Any]
) -> None:
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from quillgraph.rl.cpu_head import score_on_cpu

    rows = [
        {
            "prompt": [{"role": "user", "content": "sea song"}],
            "completion": [{"role": "assistant", "content": text}],
        }
        for text in ("moon light", "rain", "stone bird door night", "sun")
    ]
    same = options | {"completion_only_loss": True, "per_device_train_batch_size": 4}
    for name in ("num_generations", "max_completion_length"):
        del same[name]
    logged = []
    for ours in (False, True):
        torch.manual_seed(1)
        trainer = SFTTrainer(
            tiny_model(),
            args=SFTConfig(**same),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=4, target_modules="all-linear"),
        )
        if ours:
            score_on_cpu(trainer)
        trainer.train()
        logged.append([each for each in trainer.state.log_history if "loss" in each])

    theirs, mine = logged
    assert len(theirs) == 3
    assert theirs[0]["loss"] - theirs[-1]["loss"] > 1e-4
    for name in ("loss", "grad_norm", "entropy", "mean_token_accuracy", "num_tokens"):
        assert [each[name] for each in mine] == pytest.approx(
            [each[name] for each in theirs], abs=1e-5
        )
