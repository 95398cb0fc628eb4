"""Terms of the MRPO loss as pure functions of log-probabilities (`ALGORITHM.md` 6.5).

L = -J_on - λ·J_rep + β·KL + μ·L_sft. J_on and the KL are TRL's own and touch fresh tokens only;
here is what the rows beside them add. Suffixes name dimensions: `_B` rows, `_T` tokens of a
completion. Nothing here reads a model, logs, or changes its arguments.
"""

from typing import Final

import torch
from torch import Tensor

EPSILON_LOW: Final = 0.2
EPSILON_HIGH: Final = 0.28
"""Clip range of DAPO (arXiv:2503.14476)."""

GAMMA: Final = 0.1
"""Shape of f(w) = w / (w + γ), as in LUFFY (arXiv:2504.14945) and ExGRPO (arXiv:2510.02245)."""

LEAST_PROBABILITY: Final = 1e-4
"""A token that the policy would hardly write is not replayed, after EMPO² (arXiv:2602.23008)."""

MOST_DRIFT: Final = 0.5
"""Nats per token by which a bad row may have lost probability and still count (OPSM, as in
DeepSeek-V3.2, arXiv:2512.02556)."""

ANCHOR_UNTIL: Final = 0.8
"""Share of the steps after which the SFT anchor is gone, ours (`ALGORITHM.md` 6.5)."""

_MOST_LOG_RATIO: Final = 20.0


def importance(logps_BT: Tensor, behaviour_BT: Tensor) -> Tensor:
    """Compute w = π_θ(y_t | x, y_<t) / b_t for each token.

    The log-ratio is cut at ±20 before the exponential, so that a padding value or a token that was
    all but impossible gives a large number and no infinity.

    Args:
        logps_BT: Log-probabilities under the policy and the bare prompt, shape (B, T).
        behaviour_BT: Those under which the tokens were written, shape (B, T).

    Returns:
        Ratios, shape (B, T).
    """
    return torch.exp((logps_BT - behaviour_BT).clamp(-_MOST_LOG_RATIO, _MOST_LOG_RATIO))


def clipped(
    ratio_BT: Tensor,
    advantages_B: Tensor,
    *,
    low: float = EPSILON_LOW,
    high: float = EPSILON_HIGH,
) -> Tensor:
    """J_t = min(w·A, clip(w, 1 - ε_l, 1 + ε_h)·A), for tokens of fresh and of bare rows.

    The form is PPO's with DAPO's wider upper end; on replayed rows as in RePO (arXiv:2506.09340).

    Args:
        ratio_BT: w, shape (B, T).
        advantages_B: A of each row, shape (B,).
        low: ε_l.
        high: ε_h.

    Returns:
        Objective of each token, shape (B, T); larger is better.
    """
    gain_B1 = advantages_B.unsqueeze(1)
    return torch.min(ratio_BT * gain_B1, ratio_BT.clamp(1 - low, 1 + high) * gain_B1)


def shaped(weight_BT: Tensor, advantages_B: Tensor, *, gamma: float = GAMMA) -> Tensor:
    """J_t = f(w)·A with f(w) = w / (w + γ) and no clip, for tokens of reflective rows.

    ∇f = γ·w / (w + γ)²·∇log π pulls most at w = γ (.25) and by γ / (1 + γ)² = .083 at w = 1: what
    the policy would write anyway teaches little. After Critique-GRPO (arXiv:2506.03106) and
    ExGRPO (arXiv:2510.02245).

    Args:
        weight_BT: w = π_θ / b; π_θ itself where b is not known, as in LUFFY. Shape (B, T).
        advantages_B: A of each row, shape (B,).
        gamma: γ > 0.

    Returns:
        Objective of each token, shape (B, T); larger is better.
    """
    return weight_BT / (weight_BT + gamma) * advantages_B.unsqueeze(1)


def likely_tokens(logps_BT: Tensor) -> Tensor:
    """Say which tokens the policy gives at least `LEAST_PROBABILITY`, shape (B, T), 0 or 1."""
    return (logps_BT.detach().exp() >= LEAST_PROBABILITY).to(logps_BT.dtype)


def near_rows(
    logps_BT: Tensor, behaviour_BT: Tensor, mask_BT: Tensor, advantages_B: Tensor
) -> Tensor:
    """Off-policy sequence mask: 0 for a row with A < 0 and a mean log(b / π_θ) over `MOST_DRIFT`.

    What the policy has long unlearnt needs no further push. DeepSeek-V3.2 (arXiv:2512.02556).

    Args:
        logps_BT: Log-probabilities under the policy, shape (B, T).
        behaviour_BT: Those under which the tokens were written, shape (B, T).
        mask_BT: 1 for the tokens of the completion that the policy wrote, shape (B, T).
        advantages_B: A of each row, shape (B,).

    Returns:
        Shape (B, 1), 0 or 1.
    """
    gap_BT = (behaviour_BT - logps_BT.detach()) * mask_BT
    drift_B = gap_BT.sum(1) / mask_BT.sum(1).clamp(min=1)
    return ((advantages_B >= 0) | (drift_B <= MOST_DRIFT)).to(logps_BT.dtype).unsqueeze(1)


def effective_share(total: float, squares: float, count: float) -> float:
    """Effective sample size as a share of the tokens: ESS = (Σ w)² / (n·Σ w²).

    1 where all weights are equal, 1/n where one token has all the weight. It takes sums, as these
    are what processes can add up.

    Args:
        total: Σ w over the replayed tokens.
        squares: Σ w².
        count: n, the number of tokens, at least 1.
    """
    return total**2 / (count * squares) if squares else 0.0


def anchor_strength(step: int, steps: int, weight: float) -> float:
    """Weight of the SFT anchor at a step: μ·(1 - t / (.8·T)), and 0 from there on.

    Args:
        step: Optimizer steps done, t.
        steps: Optimizer steps of the whole run, T.
        weight: μ at the start.
    """
    end = ANCHOR_UNTIL * steps
    return weight * max(0.0, 1 - step / end) if end > 0 else 0.0
