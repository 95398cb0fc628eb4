"""The norm of vLLM's layers by the kernel that its CPU build has for it and does not use.

Its own CPU form is a string of small torch operations, which took a quarter of the time that a
small model's prompts did (LOG.md 2026-11-28). Importing this module puts the layer in place of
vLLM's, at the point that it has for that. Imported by the engine's process alone.
"""

import torch
from torch import Tensor
from vllm import _custom_ops
from vllm.model_executor.layers.layernorm import RMSNorm

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
        found: Tensor | tuple[Tensor, Tensor] = self.forward_native(x, residual)
        return found
