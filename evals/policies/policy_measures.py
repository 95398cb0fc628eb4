"""Measures of a policy's texts that need no judge, and of its wins that need one."""

import math
import re
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from quillgraph.agents.domain import Value
from quillgraph.agents.judges.reward import repetition_term
from quillgraph.agents.text.ngrams import ngrams, tokens

GRAMS = (2, 3)

RIDGE = 0.05
"""Weight of the squared coefficients of the curve of wins."""

REFUSAL = re.compile(
    r"^\s*(?:i(?:'|’)?m sorry|i am sorry|sorry,|i can(?:'|’)?t|i cannot|i am unable|i'm unable|"
    r"as an ai|i won(?:'|’)?t|很?抱歉|对不起，|我(?:无法|不能)|作为一个?(?:ai|人工智能))",
    re.IGNORECASE,
)
"""How texts begin that decline to write; one in the middle of a story is no refusal."""


class Win(Value):
    """One comparison of a policy's text with another's."""

    won: float
    """1 won, 0 lost, .5 a tie."""
    longer: float
    """Its characters minus the other's."""


def is_refusal(text: str) -> bool:
    """Whether a text declines to write, by how it begins."""
    return bool(REFUSAL.match(text))


def repetition(text: str) -> float:
    """Share of repetition that costs something, from 0 to 1 (1 minus the reward's term)."""
    return 1 - repetition_term(text)


def self_similarity(texts: Sequence[str]) -> float | None:
    """How alike texts for one prompt are: mean Jaccard overlap of their n-grams, 0 to 1.

    Returns:
        The mean over all pairs; None for fewer than two texts, or where none has an n-gram.
    """
    grams = [
        frozenset(gram for size in GRAMS for gram in ngrams(tokens(text), size)) for text in texts
    ]
    shares = [len(a & b) / len(a | b) for a, b in combinations(grams, 2) if a | b]
    return float(np.mean(shares)) if shares else None


def win_rate(wins: Sequence[Win]) -> float | None:
    """Mean of wins, a tie counting half; None without a comparison."""
    return float(np.mean([win.won for win in wins])) if wins else None


def length_controlled_win_rate(wins: Sequence[Win]) -> float | None:
    """The win rate that a policy would have if its texts were as long as the others'.

    A logistic curve of the wins over tanh(difference in length / its spread), read at a difference
    of 0, as in length-controlled AlpacaEval (arXiv:2404.04475), whose model also has terms for
    prompts. A small ridge keeps the slope finite where length alone decides every comparison.

    Returns:
        From 0 to 1; None without a comparison. Where all lengths are equal it is the win rate.
    """
    if not wins:
        return None
    differences = np.asarray([win.longer for win in wins], float)
    spread = float(differences.std())
    if spread == 0:
        return win_rate(wins)
    inputs = np.column_stack([np.ones(len(wins)), np.tanh(differences / spread)])
    won = np.asarray([win.won for win in wins], float)
    weights = np.zeros(2)
    for _ in range(50):
        share = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (won - share) - RIDGE * weights
        curvature = (inputs.T * (share * (1 - share))) @ inputs + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        weights = weights + step
        if np.abs(step).max() < 1e-10:
            break
    return 1 / (1 + math.exp(-float(weights[0])))
