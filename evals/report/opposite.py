"""Texts of compared policies side by side: the texts behind a comparison's numbers."""

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
    """A text of a policy, with notes on its scores."""

    policy: str
    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opposite:
    """The first text of each policy for one prompt."""

    prompt: str
    request: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class PolicyTexts:
    """The texts of a comparison of policies."""

    prompts: tuple[Opposite, ...]
    all: int
    """Prompts of the comparison."""


def policy_texts(folder: Folder) -> PolicyTexts | None:
    """Read the texts of a comparison; None if the folder holds another kind of run."""
    prompts = list(folder.lines("prompts.jsonl", Prompt))
    texts = {row.place: row for row in folder.lines("texts.jsonl", WrittenText)}
    if not texts:
        return None
    scores = {row.place: row for row in folder.lines("scores.jsonl", ScoredText)}
    wins = {row.place: row for row in folder.lines("comparisons.jsonl", ComparedTexts)}
    names = list(dict.fromkeys(policy for policy, _, _ in texts))
    opposites = []
    for prompt in prompts[:MOST_PROMPTS]:
        places = [place for name in names if (place := (name, prompt.id, 0)) in texts]
        pieces = tuple(_piece(texts[place], scores, wins) for place in places)
        if pieces:
            request = shortened(prompt.task.request, LONGEST)
            opposites.append(Opposite(prompt.id, request, pieces))
    return PolicyTexts(tuple(opposites), len(prompts))


def _piece(
    text: WrittenText,
    scores: Mapping[TextKey, ScoredText],
    wins: Mapping[TextKey, ComparedTexts],
) -> Piece:
    score, row = scores.get(text.place), wins.get(text.place)
    notes = [f"no text: {text.failure}"] if text.failure else [f"{text.tokens:,} tokens"]
    if text.is_cut:
        notes.append("cut at the longest allowed")
    if score and score.hard is not None:
        notes.append(f"demands kept {score.hard:.2f}")
    if score and score.gate:
        notes.append(f"turned away: {score.gate}")
    elif score:
        notes.append("no score" if score.soft is None else f"score {score.soft:.2f}")
    if row:
        notes.append(WON[row.comparison.winner])
    return Piece(text.policy, shortened(text.text, LONGEST), tuple(notes))
