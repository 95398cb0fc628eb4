"""A judge that was trained on people's scores, in place of a prompted model.

It reads the text once for any number of criteria, and calls no chat model. It knows how people rate
short English prose, and whether a text keeps to its subject. Two criteria that are about the same
subject and ask for different things get nearly the same score.
"""

import asyncio
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from langchain_core.embeddings import Embeddings

from quillgraph.agents.checks.language import is_known
from quillgraph.agents.domain import Core, CriteriaSet, Criterion, WritingTask
from quillgraph.agents.judgements import BEST_SCORE, Missing, Verdict, judged
from quillgraph.agents.judges.gate import refusal
from quillgraph.agents.judges.prompted import MOST_TEXT_CHARS, Ballot
from quillgraph.agents.judges.scorer_folder import (
    ModelName,
    ScorerFolder,
    read_scorer,
    relevance_measures,
)
from quillgraph.agents.requests.task import NO_REQUEST
from quillgraph.agents.text.language import CLEAR_LETTERS, language_of, letter_count, may_be
from quillgraph.backends.embeddings import Vectors, connect_embeddings
from quillgraph.backends.errors import ConfigError, InputError, PolicyError
from quillgraph.backends.transformers import HiddenStates, weights_hash
from quillgraph.backends.weights import resolve

KIND = "scorer:"
"""Prefix of a scorer's spec, where a model's spec has its backend."""

WORST_SCORE = 1.0


class Reader(Protocol):
    """Anything that makes vectors of texts."""

    def of(self, texts: Sequence[str]) -> Vectors:
        """One row per text."""


@dataclass(frozen=True, slots=True)
class TrainedJudge:
    """Scores texts with a head on the hidden states of a frozen model.

    It cites no sentence, so its verdicts have no evidence, and the cap on scores without evidence
    does not apply to them. A text that the gate refuses gets the lowest score; one in a language
    that the scorer was not trained on gets no verdict.
    """

    scorer: ScorerFolder
    reader: Reader
    embeddings: Embeddings

    @property
    def name(self) -> str:
        """The prefix `scorer:` and the id of the scorer."""
        return f"{KIND}{self.scorer.id}"

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        """Give one verdict on each criterion.

        Raises:
            InputError: If the text is longer than `MOST_TEXT_CHARS`.
        """
        soft = judged(tuple(criteria))
        if len(text) > MOST_TEXT_CHARS:
            raise InputError(
                f"expected a text of at most {MOST_TEXT_CHARS:,} characters to judge, got "
                f"{len(text):,}; judge its chapters one by one"
            )
        if reason := self._foreign(text):
            return Ballot((), tuple(Missing(criterion_id=c.id, reason=reason) for c in soft))
        if reason := refusal(text, task.request, self._as_set(task, soft)):
            return Ballot(tuple(_verdict(c, WORST_SCORE, f"no text: {reason}") for c in soft))
        scores, reasons = await asyncio.to_thread(self._scores, task, text, soft)
        return Ballot(tuple(map(_verdict, soft, scores, reasons)))

    def _foreign(self, text: str) -> str | None:
        """Why the language of a text rules out a score; None if it does not."""
        known = self.scorer.config.language
        letters = [character for character in text if character.isalpha()]
        latin = sum(unicodedata.name(each, "").startswith("LATIN") for each in letters)
        if letters and latin < len(letters) / 2:
            return f"this scorer was trained on {known!r} alone, and the text is in another script"
        if letter_count(text) < CLEAR_LETTERS:
            return None
        language = language_of(text)
        # a language that no request names is a misdetection, as in the gate
        if may_be(text, known) or not is_known(language):
            return None
        return f"this scorer was trained on {known!r} alone, and the text is in {language!r}"

    def _as_set(self, task: WritingTask, criteria: tuple[Criterion, ...]) -> CriteriaSet:
        """The criteria as the gate takes them; the language has already been checked."""
        return CriteriaSet(
            request_hash=task.request_hash,
            language=self.scorer.config.language,
            genre=task.genre,
            core=Core(category_id="", storyline=""),
            criteria=criteria,
        )

    def _scores(
        self, task: WritingTask, text: str, criteria: tuple[Criterion, ...]
    ) -> tuple[list[float], list[str]]:
        """Scores, and the reason of each."""
        quality = self._quality(text)
        relevance_K = self._relevance(task, text, criteria)
        shortest, longest = self.scorer.config.words
        words = len(text.split())
        beyond = (
            ""
            if shortest <= words <= longest
            else f"; its {words} words lie outside the {shortest} to {longest} it was trained on"
        )
        # a text that is more likely on its subject than off it loses nothing
        scores = [
            WORST_SCORE + (quality - WORST_SCORE) * min(1.0, 2 * float(relevance))
            for relevance in relevance_K
        ]
        reasons = [
            f"trained scorer, no sentence cited: quality {quality:.1f}, on its subject "
            f"{relevance:.0%}{beyond}"
            for relevance in relevance_K
        ]
        return scores, reasons

    def _quality(self, text: str) -> float:
        """Points from 1 to 10, whatever the criterion."""
        *weights, bias = self.scorer.weights.quality.astype(np.float64)
        points = float(self.reader.of([text])[0].astype(np.float64) @ np.asarray(weights)) + bias
        return float(np.clip(points, WORST_SCORE, BEST_SCORE))

    def _relevance(self, task: WritingTask, text: str, criteria: tuple[Criterion, ...]) -> Vectors:
        """From 0 to 1: whether the text has the subject of each criterion and of the request."""
        request = [] if task.request == NO_REQUEST else [task.request]
        subjects = [subject(criterion) for criterion in criteria]
        vectors = np.asarray(
            self.embeddings.embed_documents([text, *subjects, *request]), np.float32
        )
        measures = relevance_measures(
            vectors[0],
            vectors[-1] if request else None,
            vectors[1 : 1 + len(subjects)],
            self.scorer.weights.anchors,
        )
        *weights, bias = self.scorer.weights.relevance
        relevance: Vectors = 1 / (1 + np.exp(-(measures @ np.asarray(weights) + bias)))
        return relevance


