"""The texts of an episode side by side: scores, rewards, changes, and outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass

from quillgraph.agents.domain import Criterion
from quillgraph.agents.judgements import Judgement, band_of
from quillgraph.evals.report.passages import Segment, Span, quoted, segments, word_differences
from quillgraph.graphs.episodes import Attempt


@dataclass(frozen=True, slots=True)
class Cell:
    """The result of a judge or of code for one text on one criterion."""

    words: str
    mark: str
    """Band of the score, `kept`, `broken`, `unread` or `none`: decides the colour."""
    reason: str = ""


ABSENT = Cell("–", "none")


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One criterion, or one part of the reward, over all texts."""

    name: str
    criterion_id: str | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class ShownText:
    """One text, and its changes against the text that it revises."""

    attempt: Attempt
    title: str
    stands: bool
    parent: tuple[Segment, ...]
    """The text that it revises, with removed words marked; empty for a first draft."""
    segments: tuple[Segment, ...]

    @property
    def is_copy(self) -> bool:
        """Whether a revision repeats its parent word for word."""
        is_changed = any(each.has("removed") for each in self.parent)
        is_changed = is_changed or any(each.has("added") for each in self.segments)
        return bool(self.parent) and not is_changed


def texts(attempts: Sequence[Attempt], best: int | None) -> tuple[ShownText, ...]:
    """The texts in order, each compared with the one that it revises.

    Args:
        attempts: The texts.
        best: Number of the accepted text; None if unknown.
    """
    by_number = {attempt.number: attempt for attempt in attempts}
    return tuple(_text(attempt, by_number, best) for attempt in attempts)


def score_rows(
    criteria: Sequence[Criterion], attempts: Sequence[Attempt]
) -> tuple[AttemptRow, ...]:
    """Score of each criterion in each round."""
    return tuple(
        AttemptRow(each.name, each.id, tuple(_cell(each, a.judgement) for a in attempts))
        for each in criteria
    )


def reward_rows(attempts: Sequence[Attempt]) -> tuple[AttemptRow, ...]:
    """The reward of each text and its parts; an absent part shows as a dash."""
    if not attempts:
        return ()
    names = [name for name in type(attempts[0].reward).model_fields if name != "value"]
    parts = {name: tuple(_part(each, name) for each in attempts) for name in ("value", *names)}
    rows = [
        AttemptRow("reward" if name == "value" else name, None, cells)
        for name, cells in parts.items()
        if name == "value" or any(cell != ABSENT for cell in cells)
    ]
    changes = tuple(_plain(None if a.delta is None else f"{a.delta:+.3f}") for a in attempts)
    return (*rows, AttemptRow("change against the best before", None, changes))


def _text(attempt: Attempt, by_number: dict[int, Attempt], best: int | None) -> ShownText:
    before = None if attempt.parent is None else by_number.get(attempt.parent)
    removed, added = word_differences(before.text, attempt.text) if before else ([], [])
    parent = segments(before.text, [*removed, *_quotes(before)]) if before else ()
    own = segments(attempt.text, [*added, *_quotes(attempt)])
    kind = f"revision of text {attempt.parent}" if attempt.parent is not None else "draft"
    return ShownText(attempt, f"Text {attempt.number}: {kind}", attempt.number == best, parent, own)


def _quotes(attempt: Attempt) -> list[Span]:
    return [
        span
        for verdict in attempt.judgement.verdicts
        for span in quoted(attempt.text, verdict.quote, verdict.criterion_id)
    ]


def _cell(criterion: Criterion, judgement: Judgement) -> Cell:
    if judgement.gate and criterion.kind != "hard":
        return Cell("–", "none", f"turned away: {judgement.gate}")
    for verdict in judgement.verdicts:
        if verdict.criterion_id == criterion.id:
            return Cell(f"{verdict.score:g}", f"band{band_of(verdict.score)}", verdict.reason)
    for missing in judgement.missing:
        if missing.criterion_id == criterion.id:
            return Cell("not read", "unread", missing.reason)
    for violation in judgement.violations:
        if violation.criterion_id == criterion.id:
            return Cell("broken", "broken", violation.reason)
    return Cell("kept", "kept") if criterion.kind == "hard" else Cell("–", "none", "not judged")


def _part(attempt: Attempt, name: str) -> Cell:
    """A number, or the ids of criteria: broken, without a verdict, or left out."""
    value = getattr(attempt.reward, name)
    if isinstance(value, tuple):
        return _plain(", ".join(value) or None)
    return _plain(None if value is None else f"{value:.3f}")


def _plain(words: str | None) -> Cell:
    return ABSENT if words is None else Cell(words, "none")
