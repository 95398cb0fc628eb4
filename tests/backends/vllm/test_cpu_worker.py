"""What adapters add in a batch of several, which tokens are drawn, and the norm by the kernel."""

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

Products = Callable[..., Any]

SCALE = 2.0
WIDTHS = (3, 2)
IN, RANK, SLOTS = 4, 2, 2
EPSILON = 1e-5


@pytest.fixture(scope="module")
def products() -> Products:
    """For a batch whose rows have these adapters; 0 is none, 7 and 9 lie in slots 0 and 1."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of vLLM's own imports
        from vllm.lora.layers import LoRAMapping

        from quillgraph.backends.vllm.cpu_worker import AdapterProducts

    def wrapper_for(adapters: tuple[int, ...], *, is_prefill: bool) -> AdapterProducts:
        wrapper = AdapterProducts(16, max_batches=8, device="cpu")
        wrapper.update_metadata(LoRAMapping(adapters, adapters, is_prefill), [7, 9], SLOTS, 100)
        return wrapper

    return wrapper_for


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


@pytest.fixture(scope="module")
def worker() -> Any:
    """The module, which imports vLLM's CPU build."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from quillgraph.backends.vllm import cpu_worker

    return cpu_worker


def test_a_draw_falls_where_the_running_sum_passes_its_level(worker: Any) -> None:
    # of 1/4, 1/4, 0, 1/2 the running sums are .25, .5, .5, 1
    levels = torch.tensor([0, 0.2, 0.25, 0.49, 0.5, 0.99, 1 - 1e-17], dtype=torch.float64)
    tokens = worker.draw(torch.tensor([[0.25, 0.25, 0.0, 0.5]] * len(levels)), levels)
    assert tokens.tolist() == [0, 0, 1, 1, 3, 3, 3]


@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.sampled_from([1, 5, 127, 128, 129, 1000]),
    share=st.floats(0.05, 1),
)
def test_draws_over_many_blocks_are_those_over_one_running_sum(
    worker: Any, seed: int, width: int, share: float
) -> None:
    draws = torch.Generator().manual_seed(seed)
    weights = torch.rand(20, width, generator=draws, dtype=torch.float64)
    weights *= torch.rand(20, width, generator=draws) <= share
    weights[:, seed % width] += 0.01  # no row is empty
    levels = torch.rand(20, generator=draws, dtype=torch.float64)
    running = weights.cumsum(-1)
    expected = torch.searchsorted(running, levels[:, None] * running[:, -1:], right=True)
    tokens = worker.draw(weights, levels)
    assert tokens.tolist() == expected.squeeze(1).tolist()
    assert (weights.gather(1, tokens[:, None]) > 0).all()


def test_tokens_come_as_often_as_they_are_likely(worker: Any) -> None:
    likely = torch.tensor([0.5, 0.3, 0.0, 0.15, 0.05])
    torch.manual_seed(5)
    tokens = worker.draw(likely.repeat(20_000, 1), torch.rand(20_000, dtype=torch.float64))
    counts = torch.bincount(tokens, minlength=5).double() / 20_000
    # four standard deviations of the likeliest: 4 * sqrt(.25 / 20000)
    torch.testing.assert_close(counts, likely.double(), atol=0.015, rtol=0)
    assert counts[2] == 0


def test_a_row_draws_by_its_own_generator_whoever_is_beside_it(worker: Any) -> None:
    sampler = worker.Draws("processed_logprobs")
    logits = torch.randn(3, 300, generator=torch.Generator().manual_seed(1))

    def draw(rows: list[int], seeded: dict[int, int]) -> list[int]:
        own = {n: torch.Generator().manual_seed(seed) for n, seed in seeded.items()}
        tokens, logprobs = sampler(logits[rows].clone(), own, None, None)
        torch.testing.assert_close(logprobs, logits[rows].log_softmax(-1))
        row_tokens: list[int] = tokens.tolist()
        return row_tokens

    alone = draw([1], {0: 42})
    assert draw([0, 1, 2], {1: 42})[1:2] == alone
    assert draw([2, 1], {0: 7, 1: 42})[1:] == alone


def test_top_k_and_top_p_leave_nothing_else_to_be_drawn(worker: Any) -> None:
    sampler = worker.Draws("processed_logprobs")
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(500, 1)
    torch.manual_seed(0)
    two, _ = sampler(logits.clone(), {}, torch.full((500,), 2), None)
    assert set(two.tolist()) == {0, 1}
    most, logprobs = sampler(logits.clone(), {}, None, torch.full((500,), 0.7))
    assert set(most.tolist()) == {0, 1}
    # .5 and .3 of .8
    torch.testing.assert_close(logprobs[0, :2].exp(), torch.tensor([0.625, 0.375]))
    assert logprobs[0, 2:].tolist() == [-torch.inf, -torch.inf]


