"""Votes: which of several texts do most judges, on most criteria, rank first?

Means of scores depend on how each judge uses the scale: one that spreads its scores outvotes one
that does not. Here a vote is only the order in which one judge ranks the texts on one criterion,
and the texts are compared two by two (Condorcet; Copeland 1951).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from quillgraph.agents.domain import CriteriaSet, Value
from quillgraph.agents.judgements import Judgement, Missing, Verdict, judged
from quillgraph.backends.errors import InputError


@dataclass(frozen=True, slots=True)
class Vote:
    """The order in which one judge ranks the texts on one criterion, as scores."""

    weight: float
    scores: Mapping[int, float]
    """Number of the text to score; a missing text is ranked neither above nor below any."""


class Standing(Value):
    """How a text did against the others."""

    candidate: int
    """Number of the text."""
    wins: float
    """Duels won, plus half of those drawn."""
    margin: float
    """Weight of the votes for it minus that of the votes against it, over all its duels."""


def tally(candidates: Sequence[int], votes: Sequence[Vote]) -> tuple[Standing, ...]:
    """Rank the texts by their duels, the best first.

    In a duel, each vote with scores for both texts gives its weight to the higher one. Of texts
    with equally many wins, the one with the larger margin comes first, then the one with the lower
    number. A text that beats every other comes first (Condorcet winner).

    Raises:
        InputError: If there is no text to vote on, or two texts have the same number.
    """
    if not candidates or len(set(candidates)) < len(candidates):
        raise InputError(f"expected texts with numbers of their own, got {list(candidates)}")
    leads: dict[int, list[float]] = {number: [] for number in candidates}
    for one, other in combinations(candidates, 2):
        lead = _lead(one, other, votes)
        leads[one].append(lead)
        leads[other].append(-lead)
    wins = {n: sum(0.5 if lead == 0 else float(lead > 0) for lead in leads[n]) for n in candidates}
    margin = {n: math.fsum(leads[n]) for n in candidates}
    ranked = sorted(candidates, key=lambda each: (-wins[each], -margin[each], each))
    return tuple(Standing(candidate=n, wins=wins[n], margin=margin[n]) for n in ranked)


def votes_of(judgements: Sequence[Mapping[int, Judgement]], criteria: CriteriaSet) -> list[Vote]:
    """Turn judgements into votes: one of each judge on each soft or pitfall criterion.

    Args:
        judgements: One mapping per judge, from the number of a text to its judgement.
        criteria: The criteria of the judgements; a vote has the weight of its criterion.
    """
    votes = []
    for by_text in judgements:
        for criterion in judged(criteria.criteria):
            scores = {n: each.scores[criterion.id] for n, each in by_text.items()
                      if criterion.id in each.scores}  # fmt: skip
            if len(scores) > 1:
                votes.append(Vote(criterion.weight, scores))
    return votes


def pooled(judgements: Sequence[Judgement]) -> Judgement:
    """Pool the judgements of several judges on the same text: median scores, and all votes."""
    first = judgements[0]
    by_criterion: dict[str, list[Verdict]] = {}
    for each in judgements:
        for verdict in each.verdicts:
            by_criterion.setdefault(verdict.criterion_id, []).append(verdict)
    missing = {entry.criterion_id: entry for each in judgements for entry in each.missing}
    return first.model_copy(
        update={
            "judge": " and ".join(dict.fromkeys(each.judge for each in judgements)),
            "verdicts": tuple(_median(verdicts) for verdicts in by_criterion.values()),
            "missing": tuple(
                Missing(criterion_id=key, reason=entry.reason)
                for key, entry in missing.items()
                if key not in by_criterion
            ),
        }
    )


def _lead(one: int, other: int, votes: Sequence[Vote]) -> float:
    """Weight of the votes for one text over another, minus that of the votes against it."""
    both = [vote for vote in votes if one in vote.scores and other in vote.scores]
    # exact sums: a tie must stay one in any order of the votes
    return math.fsum(
        vote.weight if vote.scores[one] > vote.scores[other] else -vote.weight
        for vote in both
        if vote.scores[one] != vote.scores[other]
    )


def _median(verdicts: Sequence[Verdict]) -> Verdict:
    middle = median(verdict.score for verdict in verdicts)
    voice = min(verdicts, key=lambda each: (abs(each.score - middle), each.evidence is None))
    votes = tuple(vote for verdict in verdicts for vote in verdict.votes)
    return voice.model_copy(update={"score": middle, "votes": votes})
