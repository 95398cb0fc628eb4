"""The norm by vLLM's kernel, against the formula and against vLLM's own CPU form."""

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

EPSILON = 1e-5


@pytest.fixture(scope="module")
def norm() -> Callable[..., Any]:
    """A layer of width 16 as vLLM makes it once the module has been imported."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from vllm.config import VllmConfig, set_current_vllm_config
        from vllm.model_executor.layers.layernorm import RMSNorm

        from quillgraph.backends.vllm.cpu_worker import Norm

    def made(dtype: torch.dtype, width: int = 16) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with set_current_vllm_config(VllmConfig()):
                layer = RMSNorm(width, EPSILON, dtype=dtype)
        assert type(layer) is Norm
        layer.weight.data = torch.arange(1, width + 1).to(dtype) / 4
        return layer

    return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_rows_are_divided_by_their_root_mean_square(norm: Any, dtype: torch.dtype) -> None:
    layer, x = norm(dtype), torch.randn(5, 16, generator=torch.Generator().manual_seed(1)).to(dtype)
    wide = x.float()
    expected = wide * (wide.pow(2).mean(-1, keepdim=True) + EPSILON).rsqrt() * layer.weight.float()
    tolerance = {"rtol": 1e-6, "atol": 1e-6} if dtype is torch.float32 else {}
    torch.testing.assert_close(layer.forward_cpu(x), expected.to(dtype), **tolerance)


def test_a_row_by_hand(norm: Any) -> None:
    # the mean of the squares of 2, 2, 0, 0 … is 8/16, its root .7071; 2 / .7071 = 2.828 by 1/4, 2/4
    x = torch.tensor([[2.0, 2.0] + [0.0] * 14])
    found = norm(torch.float32).forward_cpu(x)[0].tolist()
    assert found == pytest.approx([0.7071, 1.4142] + [0.0] * 14, abs=1e-4)


def test_the_sum_with_what_is_left_is_normed_and_given_back(norm: Any) -> None:
    layer = norm(torch.float32)
    x, residual = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(2))
    whole = x + residual
    expected = layer.forward_native(whole)
    normed, left = layer.forward_cpu(x, residual)
    torch.testing.assert_close(normed, expected)
    torch.testing.assert_close(left, whole)


def test_it_is_the_kernels_that_norm(norm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("rms_norm", "fused_add_rms_norm"):
        monkeypatch.setattr(f"vllm._custom_ops.{name}", lambda *_, n=name: asked.append(n))
    layer, x = norm(torch.bfloat16), torch.ones(2, 16, dtype=torch.bfloat16)
    layer.forward_cpu(x)
    layer.forward_cpu(x, x.clone())
    assert asked == ["rms_norm", "fused_add_rms_norm"]


def test_what_the_kernel_cannot_do_is_done_as_vllm_does_it(norm: Any) -> None:
    layer = norm(torch.float32)
    both = torch.randn(4, 2, 16, generator=torch.Generator().manual_seed(3))
    # rows that do not lie side by side
    torch.testing.assert_close(layer.forward_cpu(both[:, 0]), layer.forward_native(both[:, 0]))
    x, residual = both[:, 0], both[:, 1].clone()
    expected = layer.forward_native(x.clone(), residual.clone())
    for found, wanted in zip(layer.forward_cpu(x, residual), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    # a width that is no multiple of what the kernel takes at a time
    narrow, x = norm(torch.float32, width=6), torch.randn(3, 6)
    torch.testing.assert_close(narrow.forward_cpu(x), narrow.forward_native(x))
    # weights of another type than what they weigh
    x = both[:, 0].to(torch.bfloat16)
    torch.testing.assert_close(layer.forward_cpu(x), layer.forward_native(x))
