"""What adapters add to a layer's output, against the formula, for batches of several adapters."""

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

Products = Callable[..., Any]

SCALE = 2.0
WIDTHS = (3, 2)
IN, RANK, SLOTS = 4, 2, 2


@pytest.fixture(scope="module")
def products() -> Products:
    """For a batch whose rows have these adapters; 0 is none, 7 and 9 lie in slots 0 and 1."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of vLLM's own imports
        from vllm.lora.layers import LoRAMapping

        from quillgraph.backends.vllm_cpu_worker import AdapterProducts

    def made(adapters: tuple[int, ...], *, is_prefill: bool) -> AdapterProducts:
        found = AdapterProducts(16, max_batches=8, device="cpu")
        found.update_metadata(LoRAMapping(adapters, adapters, is_prefill), [7, 9], SLOTS, 100)
        return found

    return made


def matrices() -> tuple[list[Any], list[Any]]:
    draws = torch.Generator().manual_seed(1)
    first = [torch.randn(SLOTS, 1, RANK, IN, generator=draws) for _ in WIDTHS]
    second = [torch.randn(SLOTS, 1, width, RANK, generator=draws) for width in WIDTHS]
    return first, second


@pytest.mark.parametrize("is_prefill", [True, False])
@pytest.mark.parametrize(
    "adapters",
    [(7, 7, 7), (9, 9), (0, 0, 0), (7, 0, 9, 7), (0, 9)],
    ids=["one", "the other", "none", "each row its own", "none and one"],
)
def test_each_row_gets_what_its_own_adapter_adds(
    products: Products, adapters: tuple[int, ...], is_prefill: bool
) -> None:
    (first, second), rows = matrices(), len(adapters)
    x, y = torch.arange(rows * IN).reshape(rows, IN) / 10, torch.ones(rows, sum(WIDTHS))
    expected = y.clone()
    for row, adapter in enumerate(adapters):
        if adapter:
            slot = (7, 9).index(adapter)
            added = [
                SCALE * (b[slot, 0] @ (a[slot, 0] @ x[row]))
                for a, b in zip(first, second, strict=True)
            ]
            expected[row] += torch.cat(added)
    products(adapters, is_prefill=is_prefill).add_lora_linear(
        y, x, tuple(first), tuple(second), SCALE, WIDTHS
    )
    torch.testing.assert_close(y, expected)


def test_a_product_by_hand(products: Products) -> None:
    # x = (1, 2), A = (3 4), B = 5: 2 * 5 * (3 + 8) = 110 beside the 1 that is there
    y, x = torch.ones(1, 1), torch.tensor([[1.0, 2.0]])
    a, b = torch.tensor([[[[3.0, 4.0]]]] * 2), torch.tensor([[[[5.0]]]] * 2)
    products((7,), is_prefill=False).add_lora_linear(y, x, (a,), (b,), 2.0, (1,))
    assert y.tolist() == [[111.0]]
