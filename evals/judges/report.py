"""The report on a judge: its agreement with people."""

import hashlib
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np

from quillgraph.agents.domain import Value
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.evals.judges.calibration import Band, Calibration, curve, fit, leniency
from quillgraph.evals.judges.scores import JudgedText, ScoredPair
from quillgraph.evals.measures.agreement import (
    cohen_kappa,
    krippendorff_alpha,
    pair_accuracy,
    spearman,
    spearman_within,
)
from quillgraph.evals.measures.intervals import Estimate, cluster_bootstrap

LEAST_TO_CALIBRATE = 20
"""Fewest pairs of scores; on fewer a calibration would fit noise."""


class Calibrated(Value):
    """A calibration fitted on one half of the prompts and measured on the other."""

    calibration: Calibration
    tested_on: int
    error_before: float
    """Mean absolute difference from people's scores on the other half, in points."""
    error_after: float


class JudgeReport(Value):
    """Agreement of one judge with people on one file."""

    judge: str
    criteria: str
    """Source of the criteria."""
    data: str
    texts: int
    pairs: int
    excluded: dict[str, int]
    """Reason to count of what no measure includes. A judge that refuses a third of the texts is not
    reliable on the rest."""
    measures: dict[str, Estimate]
    """`length_…` measures a baseline that prefers the longer text, `human_…` how far people agree
    with each other."""
    calibration: Calibrated | None = None
    curve: tuple[Band, ...] = ()


def judge_report(
    texts: Sequence[JudgedText],
    pairs: Sequence[ScoredPair],
    *,
    judge: str,
    criteria: str,
    data: str,
    skipped: int = 0,
    seed: int = 0,
) -> JudgeReport:
    """Measure a judge's scores against people's.

    Args:
        texts: Texts with scores of the judge and of people.
        pairs: Pairs with scores of the judge and votes of people.
        judge: The judge's name.
        criteria: Source of the criteria.
        data: Name of the file.
        skipped: Number of records that could not be used.
        seed: Seed of the bootstrap and of the split for calibration.
    """
    scored = [each for each in texts if each.judged is not None and each.human is not None]
    decided = [pair for pair in pairs if pair.preferred != "tie"]
    measures = {
        **({} if not texts else _of_texts(scored, seed)),
        **({} if not pairs else _of_pairs(decided, pairs, seed)),
    }
    excluded = Counter(each.reason or "no score" for each in texts if each.judged is None)
    for pair in decided:
        if pair.choice is None:
            excluded[pair.left.reason or pair.right.reason] += 1
    if undecided := len(pairs) - len(decided):
        excluded["pairs on which people are divided evenly"] = undecided
    if skipped:
        excluded["records that could not be read"] = skipped
    judged, human = _scores(scored)
    return JudgeReport(
        judge=judge,
        criteria=criteria,
        data=data,
        texts=len(texts),
        pairs=len(pairs),
        excluded=dict(excluded),
        measures=measures,
        calibration=_calibrated(scored, seed),
        curve=curve(judged, human),
    )


Rows = Sequence[JudgedText]
Pairs = Sequence[ScoredPair]


def _of_texts(scored: Rows, seed: int) -> dict[str, Estimate]:
    def estimate(measure: Callable[[Rows], float | None]) -> Estimate:
        return cluster_bootstrap(scored, lambda row: row.group, measure, seed=seed)

    return {
        "spearman": estimate(rank_agreement),
        "spearman_within": estimate(rank_agreement_within),
        "alpha": estimate(lambda rows: krippendorff_alpha(_scores(rows), "interval")),
        "leniency": estimate(lambda rows: leniency(*_scores(rows))),
        "length_spearman": estimate(
            lambda rows: spearman([len(row.text) for row in rows], _scores(rows)[1])
        ),
    }


def _of_pairs(decided: Pairs, everyone: Pairs, seed: int) -> dict[str, Estimate]:
    def estimate(measure: Callable[[Pairs], float | None], pairs: Pairs = decided) -> Estimate:
        return cluster_bootstrap(pairs, lambda pair: pair.group, measure, seed=seed)

    return {
        "pair_accuracy": estimate(preference_accuracy),
        "kappa": estimate(_kappa),
        "length_pair_accuracy": estimate(
            lambda pairs: pair_accuracy([_ranked(p, lambda s: float(len(s.text))) for p in pairs])
        ),
        "human_agreement": estimate(_human_agreement, everyone),
    }