def test_a_row_that_is_no_number_harms_no_other(worker: Any) -> None:
    sampler = worker.Draws("processed_logprobs")
    logits = torch.zeros(3, 200)
    logits[0, 7] = logits[2, 9] = 50.0
    logits[1, 3] = torch.nan
    tokens, logprobs = sampler(logits, {1: torch.Generator().manual_seed(1)}, None, None)
    assert (tokens[0], tokens[2]) == (7, 9)
    assert 0 <= tokens[1] < 200
    # whoever reads the log-probs of that row sees what has happened
    assert logprobs[1].isnan().all()
    nothing = torch.full((1, 200), -torch.inf)
    assert 0 <= sampler(nothing, {}, None, None)[0].item() < 200


@given(seed=st.integers(0, 2**32 - 1))
def test_float_probabilities_as_an_engine_gives_them_draw_within_a_rounding(
    worker: Any, seed: int
) -> None:
    draws = torch.Generator().manual_seed(seed)
    weights = (torch.randn(8, 1000, generator=draws) * 4).softmax(-1)
    levels = torch.rand(8, generator=draws, dtype=torch.float64)
    tokens = worker.draw(weights, levels)[:, None]
    running = weights.double().cumsum(-1) / weights.double().sum(-1, keepdim=True)
    below = running.gather(1, tokens) - weights.double().gather(1, tokens)
    assert (below.squeeze(1) <= levels + 1e-6).all()
    assert (levels <= running.gather(1, tokens).squeeze(1) + 1e-6).all()
    assert (weights.gather(1, tokens) > 0).all()


def test_the_worker_puts_its_parts_in_place(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from vllm.platforms import current_platform
    from vllm.v1.worker.cpu_worker import CPUWorker

    monkeypatch.setattr(CPUWorker, "load_model", lambda self: None)
    monkeypatch.setattr(type(current_platform), "get_punica_wrapper", None)
    loaded = worker.Worker.__new__(worker.Worker)
    loaded.model_runner = SimpleNamespace(
        sampler=SimpleNamespace(logprobs_mode="processed_logprobs", topk_topp_sampler=None)
    )
    loaded.load_model()
    assert type(loaded.model_runner.sampler.topk_topp_sampler) is worker.Draws
    assert current_platform.get_punica_wrapper().endswith(".vllm.cpu_worker.AdapterProducts")


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

    def layer_of(dtype: torch.dtype, width: int = 16) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with set_current_vllm_config(VllmConfig()):
                layer = RMSNorm(width, EPSILON, dtype=dtype)
        assert type(layer) is Norm
        layer.weight.data = torch.arange(1, width + 1).to(dtype) / 4
        return layer

    return layer_of


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
    normed = norm(torch.float32).forward_cpu(x)[0].tolist()
    assert normed == pytest.approx([0.7071, 1.4142] + [0.0] * 14, abs=1e-4)


def test_the_sum_with_what_is_left_is_normed_and_given_back(norm: Any) -> None:
    layer = norm(torch.float32)
    x, residual = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(2))
    whole = x + residual
    expected = layer.forward_native(whole)
    normed, left = layer.forward_cpu(x, residual)
    torch.testing.assert_close(normed, expected)
    torch.testing.assert_close(left, whole)


def test_it_is_the_kernels_that_norm(norm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels: list[str] = []
    for name in ("rms_norm", "fused_add_rms_norm"):
        monkeypatch.setattr(f"vllm._custom_ops.{name}", lambda *_, n=name: kernels.append(n))
    layer, x = norm(torch.bfloat16), torch.ones(2, 16, dtype=torch.bfloat16)
    layer.forward_cpu(x)
    layer.forward_cpu(x, x.clone())
    assert kernels == ["rms_norm", "fused_add_rms_norm"]


def test_what_the_kernel_cannot_do_is_done_as_vllm_does_it(norm: Any) -> None:
    layer = norm(torch.float32)
    both = torch.randn(4, 2, 16, generator=torch.Generator().manual_seed(3))
    # rows that do not lie side by side
    torch.testing.assert_close(layer.forward_cpu(both[:, 0]), layer.forward_native(both[:, 0]))
    x, residual = both[:, 0], both[:, 1].clone()
    expected = layer.forward_native(x.clone(), residual.clone())
    for normed, by_vllm in zip(layer.forward_cpu(x, residual), expected, strict=True):
        torch.testing.assert_close(normed, by_vllm)
    # a width that is no multiple of what the kernel takes at a time
    narrow, x = norm(torch.float32, width=6), torch.randn(3, 6)
    torch.testing.assert_close(narrow.forward_cpu(x), narrow.forward_native(x))
    # weights of another type than what they weigh
    x = both[:, 0].to(torch.bfloat16)
    torch.testing.assert_close(layer.forward_cpu(x), layer.forward_native(x))
