import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from quillgraph.rl.mrpo import losses  # noqa: E402


def _row(*values: float) -> Any:
    return torch.tensor([list(values)], dtype=torch.float64)


def test_where_behaviour_is_the_policy_shaping_pulls_a_twelfth_of_what_the_clip_pulls() -> None:
    # algorithm 7.1, test 2. d(w·A)/dlogπ = w·A = 2 at w = 1;
    # d(f(w)·A)/dlogπ = γ·w/(w+γ)²·A = .1/1.21·2 = .165289...
    logps_BT = _row(-1.0, -2.0).requires_grad_()
    gain_B = torch.tensor([2.0], dtype=torch.float64)
    ratio_BT = losses.importance(logps_BT, logps_BT.detach())

    (clip_BT,) = torch.autograd.grad(
        losses.clipped(ratio_BT, gain_B).sum(), logps_BT, retain_graph=True
    )
    (shape_BT,) = torch.autograd.grad(losses.shaped(ratio_BT, gain_B).sum(), logps_BT)

    assert clip_BT.tolist() == [[2.0, 2.0]]
    assert shape_BT.tolist() == [pytest.approx([0.2 / 1.21] * 2, abs=1e-12)]
    assert (shape_BT / clip_BT).tolist() == [pytest.approx([0.1 / 1.1**2] * 2)]


@pytest.mark.parametrize(
    ("w", "gain", "objective"),
    [
        (1.5, 1.0, 1.28),  # min(1.5, 1.28): the upper end holds
        (1.5, -1.0, -1.5),  # min(-1.5, -1.28): a bad token that became likelier is pushed in full
        (0.5, 1.0, 0.5),  # min(.5, .8)
        (0.5, -1.0, -0.8),  # min(-.5, -.8): no further push down
    ],
)
def test_the_clip_holds_back_only_what_has_gone_far_enough(
    w: float, gain: float, objective: float
) -> None:
    value = losses.clipped(_row(w), torch.tensor([gain], dtype=torch.float64))
    assert value.item() == pytest.approx(objective)


def test_shaping_pulls_most_where_the_weight_is_gamma() -> None:
    logps_BT = torch.log(
        torch.tensor([[0.05, 0.1, 0.2, 1.0]], dtype=torch.float64)
    ).requires_grad_()
    weights_BT = losses.importance(logps_BT, torch.zeros_like(logps_BT))
    losses.shaped(weights_BT, torch.ones(1, dtype=torch.float64)).sum().backward()
    # .1·w/(w+.1)²: .005/.0225, .01/.04, .02/.09, .1/1.21
    assert logps_BT.grad is not None
    assert logps_BT.grad.tolist() == [pytest.approx([0.222222, 0.25, 0.222222, 0.082645], abs=1e-6)]


def test_tokens_that_the_policy_would_hardly_write_are_left_out() -> None:
    # e^-9.2 = 1.01e-4, e^-9.3 = 9.1e-5
    assert losses.likely_tokens(_row(-0.1, -9.2, -9.3)).tolist() == [[1, 1, 0]]


def test_only_a_bad_row_that_has_lost_half_a_nat_per_token_is_left_out() -> None:
    behaviour_BT = torch.zeros(4, 3)
    logps_BT = torch.tensor(
        [[-0.6, -0.6, -9.0], [-0.6, -0.6, -9.0], [-0.4, -0.4, -9.0], [-1.4, 0, 0]]
    )
    mask_BT = torch.tensor([[1.0, 1, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1]])
    # mean gaps over unmasked tokens: .6, .6, .4, 1.4/3 = .47; only the first is bad and above .5
    gains_B = torch.tensor([-1.0, 1.0, -1.0, -1.0])
    kept_B1 = losses.near_rows(logps_BT, behaviour_BT, mask_BT, gains_B)
    assert kept_B1.tolist() == [[0], [1], [1], [1]]


def test_the_effective_share_is_one_for_equal_weights_and_one_in_n_for_a_single_one() -> None:
    assert losses.effective_share(8.0, 16.0, 4) == pytest.approx(1.0)  # four weights of 2
    assert losses.effective_share(3.0, 9.0, 5) == pytest.approx(0.2)  # 3, 0, 0, 0, 0
    # 1, 1, 4: 36 / (3·18)
    assert losses.effective_share(6.0, 18.0, 3) == pytest.approx(2 / 3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20))
def test_the_effective_share_lies_between_one_in_n_and_one(weights: list[float]) -> None:
    share = losses.effective_share(sum(weights), sum(w * w for w in weights), len(weights))
    assert 1 / len(weights) - 1e-9 <= share <= 1 + 1e-9


def test_the_anchor_fades_to_nothing_at_four_fifths_of_the_run() -> None:
    strengths = [losses.anchor_strength(step, 100, 0.05) for step in (0, 40, 80, 99)]
    assert strengths == pytest.approx([0.05, 0.025, 0.0, 0.0])


def test_an_impossible_token_gives_a_large_ratio_and_no_infinity() -> None:
    assert math.isfinite(losses.importance(_row(-1.0), _row(-1e4)).item())
