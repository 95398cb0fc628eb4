"""Candidate lessons, written by code from the scores, for a small model to choose among."""

from dataclasses import dataclass

from quillgraph.agents.checks.language import language_for
from quillgraph.agents.checks.templates import Move
from quillgraph.agents.memory.hygiene import fault_of
from quillgraph.agents.memory.lesson import Contrast, Fate, Operation

MOST_CANDIDATES = 6
"""Most candidates in one list; a small model cannot tell more apart."""

MIDDLE = 2
"""Index of the band 5-6; a criterion at this band or below still needs a revision."""


@dataclass(frozen=True, slots=True)
class _Move:
    """A change of a criterion's band; the bands are numbered from 0."""

    kind: Move
    name: str
    before: int
    after: int


def candidates(contrast: Contrast, language: str) -> tuple[Operation, ...]:
    """Write the lessons that an episode may teach, as operations that add them.

    An accepted revision that raised a criterion by a band or more shows what to do. A revision
    that lowered a criterion shows what to avoid, and so does a refused one that left a criterion
    at 5-6 or below. If no revision raised a criterion, the best text is compared with the worst.

    Args:
        contrast: Scores of the texts and results of the revisions.
        language: Language of the request, and so of the lessons.

    Returns:
        At most `MOST_CANDIDATES` lessons, those of the largest changes first.
    """
    moves = [move for fate in contrast.revisions for move in _moves(fate, contrast)]
    raised_names = {move.name for move in moves if move.kind == "raised"}
    moves += [move for move in _contrasts(contrast) if move.name not in raised_names]
    moves.sort(key=lambda move: -abs(move.after - move.before))
    # the same kind of change from another band has the same words
    lessons = dict.fromkeys(_operation(move, language) for move in moves)
    # a criterion's name that seems to speak to a judge would be refused later
    sound = [each for each in lessons if not fault_of(each.condition, each.strategy, ())]
    return tuple(sound[:MOST_CANDIDATES])


def _moves(fate: Fate, contrast: Contrast) -> list[_Move]:
    moves = []
    for name in contrast.criteria:
        if name not in fate.before or name not in fate.after:
            continue
        before, after = _band(fate.before[name]), _band(fate.after[name])
        if after < before:
            moves.append(_Move("lowered", name, before, after))
        elif after > before and fate.accepted:
            moves.append(_Move("raised", name, before, after))
        elif after == before <= MIDDLE and not fate.accepted:
            moves.append(_Move("stuck", name, before, after))
    return moves


def _contrasts(contrast: Contrast) -> list[_Move]:
    both = [name for name in contrast.criteria if name in contrast.best and name in contrast.worst]
    bands = [(name, _band(contrast.worst[name]), _band(contrast.best[name])) for name in both]
    return [_Move("reached", name, low, high) for name, low, high in bands if low < high]


def _band(score: float) -> int:
    """Index of the band of a score from 1 to 10; 2.5 is still in the band 1-2."""
    return (int(score) - 1) // 2


def _operation(move: _Move, language: str) -> Operation:
    words = language_for(language).templates.lessons[move.kind]
    return Operation(
        operation="ADD",
        condition=words.condition.format(name=move.name),
        strategy=words.strategy,
        polarity="do" if move.kind in ("raised", "reached") else "avoid",
        criteria=(move.name,),
    )
