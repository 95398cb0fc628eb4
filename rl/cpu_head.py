"""Log-probabilities of completion tokens on a CPU: score each position once, read each prompt once.

Experimental: it relies on private names of TRL 1.16 (`FusedCausalLMOutput`, the `fused_lm_head` of
a patched forward pass, `_entropy_bonus_enabled`) and of Transformers 5.16 to 5.19 (`DynamicLayer`,
`_is_stateful`). For a model, a device or an option that it does not know, TRL's own head scores:
the run is slower and its results are the same.

Without Triton, TRL's head scores every position of a batch, prompts and padding included, and
computes the probabilities of all tokens twice, once in each direction. That was two thirds of an
update in bfloat16. Here only the labelled positions are scored, and once: the forward pass keeps
what the backward pass needs.

The texts of a group share their prompt, and TRL reads it once for each text. Here the model reads
it once, and the texts continue from its keys and values, which carry their gradients back into it.
"""

import functools
from types import MethodType
from typing import Any, Final

import torch
from accelerate.utils import is_peft_model
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributed.tensor import DTensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from quillgraph.rl.trainers import Trainer


def last_states(model: Any, labels_BL: Tensor, inputs: dict[str, Any]) -> Tensor:
    """Hidden states of all positions that predict a labelled token.

    Args:
        model: A causal language model of Transformers.
        labels_BL: Tokens to score, -100 elsewhere, shape (B, L).
        inputs: Inputs of the model by name.

    Returns:
        Shape (B, T, H): the last T of the L - 1 positions that have a token after them. Earlier
        ones have no label.
    """
    width = _unlabelled(labels_BL)
    inputs = {name: value for name, value in inputs.items() if value is not None}
    if inputs.keys() == {"input_ids", "attention_mask"} and 0 < width < labels_BL.shape[1] - 1:
        prompts = torch.cat([each[:, :width] for each in inputs.values()], 1)
        prompts, rows_B = prompts.unique(dim=0, return_inverse=True)
        if len(prompts) < len(rows_B) and _can_go_on(model):
            return _going_on(model.base_model, inputs, prompts, rows_B)
    whole_BLH: Tensor = model.base_model(**inputs | {"use_cache": False}).last_hidden_state
    return whole_BLH[:, :-1]


def _unlabelled(labels_BL: Tensor) -> int:
    """Leading columns in which no row has a label."""
    has_label_L = (labels_BL != -100).any(0)
    return int(has_label_L.int().argmax()) if has_label_L.any() else len(has_label_L)


def _can_go_on(model: Any) -> bool:
    """Whether a text can continue from cached keys and values of its prompt with the same result.

    It cannot where layers have a sliding window or keep a state, where dropout differs between
    readings of a prompt, or where gradient checkpointing computes activations twice.
    """
    if model.training and (model.is_gradient_checkpointing or _drops(model)):
        return False
    cache = DynamicCache(config=model.config)
    return not model._is_stateful and all(type(layer) is DynamicLayer for layer in cache.layers)


def _drops(model: Any) -> bool:
    modules = (each.p for each in model.modules() if isinstance(each, torch.nn.Dropout))
    return bool(getattr(model.config, "attention_dropout", 0)) or any(modules)


def _going_on(backbone: Any, inputs: dict[str, Tensor], prompts: Tensor, rows_B: Tensor) -> Tensor:
    """States of the last prompt position of each row, and of its text."""
    prompt_inputs = dict(zip(inputs, prompts.chunk(2, 1), strict=True))
    cache = DynamicCache(config=backbone.config)
    prompt_out = backbone(**prompt_inputs, past_key_values=cache, use_cache=True)
    cache.batch_select_indices(rows_B)
    text_BT = inputs["input_ids"][:, prompt_inputs["input_ids"].shape[1] : -1]
    attention_BL = inputs["attention_mask"][:, :-1]
    text_out = backbone(
        input_ids=text_BT, attention_mask=attention_BL, past_key_values=cache, use_cache=True
    )
    last_B1H = prompt_out.last_hidden_state[rows_B, -1:]
    return torch.cat([last_B1H, text_out.last_hidden_state], 1)


_TILE: Final = 128
"""Positions scored at a time: their logits, 25 MB for a vocabulary of 49,152, stay near the core.
Of 64, 128 and 256, 128 was fastest (`LOG.md`)."""

_RESHAPING: Final = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
    "output_router_logits",
)
"""Settings of a model that change its logits or return more than them."""


