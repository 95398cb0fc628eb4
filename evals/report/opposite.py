"""Texts of compared policies, opposite one another: what the numbers of a comparison are about."""

from collections.abc import Mapping
from dataclasses import dataclass

from quillgraph.evals.data.prompts import Prompt
from quillgraph.evals.policies.records import ComparedTexts, ScoredText, TextKey, WrittenText
from quillgraph.evals.report.calls import shortened
from quillgraph.evals.report.folder import Folder

MOST_PROMPTS = 20
"""Prompts whose texts are shown; the files have all."""

LONGEST = 6_000
"""Characters of a text that are shown."""

WON = {"left": "won", "right": "lost", "tie": "tie", None: "no winner"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A text of a policy, and what was found of it."""

    policy: str
    text: str
    found: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opposite:
    """The first text of each policy for one prompt."""

    prompt: str
    request: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison of policies has written."""

    prompts: tuple[Opposite, ...]
    all: int
    """Prompts of the comparison."""


def compared(folder: Folder) -> Compared | None:
    """Read the texts of a comparison; None where the folder is of another run."""
    prompts = list(folder.lines("prompts.jsonl", Prompt))
    texts = {row.place: row for row in folder.lines("texts.jsonl", WrittenText)}
    if not texts:
        return None
    scores = {row.place: row for row in folder.lines("scores.jsonl", ScoredText)}
    wins = {row.place: row for row in folder.lines("comparisons.jsonl", ComparedTexts)}
    names = list(dict.fromkeys(policy for policy, _, _ in texts))
    shown = []
    for prompt in prompts[:MOST_PROMPTS]:
        places = [place for name in names if (place := (name, prompt.id, 0)) in texts]
        pieces = tuple(_piece(texts[place], scores, wins) for place in places)
        if pieces:
            request = shortened(prompt.task.request, LONGEST)
            shown.append(Opposite(prompt.id, request, pieces))
    return Compared(tuple(shown), len(prompts))


def _piece(
    text: WrittenText,
    scores: Mapping[TextKey, ScoredText],
    wins: Mapping[TextKey, ComparedTexts],
) -> Piece:
    found, won = scores.get(text.place), wins.get(text.place)
    told = [f"no text: {text.failure}"] if text.failure else [f"{text.tokens:,} tokens"]
    if text.is_cut:
        told.append("cut at the longest allowed")
    if found and found.hard is not None:
        told.append(f"demands kept {found.hard:.2f}")
    if found and found.gate:
        told.append(f"turned away: {found.gate}")
    elif found:
        told.append("no score" if found.soft is None else f"score {found.soft:.2f}")
    if won:
        told.append(WON[won.comparison.winner])
    return Piece(text.policy, shortened(text.text, LONGEST), tuple(told))
