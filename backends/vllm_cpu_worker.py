"""A worker of vLLM for the CPU whose adapters cost a matrix product, not a copy for each token.

vLLM's own CPU code copies an adapter's matrices once for each token of a batch before it multiplies
them, which makes an engine with adapters several times slower than one without (LOG.md 2026-11-25),
and takes the last adapter for a row that has none. Imported by the engine's process alone.
"""

from typing import Any

from torch import Tensor
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
from vllm.platforms import current_platform
from vllm.v1.worker.cpu_worker import CPUWorker


class AdapterProducts(PunicaWrapperCPU):  # type: ignore[misc]
    """Adds what adapters change to a layer's output: two products for each adapter in a batch."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._parts: list[tuple[int, Tensor | None]] = []

    def update_metadata(self, *arguments: Any, **options: Any) -> None:
        """Note which rows of the coming batch belong to which adapter; None for all of them."""
        super().update_metadata(*arguments, **options)
        slots = self.token_lora_indices
        found = slots.unique().tolist()
        self._parts = [
            (slot, None if len(found) == 1 else (slots == slot).nonzero().squeeze(1))
            for slot in found
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


class AdapterWorker(CPUWorker):  # type: ignore[misc]
    """vLLM's CPU worker with `AdapterProducts`."""

    def load_model(self, *arguments: Any, **options: Any) -> None:
        """Load the model, its layers made for adapters."""
        name = f"{AdapterProducts.__module__}.{AdapterProducts.__qualname__}"
        type(current_platform).get_punica_wrapper = classmethod(lambda _: name)
        super().load_model(*arguments, **options)
