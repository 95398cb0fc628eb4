"""Log-probabilities of written tokens, read off the head of a model on a CPU.

TRL's head scores every position of a batch where there is no Triton, prompts and padding among
them, and works the probabilities of all tokens out twice, once in each direction. That was two
thirds of an update on a CPU. Here only the positions that are learned from are scored, and once:
what the backward pass needs is known when the probabilities are.
"""

import functools
from types import MethodType
from typing import Any, Final

import torch
from accelerate.utils import is_peft_model
from torch import Tensor
from torch.distributed.tensor import DTensor
from trl.trainer.utils import FusedCausalLMOutput

_TILE: Final = 128
"""Positions scored at a time: their logits, 25 MB for a vocabulary of 49,152, stay near the core.
Of 32, 64, 128, 256 and 640, 128 was fastest (`LOG.md`)."""

_RESHAPING: Final = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
    "output_router_logits",
)
"""Settings of a model that do something to its logits, or ask for more than them."""


class HeadScores(torch.autograd.Function):  # type: ignore[misc]
    """log π(y) for each position, the entropy of π and whether y is its likeliest token.

    π = softmax(h·Wᵀ / temperature). The gradient of log π(y) by h is (W_y - Σ_v π(v)·W_v) /
    temperature: a vector for each position, which the forward pass leaves behind. Entropies are
    for the eye: they have no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_NH: Tensor, weight_VH: Tensor, targets_N: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Score positions.

        Args:
            ctx: Autograd's.
            hidden_NH: What the backbone makes of each position, shape (N, H).
            weight_VH: Weights of the head, frozen, shape (V, H).
            targets_N: Token written at each position, shape (N,).
            temperature: What logits are divided by.

        Returns:
            Log-probabilities and entropies in nats, float32, and whether the token is the
            likeliest, all of shape (N,).
        """
        kind = hidden_NH.device.type
        is_auto = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if is_auto else hidden_NH.dtype
        weight_VH = weight_VH.to(dtype)
        logps_N = hidden_NH.new_empty(len(targets_N), dtype=torch.float32)
        entropies_N = torch.empty_like(logps_N)
        is_top_N = torch.empty_like(logps_N, dtype=torch.bool)
        pulls_NH = torch.empty_like(hidden_NH, dtype=torch.float32)
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(targets_N), _TILE):
                tile = slice(start, start + _TILE)
                targets_n = targets_N[tile]
                logits_nV = torch.mm(hidden_NH[tile].to(dtype), weight_VH.t()).float()
                logits_nV /= temperature
                top_n1 = logits_nV.amax(-1, keepdim=True)
                odds_nV = (logits_nV - top_n1).exp_()
                sum_n1 = odds_nV.sum(-1, keepdim=True)
                total_n1 = top_n1 + sum_n1.log()
                written_n1 = logits_nV.gather(-1, targets_n[:, None])
                mean_n1 = torch.linalg.vecdot(odds_nV, logits_nV)[:, None] / sum_n1
                logps_N[tile] = (written_n1 - total_n1)[:, 0]
                entropies_N[tile] = (total_n1 - mean_n1)[:, 0]
                is_top_N[tile] = (written_n1 >= top_n1)[:, 0]
                if ctx.needs_input_grad[0]:
                    mean_nH = torch.mm(odds_nV.to(dtype), weight_VH).float() / sum_n1
                    pulls_NH[tile] = weight_VH[targets_n].float() - mean_nH
        ctx.save_for_backward(pulls_NH.div_(temperature))
        ctx.dtype = hidden_NH.dtype
        ctx.mark_non_differentiable(entropies_N, is_top_N)
        return logps_N, entropies_N, is_top_N

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Hand the gradient of the log-probabilities on to the hidden states."""
        (pulls_NH,) = ctx.saved_tensors
        return (gradients[0][:, None] * pulls_NH).to(ctx.dtype), None, None, None


def score_on_cpu(model: Any, temperature: float) -> None:
    """Have a causal model with TRL's fused head score on a CPU by `HeadScores`.

    Other devices keep TRL's head, and so do heads with a bias, with weights that are trained or
    sharded, or whose model does something else to its logits.

    Args:
        model: With TRL's head on it, with or without an adapter; its forward pass is replaced.
        temperature: What logits are divided by.
    """
    if is_peft_model(model):
        model = model.get_base_model()
    trls = model.forward

    @functools.wraps(type(model).forward)  # whose signature `generate` reads
    def forward(
        self: Any, *inputs: Any, fused_lm_head: bool = False, labels: Any = None, **options: Any
    ) -> Any:
        head = self.get_output_embeddings()
        if not fused_lm_head or labels is None or not _is_plain(head, self.config, options):
            return trls(*inputs, fused_lm_head=fused_lm_head, labels=labels, **options)
        options["use_cache"] = False
        hidden_BTH = self.base_model(*inputs, **options).last_hidden_state[:, :-1]
        labels_BT = labels[:, 1:]
        mask_BT = labels_BT != -100
        scores = HeadScores.apply(hidden_BTH[mask_BT], head.weight, labels_BT[mask_BT], temperature)
        # scattered also where nothing is scored, so that the backward pass has somewhere to go
        logps_BT, entropies_BT, is_top_BT = (
            each.new_zeros(mask_BT.shape).masked_scatter(mask_BT, each) for each in scores
        )
        return FusedCausalLMOutput(
            log_probs=logps_BT, entropy=entropies_BT, is_top1=is_top_BT, label_mask=mask_BT
        )

    model.forward = MethodType(forward, model)


def _is_plain(head: Any, config: Any, options: dict[str, Any]) -> bool:
    """Whether logits are the product of hidden states and frozen weights, on a CPU."""
    text = config.get_text_config()
    return (
        isinstance(head, torch.nn.Linear)
        and head.bias is None
        and head.weight.device.type == "cpu"
        and not head.weight.requires_grad
        and not isinstance(head.weight, DTensor)
        and not any(getattr(text, name, None) for name in _RESHAPING)
        and not {"shift_labels", "num_items_in_batch", "output_router_logits"} & options.keys()
    )
