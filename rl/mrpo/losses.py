"""Terms of the MRPO loss as pure functions of log-probabilities (`ALGORITHM.md` 6.5).

L = -J_on - λ·J_rep + β·KL + μ·L_sft + Σ w·L_term. J_on and the KL are TRL's own and touch fresh
tokens only. This module has the terms of the other rows, and `Term`, the form of a user's term.
Suffixes name dimensions: `_B` rows, `_T` tokens of a completion. Nothing here reads a model, logs,
or changes its arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

import torch
from torch import Tensor

from quillgraph.backends.errors import ConfigError, InputError

EPSILON_LOW: Final = 0.2
EPSILON_HIGH: Final = 0.28
"""Clip range of DAPO (arXiv:2503.14476)."""

GAMMA: Final = 0.1
"""Shape of f(w) = w / (w + γ), as in LUFFY (arXiv:2504.14945) and ExGRPO (arXiv:2510.02245)."""

LEAST_PROBABILITY: Final = 1e-4
"""Probability below which a token is not replayed, after EMPO² (arXiv:2602.23008)."""

MOST_DRIFT: Final = 0.5
"""Maximum loss of log-probability of a bad row that still counts, nats per token (OPSM, as in
DeepSeek-V3.2, arXiv:2512.02556)."""

ANCHOR_UNTIL: Final = 0.8
"""Share of the steps after which the SFT anchor has weight 0, ours (`ALGORITHM.md` 6.5)."""

_MOST_LOG_RATIO: Final = 20.0


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one micro-batch under the present policy: the input of a term of the loss.

    Σ_t weights · mask over all rows of a generation, in all processes and micro-batches, is the
    share of these rows in the loss; the trainer scales for accumulation.
    """

    logps_BT: Tensor
    """log π_θ of each token after its prompt, shape (B, T); only this tensor has gradients."""
    completion_ids_BT: Tensor
    """The tokens, padded on the right."""
    mask_BT: Tensor
    """1 for the tokens that the policy wrote, 0 for padding and for tokens of another source."""
    behaviour_BT: Tensor
    """log b of each token under the behaviour policy; 0 where `is_known_B` is false, so b is 1."""
    is_known_B: Tensor
    """Whether b is known."""
    is_fresh_B: Tensor
    """Whether the row belongs to the present episodes; else it comes from memory."""
    is_shaped_B: Tensor
    """Whether the row was written under another context than it is trained under."""
    advantages_B: Tensor
    """Advantage A of each row."""
    weights_B: Tensor
    """Weight of each token of a row in a sum; 0 for a row that is only an anchor."""
    anchors_B: Tensor
    """Weight of each token of a row in the SFT anchor; 0 for a row that is no target."""


TermFn = Callable[[Rows], Tensor]
"""From rows to the scalar to minimise."""


@dataclass(frozen=True, slots=True)
class Term:
    """A term of the loss: its weight times its function of the rows.

    A trainer calls it for each micro-batch and logs its value as `<name>/loss`.
    """

    name: str
    function: TermFn
    weight: float = 1.0
    schedule: Callable[[int, int], float] | None = None
    """Factor of the weight, from the steps done and the steps of the whole run; None keeps the
    weight constant."""
    reads: Literal["texts", "beside"] = "texts"
    """Which rows it reads: `texts` are the fresh texts, one per row, that TRL's loss reads too;
    `beside` are further calls of a graph, texts without their lessons, replays and anchors."""
    is_off_policy: bool = False
    """Whether a micro-batch skips it where its remembered rows have drifted too far."""

    def __call__(self, rows: Rows) -> Tensor:
        """Compute the term, without its weight.

        Raises:
            ConfigError: If the function returns anything but a scalar tensor.
            InputError: If it returns NaN or infinity.
        """
        value = self.function(rows)
        if not isinstance(value, Tensor) or value.dim():
            shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
            raise ConfigError(
                f"expected a tensor without dimensions from the term {self.name!r} of the loss, "
                f"got {type(value).__name__}{shape}; sum it up, weighed by "
                "rows.weights_B.unsqueeze(1) * rows.mask_BT"
            )
        if not torch.isfinite(value):
            raise InputError(
                f"expected a finite number from the term {self.name!r} of the loss, got "
                f"{value.item()}: a step cannot use it"
            )
        return value

    def weight_at(self, step: int, steps: int) -> float:
        """Its weight after `step` of `steps` optimizer steps."""
        return self.weight * (1.0 if self.schedule is None else self.schedule(step, steps))


def term_of(named: Any, weight: float) -> Term:
    """Make a term from an object that a configuration names: a `Term`, or a function of rows.

    Args:
        named: The object; the term of a function has the function's name and reads the texts.
        weight: Its weight; it replaces the weight of a `Term`.

    Raises:
        ConfigError: If the object is neither.
    """
    if isinstance(named, Term):
        return replace(named, weight=weight)
    if not callable(named) or isinstance(named, type):
        raise ConfigError(
            f"rl.terms: expected a Term or a function from rows to a tensor, got {named!r}"
        )
    return Term(getattr(named, "__name__", type(named).__name__), named, weight)