class HeadScores(torch.autograd.Function):  # type: ignore[misc]
    """log π(y) for each position, the entropy of π and whether y is its likeliest token.

    π = softmax(h·Wᵀ / temperature). The gradient of log π(y) by h is Σ_v (1[v = y] - π(v))·W_v /
    temperature: a vector for each position, which the forward pass saves. Entropies are for the
    log: they have no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_NH: Tensor, weight_VH: Tensor, targets_N: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Score positions.

        Args:
            ctx: Context of autograd.
            hidden_NH: Hidden state of each position, shape (N, H).
            weight_VH: Weights of the head, frozen, shape (V, H).
            targets_N: Token written at each position, shape (N,).
            temperature: Divisor of the logits.

        Returns:
            Log-probabilities and entropies in nats, float32, and whether the token is the
            likeliest, all of shape (N,).
        """
        kind, is_learned = hidden_NH.device.type, ctx.needs_input_grad[0]
        is_auto = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if is_auto else hidden_NH.dtype
        weight_VH = weight_VH.to(dtype)
        logps_N = hidden_NH.new_empty(len(targets_N), dtype=torch.float32)
        entropies_N = torch.empty_like(logps_N)
        is_top_N = torch.empty_like(logps_N, dtype=torch.bool)
        pulls_NH = torch.empty_like(hidden_NH, dtype=torch.float32) if is_learned else None
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(targets_N), _TILE):
                tile = slice(start, start + _TILE)
                targets_n1 = targets_N[tile, None]
                logits_nV = torch.mm(hidden_NH[tile].to(dtype), weight_VH.t()).float()
                logits_nV /= temperature
                top_n1, places_n1 = logits_nV.max(-1, keepdim=True)
                probs_nV = (logits_nV - top_n1).exp_()
                sum_n1 = probs_nV.sum(-1, keepdim=True)
                probs_nV /= sum_n1
                total_n1 = top_n1 + sum_n1.log()
                mean_n = torch.linalg.vecdot(probs_nV, logits_nV)
                logps_N[tile] = (logits_nV.gather(-1, targets_n1) - total_n1)[:, 0]
                entropies_N[tile] = total_n1[:, 0] - mean_n
                is_top_N[tile] = (places_n1 == targets_n1)[:, 0]
                if pulls_NH is not None:
                    # subtract before rounding: for a nearly certain token little else remains
                    rest_nV = probs_nV.scatter_add_(-1, targets_n1, -torch.ones_like(sum_n1))
                    pulls_NH[tile] = torch.mm(rest_nV.to(dtype), weight_VH)
        if pulls_NH is not None:
            ctx.save_for_backward(pulls_NH.div_(-temperature))
            ctx.dtype = hidden_NH.dtype
        ctx.mark_non_differentiable(entropies_N, is_top_N)
        return logps_N, entropies_N, is_top_N

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Pass the gradient of the log-probabilities to the hidden states."""
        (pulls_NH,) = ctx.saved_tensors
        return (gradients[0][:, None] * pulls_NH).to(ctx.dtype), None, None, None


def score_on_cpu(trainer: Trainer) -> None:
    """Make a TRL trainer whose model is on a CPU score by `HeadScores`.

    TRL's head stays in use on other devices, with an entropy bonus, a head in float32, a head that
    has a bias or whose weights are trained or sharded, and a model that changes its logits.

    Args:
        trainer: A new trainer, whose model has TRL's head; this replaces the forward pass of that
            model.
    """
    from trl.trainer.utils import (
        FusedCausalLMOutput,
    )  # late: callers check the version of TRL first

    if getattr(trainer, "_entropy_bonus_enabled", False):
        return
    if getattr(trainer.args, "cast_lm_head_to_fp32", False):
        return
    model = trainer.model.get_base_model() if is_peft_model(trainer.model) else trainer.model
    temperature, trl_forward = getattr(trainer, "temperature", 1.0), model.forward

    @functools.wraps(type(model).forward)  # whose signature `generate` reads
    def forward(
        self: Any, *places: Any, fused_lm_head: bool = False, labels: Any = None, **inputs: Any
    ) -> Any:
        head = self.get_output_embeddings()
        is_asked = fused_lm_head and labels is not None and not places
        if not is_asked or not _is_plain(head, self.config, inputs):
            return trl_forward(*places, fused_lm_head=fused_lm_head, labels=labels, **inputs)
        hidden_BTH = last_states(self, labels, inputs)
        labels_BL = labels[:, 1:]
        mask_BL = labels_BL != -100
        mask_BT = mask_BL[:, -hidden_BTH.shape[1] :]
        scores = HeadScores.apply(hidden_BTH[mask_BT], head.weight, labels_BL[mask_BL], temperature)
        # scatter even where nothing is scored, so that the backward pass has a graph
        logps_BL, entropies_BL, is_top_BL = (
            each.new_zeros(mask_BL.shape).masked_scatter(mask_BL, each) for each in scores
        )
        return FusedCausalLMOutput(
            log_probs=logps_BL, entropy=entropies_BL, is_top1=is_top_BL, label_mask=mask_BL
        )

    model.forward = MethodType(forward, model)


def _is_plain(head: Any, config: Any, inputs: dict[str, Any]) -> bool:
    """Whether logits are the product of hidden states and frozen weights, on a CPU."""
    text = config.get_text_config()
    return (
        isinstance(head, torch.nn.Linear)
        and head.bias is None
        and head.weight.device.type == "cpu"
        and not head.weight.requires_grad
        and not isinstance(head.weight, DTensor)
        and not hasattr(head.weight, "ds_id")  # DeepSpeed shards it over processes
        and not any(getattr(text, name, None) for name in _RESHAPING)
        and not {"shift_labels", "num_items_in_batch", "output_router_logits"} & inputs.keys()
    )