def _scores(rows: Rows) -> tuple[list[float], list[float]]:
    """The judge's scores and people's, for the texts that have both."""
    both = [(r.judged, r.human) for r in rows if r.judged is not None and r.human is not None]
    return [judged for judged, _ in both], [human for _, human in both]


def rank_agreement(rows: Rows) -> float | None:
    """Spearman of the judge's scores and people's; None if either has no spread."""
    return spearman(*_scores(rows))


def rank_agreement_within(rows: Rows) -> float | None:
    """Mean of `rank_agreement` within prompts; None if no prompt has texts to rank."""
    groups: dict[str, list[JudgedText]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return spearman_within([_scores(group) for group in groups.values() if len(group) > 1])


def preference_accuracy(pairs: Pairs) -> float | None:
    """Share of pairs in which the judge scores the preferred text higher.

    Pairs on which people are evenly divided carry no information and are left out.
    """
    return pair_accuracy([_ranked(pair) for pair in pairs if pair.preferred != "tie"])


def _ranked(
    pair: ScoredPair, worth: Callable[[JudgedText], float | None] = lambda scored: scored.judged
) -> tuple[float | None, float | None]:
    """Scores of the text that people prefer, and of the other one."""
    left, right = worth(pair.left), worth(pair.right)
    return (left, right) if pair.preferred == "left" else (right, left)


def _kappa(pairs: Pairs) -> float | None:
    labels = [(choice, pair.preferred) for pair in pairs if (choice := pair.choice)]
    return cohen_kappa([a for a, _ in labels], [b for _, b in labels])


def _human_agreement(pairs: Pairs) -> float | None:
    """Share of pairs of raters who agree on a pair of texts."""
    agreed = [a == b for pair in pairs for a, b in combinations(pair.votes, 2)]
    return float(np.mean(agreed)) if agreed else None


def _calibrated(scored: Rows, seed: int) -> Calibrated | None:
    """Fit on the prompts whose hash is even, test on the others."""

    def half(row: JudgedText) -> int:
        return hashlib.sha256(f"{seed}/{row.group}".encode()).digest()[0] % 2

    fitted_on, tested_on = (
        _scores([row for row in scored if half(row) == side]) for side in (0, 1)
    )
    if min(len(fitted_on[0]), len(tested_on[0])) < LEAST_TO_CALIBRATE // 2:
        return None
    calibration = fit(*fitted_on, "isotonic")
    judged, human = (np.asarray(side) for side in tested_on)
    corrected = np.asarray([calibration(score) for score in judged])
    return Calibrated(
        calibration=calibration,
        tested_on=len(judged),
        error_before=float(np.abs(judged - human).mean()),
        error_after=float(np.abs(corrected - human).mean()),
    )


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_REQUIREMENT = re.compile(r"\s*([\w.-]+?)\s*(>=|<=|>|<)\s*(-?\d*\.?\d+)\s*")


def requirement_of(requirement: str, names: Iterable[str]) -> tuple[str, str, float]:
    """Read a requirement such as `pair_accuracy>=0.6` into measure, comparison and number.

    Raises:
        ConfigError: If it cannot be read, or names a measure that is not among `names`.
    """
    parts = _REQUIREMENT.fullmatch(requirement)
    if not parts:
        raise ConfigError(f"expected NAME>=NUMBER, such as pair_accuracy>=0.6, got {requirement!r}")
    name, sign, number = parts.groups()
    if name not in (measures := list(names)):
        raise ConfigError(f"no measure {name!r} on this file: {nearest(name, measures)}")
    return name, sign, float(number)


def unmet(requirement: str, measures: dict[str, Estimate]) -> str | None:
    """Check a requirement.

    Returns:
        None if it is met, else a line with the measured value.

    Raises:
        ConfigError: As `requirement_of` does.
    """
    name, sign, number = requirement_of(requirement, measures)
    value = measures[name].value
    if value is not None and _COMPARISONS[sign](value, number):
        return None
    return f"{requirement}: {name} is {'undefined' if value is None else format(value, '.3f')}"
