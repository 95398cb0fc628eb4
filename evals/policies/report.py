"""The report on policies: measures of their texts, and of their wins, prompt by prompt.

Some measures of texts need no judge; scores and wins need one.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any, TypeVar

import numpy as np

from quillgraph.agents.domain import Value
from quillgraph.agents.judges import repetition_term
from quillgraph.agents.text import ngrams, tokens, word_count
from quillgraph.evals.measures.intervals import (
    Estimate,
    cluster_bootstrap,
    mean_bootstrap,
    paired_bootstrap,
)
from quillgraph.evals.policies.records import ComparedTexts, ScoredText, WrittenText

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


def mean_win(wins: Sequence[Win]) -> float | None:
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
        return mean_win(wins)
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


OF_TEXTS: dict[str, str] = {
    "hard": "share of the demands that code checks",
    "soft": "the judge's scores, 0 to 1",
    "diversity": "1 minus the overlap of a prompt's texts",
    "repetition": "share that costs something",
    "refusals": "share of texts",
    "turned_away": "share that code takes for no text",
    "cut": "share that ended at the longest allowed",
    "words": "a text",
    "tokens": "a text, prompts and replies",
}
"""Measures of a policy's own texts, and what each is a mean of."""

OF_WINS: dict[str, str] = {
    "win_rate": "against the reference, in both orders; a tie is half",
    "length_controlled_win_rate": "as if the texts were as long as the reference's",
    "order_consistency": "share of comparisons that the order does not change",
}
"""Measures of a policy against the reference."""

Means = dict[str, float]
"""Prompt to the mean over its texts."""


class Entrant(Value):
    """A policy of a comparison."""

    name: str
    spec: str
    texts: int
    tokens: int
    """In all."""
    adapter: str | None = None
    trained_in: str | None = None


class PolicyReport(Value):
    """A comparison of policies on one file."""

    data: str
    judge: str
    criteria: str
    """Source of the criteria."""
    reference: str
    """Name of the policy that the others are compared with."""
    prompts: int
    texts: int
    """Texts of each policy for each prompt."""
    notes: tuple[str, ...] = ()
    """Reservations that readers must know before they trust the numbers."""
    policies: tuple[Entrant, ...]
    excluded: dict[str, int]
    """Reason to count of what no measure includes."""
    measures: dict[str, dict[str, Estimate]]
    """Measure to its values by policy, and by `B-A` its differences over the prompts that both
    have. Intervals are over prompts."""

    @property
    def flat(self) -> dict[str, Estimate]:
        """Each value under the name that requirements use, such as `B.win_rate`."""
        return {
            f"{row}.{measure}": estimate
            for measure, rows in self.measures.items()
            for row, estimate in rows.items()
        }


def measure_names(policies: Sequence[str]) -> list[str]:
    """The names that `PolicyReport.flat` will have, for requirements that are read before."""
    reference, *others = policies
    rows = [*policies, *(_against(name, reference) for name in others)]
    return [
        *(f"{row}.{measure}" for measure in OF_TEXTS for row in rows),
        *(f"{name}.{measure}" for measure in OF_WINS for name in others),
    ]


def policy_report(
    policies: Sequence[Entrant],
    texts: Sequence[WrittenText],
    scores: Sequence[ScoredText],
    comparisons: Sequence[ComparedTexts],
    *,
    about: Mapping[str, Any],
    excluded: Mapping[str, int] | None = None,
    seed: int = 0,
) -> PolicyReport:
    """Measure all policies on the same prompts.

    Args:
        policies: The policies; the first is the reference.
        texts: Their texts, those that failed among them.
        scores: Scores of the texts.
        comparisons: Texts of the others against the reference's.
        about: Fields of the report that say what was compared: `data`, `judge`, `criteria`,
            `texts`, and `notes` if there are any.
        excluded: What was left out before anything was written.
        seed: Of the bootstrap.
    """
    names = [each.name for each in policies]
    means = _means_of_texts(names, texts, scores)
    measures = {
        measure: {
            **{
                name: mean_bootstrap(list(means[measure][name].values()), seed=seed)
                for name in names
            },
            **{
                _against(name, names[0]): _difference(
                    means[measure][name], means[measure][names[0]], seed
                )
                for name in names[1:]
            },
        }
        for measure in OF_TEXTS
    }
    measures |= _of_wins(names[1:], comparisons, seed)
    return PolicyReport(
        **about,
        reference=names[0],
        prompts=len({each.prompt for each in texts}),
        policies=tuple(policies),
        excluded={**(excluded or {}), **_excluded(texts, scores, comparisons)},
        measures={name: rows for name, rows in measures.items() if rows},
    )


