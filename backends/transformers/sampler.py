"""Samples the next token of each row from the row's own distribution.

Shapes: B rows of a batch, V vocabulary, N alternatives that the request asks for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import ServerFailed


@dataclass(frozen=True, slots=True)
class Draw:
    """A sampled token, and the most probable ones of the distribution that it came from."""

    token: int
    logprob: float
    likeliest: dict[int, float]
    """Log-probability by token, as many as the request's `top_logprobs`."""


def sample_tokens(
    scores_BV: Tensor, requests: Sequence[ChatRequest], generators: Sequence[torch.Generator]
) -> list[Draw]:
    """Sample one token per row, by the row's own request and random stream.

    Returns:
        The tokens and their log-probabilities under the distribution that they were drawn from.
        A greedy row (temperature 0) gives those at temperature 1, as vLLM does: its own
        distribution is a single point.

    Raises:
        ServerFailed: If the model's scores have overflowed, so that they are no distribution.
    """
    logprobs_BV = sampling_logprobs(
        scores_BV,
        [request.temperature for request in requests],
        [request.top_p for request in requests],
        [request.min_p for request in requests],
    )
    best_B1, tokens_B1 = logprobs_BV.max(dim=-1, keepdim=True)
    if best_B1.isnan().any():  # below, `min` would make a certain token of it
        raise ServerFailed(
            "the model's scores have overflowed: expected log-probs, got nan; use "
            "dtype=float32, or look at the weights of the adapter"
        )
    for number, (request, generator) in enumerate(zip(requests, generators, strict=True)):
        if request.temperature > 0:
            probs_V = logprobs_BV[number].exp()
            tokens_B1[number] = torch.multinomial(probs_V, 1, generator=generator)
    tokens_B = tokens_B1.squeeze(1).tolist()
    logprobs_B = logprobs_BV.gather(1, tokens_B1).squeeze(1).tolist()
    return [
        Draw(token, min(0.0, logprob), _likeliest(logprobs_V, request.top_logprobs))
        for token, logprob, logprobs_V, request in zip(
            tokens_B, logprobs_B, logprobs_BV, requests, strict=True
        )
    ]


def _likeliest(logprobs_V: Tensor, number: int) -> dict[int, float]:
    if not number:
        return {}
    logprobs_N, tokens_N = logprobs_V.topk(min(number, len(logprobs_V)))
    clipped_N = logprobs_N.clamp(max=0.0)
    return dict(zip(tokens_N.tolist(), clipped_N.tolist(), strict=True))


def sampling_logprobs(
    scores_BV: Tensor,
    temperatures: Sequence[float],
    top_ps: Sequence[float],
    min_ps: Sequence[float],
) -> Tensor:
    """Log-probabilities after each row's temperature, min-p and top-p, in vLLM's order.

    Min-p keeps the tokens with at least that share of the best one's probability
    (arXiv:2407.01082). Top-p keeps of them the fewest most probable ones whose mass reaches `top_p`
    (nucleus sampling, arXiv:1904.09751, section 3.1). A row of temperature 0 is scaled by 1 and
    keeps all tokens.
    """
    scale = [temperature or 1.0 for temperature in temperatures]
    logits_BV = scores_BV / torch.tensor(scale, device=scores_BV.device).unsqueeze(1)
    cuts = zip(temperatures, top_ps, min_ps, strict=True)
    for number, (temperature, top_p, min_p) in enumerate(cuts):
        if temperature > 0 and min_p > 0:
            least = logits_BV[number].max() + math.log(min_p)
            logits_BV[number].masked_fill_(logits_BV[number] < least, float("-inf"))
        if temperature > 0 and top_p < 1:
            sorted_V, order_V = logits_BV[number].sort(descending=True)
            probs_V = sorted_V.softmax(dim=-1)
            beyond_V = probs_V.cumsum(dim=-1) - probs_V >= top_p
            logits_BV[number, order_V[beyond_V]] = float("-inf")
    return logits_BV.log_softmax(dim=-1)