def trained_judge(spec: str, *, kept_in: Path | None = None) -> TrainedJudge:
    """Make the judge that a spec names, `scorer:FOLDER`; its models are loaded with the first text.

    Args:
        spec: Folder of a scorer, or the name of one that comes with the package.
        kept_in: Folder that keeps the hidden states of texts beyond the process; None keeps
            nothing.

    Raises:
        ConfigError: If there is no such scorer, or a model that it needs is not available.
        PolicyError: If the scorer is damaged, or its models are not those that it was fitted to.
    """
    scorer = read_scorer(spec.removeprefix(KIND))
    config = scorer.config
    reader = HiddenStates(Path(resolve(config.reader.name)), config.layers, kept_in=kept_in)
    embeddings = connect_embeddings(config.embedder.name)
    for model, folder in ((config.reader, reader.folder), (config.embedder, _folder(embeddings))):
        _check_model(spec, model, folder)
    if len(scorer.weights.quality) != reader.width + 1:
        raise PolicyError(
            f"{spec}: expected {reader.width + 1} numbers for layers {list(config.layers)} of "
            f"{config.reader.name}, got {len(scorer.weights.quality)}"
        )
    return TrainedJudge(scorer, reader, embeddings)


def is_scorer(spec: str | None) -> bool:
    """Whether a spec names a trained scorer."""
    return spec is not None and spec.startswith(KIND)


def subject(criterion: Criterion) -> str:
    """A criterion as it is embedded."""
    return f"{criterion.name}. {criterion.description}"


def _folder(embeddings: Embeddings) -> Path:
    folder = getattr(embeddings, "folder", None)
    if not isinstance(folder, Path):
        raise ConfigError("expected embeddings of a model for a scorer, got some of no model")
    return folder


def _check_model(spec: str, model: ModelName, folder: Path) -> None:
    if (digest := weights_hash(folder)) != model.sha256:
        raise PolicyError(
            f"{spec} was fitted to {model.name} with weights {model.sha256[:12]}…, but "
            f"{folder} has {digest[:12]}…; its numbers mean nothing on another model: train it "
            "again, or bring that model back"
        )


def _verdict(criterion: Criterion, score: float, reason: str) -> Verdict:
    return Verdict(criterion_id=criterion.id, score=score, votes=(score,), reason=reason)