def _against(name: str, reference: str) -> str:
    return f"{name}-{reference}"


def _means_of_texts(
    names: Sequence[str], texts: Sequence[WrittenText], scores: Sequence[ScoredText]
) -> dict[str, dict[str, Means]]:
    """Measure to policy to its mean for each prompt."""
    answers = [each for each in texts if each.failure is None]
    of_texts: dict[str, Callable[[WrittenText], float]] = {
        "repetition": lambda each: repetition(each.text),
        "refusals": lambda each: float(is_refusal(each.text)),
        "cut": lambda each: float(each.is_cut),
        "words": lambda each: float(word_count(each.text)),
        "tokens": lambda each: float(each.tokens),
    }
    of_scores: dict[str, Callable[[ScoredText], float | None]] = {
        "hard": lambda each: each.hard,
        "soft": lambda each: each.soft,
        "turned_away": lambda each: float(each.gate is not None),
    }
    means: dict[str, dict[str, Means]] = {}
    for measure in OF_TEXTS:
        means[measure] = {}
        for name in names:
            own = [each for each in answers if each.policy == name]
            if measure == "diversity":
                means[measure][name] = _diversity(own)
            elif measure in of_texts:
                value = of_texts[measure]
                means[measure][name] = _by_prompt([(t.prompt, value(t)) for t in own])
            else:
                score_of = of_scores[measure]
                rows = [(s.prompt, score_of(s)) for s in scores if s.policy == name]
                means[measure][name] = _by_prompt(rows)
    return means


def _by_prompt(rows: Sequence[tuple[str, float | None]]) -> Means:
    """Mean over the texts of each prompt; texts without a value are left out."""
    values = defaultdict(list)
    for prompt, value in rows:
        if value is not None:
            values[prompt].append(value)
    return {prompt: fmean(each) for prompt, each in values.items()}


def _diversity(texts: Sequence[WrittenText]) -> Means:
    groups = defaultdict(list)
    for each in texts:
        groups[each.prompt].append(each.text)
    alike = {prompt: self_similarity(group) for prompt, group in groups.items()}
    return {prompt: 1 - share for prompt, share in alike.items() if share is not None}


def _difference(means: Means, others: Means, seed: int) -> Estimate:
    both = [prompt for prompt in means if prompt in others]
    return paired_bootstrap([means[p] for p in both], [others[p] for p in both], seed=seed)


def _of_wins(
    names: Sequence[str], comparisons: Sequence[ComparedTexts], seed: int
) -> dict[str, dict[str, Estimate]]:
    estimates: dict[str, dict[str, Estimate]] = {measure: {} for measure in OF_WINS}
    for name in names:
        own = [each for each in comparisons if each.policy == name]
        # made once and not for each resample
        wins = [(each.prompt, win) for each in own if (win := _win(each))]
        agreed = [
            (each.prompt, float(same))
            for each in own
            if each.is_judged and (same := each.comparison.is_consistent) is not None
        ]
        estimates["win_rate"][name] = _by_cluster(wins, mean_win, seed)
        estimates["length_controlled_win_rate"][name] = _by_cluster(
            wins, length_controlled_win_rate, seed
        )
        estimates["order_consistency"][name] = _by_cluster(
            agreed, lambda values: fmean(values) if values else None, seed
        )
    return estimates


T = TypeVar("T")


def _by_cluster(
    rows: Sequence[tuple[str, T]], measure: Callable[[list[T]], float | None], seed: int
) -> Estimate:
    """Estimate a measure of values, each with the prompt that it belongs to."""
    return cluster_bootstrap(
        rows, lambda row: row[0], lambda sample: measure([value for _, value in sample]), seed=seed
    )


_WORTH = {"left": 1.0, "right": 0.0, "tie": 0.5}


def _win(row: ComparedTexts) -> Win | None:
    winner = row.comparison.winner
    return None if winner is None else Win(won=_WORTH[winner], longer=row.longer)


def _excluded(
    texts: Sequence[WrittenText],
    scores: Sequence[ScoredText],
    comparisons: Sequence[ComparedTexts],
) -> Counter[str]:
    """Texts, scores and comparisons that are in no measure, by policy and reason."""
    counts: Counter[str] = Counter()
    for text in texts:
        if text.failure:
            counts[f"{text.policy}: no text: {text.failure}"] += 1
    for score in scores:
        if score.missing:
            counts[f"{score.policy}: no score: {score.missing}"] += 1
    for each in comparisons:
        if each.missing:
            counts[f"{each.policy}: no winner: {each.missing}"] += 1
    return counts
