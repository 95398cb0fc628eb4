"""Prompts that several texts answer: states and gradients are those of a whole reading."""

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PROMPTS = [[0, 3, 4, 7], [3, 5, 6, 7], [0, 3, 4, 7], [3, 5, 6, 7], [3, 5, 6, 7]]
TEXTS = [[8, 9, 10], [8, 9, 0], [11, 9, 10], [12, 13, 14], [8, 0, 0]]
IDS = torch.tensor([prompt + text for prompt, text in zip(PROMPTS, TEXTS, strict=True)])
ATTENTION = (IDS != 0).long()
LABELS = IDS.masked_fill(ATTENTION == 0, -100)
LABELS[:, :4] = -100


class Read:
    """The calls of a model's backbone."""

    def __init__(self, model: Any) -> None:
        self.shapes: list[tuple[int, ...]] = []
        inner = model.base_model.forward

        def forward(*arguments: Any, **named: Any) -> Any:
            self.shapes.append(tuple(named["input_ids"].shape))
            return inner(*arguments, **named)

        model.base_model.forward = forward


def states(model: Any, labels: Any = LABELS, **more: Any) -> Any:
    from quillgraph.rl.cpu_head import last_states

    inputs = {"input_ids": IDS, "attention_mask": ATTENTION, **more}
    return last_states(model, labels, inputs)


def whole(model: Any) -> Any:
    return model.base_model(input_ids=IDS, attention_mask=ATTENTION).last_hidden_state[:, 3:-1]


def test_states_and_gradients_are_those_of_a_whole_reading(tiny_model: Callable[[], Any]) -> None:
    shared, apart = tiny_model().train(), tiny_model().train()
    read, mask = Read(shared), (LABELS != -100)[:, 4:]
    once, expected = states(shared), whole(apart)
    pull = torch.randn(once.shape)
    (once * pull)[mask].sum().backward()
    (expected * pull)[mask].sum().backward()

    assert read.shapes == [(2, 4), (5, 2)]  # two prompts, and the texts but for their last tokens
    torch.testing.assert_close(once[mask], expected[mask], atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(shared.parameters(), apart.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)


def test_what_is_not_given_does_not_count(tiny_model: Callable[[], Any]) -> None:
    model = tiny_model()
    read = Read(model)
    states(model, inputs_embeds=None)

    assert read.shapes == [(2, 4), (5, 2)]


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(IDS, id="prompts are learned from"),
        pytest.param(torch.full_like(IDS, -100), id="nothing is"),
        pytest.param(LABELS.where(torch.arange(7) == 6, torch.tensor(-100)), id="one token is"),
    ],
)
def test_where_there_is_no_text_after_a_prompt_all_is_read(
    labels: Any, tiny_model: Callable[[], Any]
) -> None:
    model = tiny_model()
    read = Read(model)

    assert states(model, labels).shape[:2] == (5, 6)
    assert read.shapes == [(5, 7)]


def test_prompts_that_differ_are_read_each(tiny_model: Callable[[], Any]) -> None:
    from quillgraph.rl.cpu_head import last_states

    model = tiny_model()
    read = Read(model)
    last_states(model, LABELS[:2], {"input_ids": IDS[:2], "attention_mask": ATTENTION[:2]})

    assert read.shapes == [(2, 7)]


def _dropping(model: Any) -> Any:
    model.config.attention_dropout = 0.1
    return model


def _adapted(model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(lora_dropout=0.1, target_modules="all-linear")
    return get_peft_model(model, lora).get_base_model()


def _recomputing(model: Any) -> Any:
    model.gradient_checkpointing_enable()
    return model


def _looking_back(model: Any) -> Any:
    model.config.layer_types = ["full_attention", "sliding_attention"]
    model.config.sliding_window, model.base_model.has_sliding_layers = 4, True
    return model


def _with_a_state(model: Any) -> Any:
    model._is_stateful = True
    return model


@pytest.mark.parametrize("make", [_dropping, _adapted, _recomputing, _looking_back, _with_a_state])
def test_prompts_are_not_shared_where_that_would_be_another_computation(
    make: Callable[[Any], Any], tiny_model: Callable[[], Any]
) -> None:
    model = make(tiny_model()).train()
    read = Read(model)
    states(model)

    assert read.shapes == [(5, 7)]


def test_dropout_is_no_hindrance_where_nothing_is_dropped(tiny_model: Callable[[], Any]) -> None:
    model = _dropping(tiny_model()).eval()
    read = Read(model)
    states(model)

    assert read.shapes == [(2, 4), (5, 2)]