def mrpo_terms(
    *, low: float, high: float, gamma: float, replay_weight: float, anchor_weight: float
) -> tuple[Term, ...]:
    """The terms that MRPO itself adds to TRL's loss.

    Args:
        low: ε_l of the clip.
        high: ε_h of the clip.
        gamma: γ of the shaping.
        replay_weight: λ.
        anchor_weight: μ at the start.
    """
    episodes = partial(episode_loss, low=low, high=high, gamma=gamma)
    replays = partial(replay_loss, low=low, high=high, gamma=gamma)
    return (
        Term("episode", episodes, reads="beside"),
        Term("replay", replays, replay_weight, reads="beside", is_off_policy=True),
        Term(
            "anchor",
            anchor_loss,
            schedule=partial(anchor_strength, weight=anchor_weight),
            reads="beside",
        ),
    )


def episode_loss(rows: Rows, *, low: float, high: float, gamma: float) -> Tensor:
    """-J of the present episodes' rows: further calls, and texts without their lessons."""
    return _sum_of(rows.is_fresh_B, rows, low=low, high=high, gamma=gamma)


def replay_loss(rows: Rows, *, low: float, high: float, gamma: float) -> Tensor:
    """-J_rep, before its coefficient λ: clipped for bare rows, shaped for reflective ones."""
    return _sum_of(~rows.is_fresh_B, rows, low=low, high=high, gamma=gamma)


def anchor_loss(rows: Rows) -> Tensor:
    """L_sft, before its coefficient μ: mean -log π of the targets' tokens."""
    return -(rows.logps_BT * rows.anchors_B.unsqueeze(1) * rows.mask_BT).sum()


def _sum_of(is_part_B: Tensor, rows: Rows, **bounds: float) -> Tensor:
    """-J of the selected rows, each token with its weight."""
    form_BT = objective(rows, **bounds)
    weight_BT = rows.weights_B.unsqueeze(1) * rows.mask_BT
    kept_BT = torch.where(is_part_B.unsqueeze(1), form_BT, torch.zeros_like(form_BT))
    return -(kept_BT * weight_BT).sum()


def objective(rows: Rows, *, low: float, high: float, gamma: float) -> Tensor:
    """J of each token: clipped, or shaped where the row was written under another context.

    Returns:
        Shape (B, T); 0 where a token is masked because it is improbable under the policy or its
        row has drifted. Tokens just sampled in the context of the update are not masked.
    """
    ratio_BT = importance(rows.logps_BT, rows.behaviour_BT)
    clip_BT = clipped(ratio_BT, rows.advantages_B, low=low, high=high)
    shape_BT = shaped(ratio_BT, rows.advantages_B, gamma=gamma)
    near_B1 = near_rows(rows.logps_BT, rows.behaviour_BT, rows.mask_BT, rows.advantages_B)
    near_B1 = torch.where(rows.is_known_B.unsqueeze(1), near_B1, torch.ones_like(near_B1))
    z_BT = likely_tokens(rows.logps_BT) * near_B1
    is_fresh_B1, is_shaped_B1 = rows.is_fresh_B.unsqueeze(1), rows.is_shaped_B.unsqueeze(1)
    form_BT = torch.where(is_shaped_B1, shape_BT, clip_BT)
    return torch.where(is_fresh_B1 & ~is_shaped_B1, form_BT, form_BT * z_BT)


def importance(logps_BT: Tensor, behaviour_BT: Tensor) -> Tensor:
    """Compute w = π_θ(y_t | x, y_<t) / b_t for each token.

    The log-ratio is clamped to ±20 before the exponential, so a padding value or an almost
    impossible token gives a large number and not infinity.

    Args:
        logps_BT: Log-probabilities under the policy and the bare prompt, shape (B, T).
        behaviour_BT: Log-probabilities under the behaviour policy, shape (B, T).

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

    ∇f = γ·w / (w + γ)²·∇log π is largest at w = γ (.25) and γ / (1 + γ)² = .083 at w = 1: a token
    that the policy would write anyway teaches little. After Critique-GRPO (arXiv:2506.03106) and
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
    """Mask of the tokens with probability at least `LEAST_PROBABILITY`, shape (B, T), 0 or 1."""
    return (logps_BT.detach().exp() >= LEAST_PROBABILITY).to(logps_BT.dtype)


def near_rows(
    logps_BT: Tensor, behaviour_BT: Tensor, mask_BT: Tensor, advantages_B: Tensor
) -> Tensor:
    """Off-policy sequence mask: 0 for a row with A < 0 and a mean log(b / π_θ) over `MOST_DRIFT`.

    A text that the policy has already unlearned needs no further push. From DeepSeek-V3.2
    (arXiv:2512.02556).

    Args:
        logps_BT: Log-probabilities under the policy, shape (B, T).
        behaviour_BT: Log-probabilities under the behaviour policy, shape (B, T).
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

    1 where all weights are equal, 1/n where one token has all the weight. It takes sums, which
    processes can add up.

    Args:
        total: Σ w over the replayed tokens.
        squares: Σ w².
        count: n, the number of tokens, at least 1.
    """
    return total**2 / (count * squares) if squares else 0.0


def anchor_strength(step: int, steps: int, weight: float) -> float:
    """Weight of the SFT anchor at a step: μ·(1 - t / (.8·T)), and 0 after .8·T steps.

    Args:
        step: Optimizer steps done, t.
        steps: Optimizer steps of the whole run, T.
        weight: μ at the start.
    """
    end = ANCHOR_UNTIL * steps
    return weight * max(0.0, 1 - step / end) if end > 0 else 0.0
