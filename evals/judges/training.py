"""Trains a judge on people's scores: reads them, compares heads, and builds a scorer.

The language model is frozen; its hidden states are computed once and cached on disk. Heads are
compared by cross-validation on the training files alone, which never splits a family of texts. The
best head is then fitted to all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from quillgraph.agents.judges import ModelName, Reader, ScorerConfig, ScorerWeights
from quillgraph.backends.errors import InputError
from quillgraph.evals.data.loader import load
from quillgraph.evals.data.records import RatedText, RubricRequest
from quillgraph.evals.judges.corruption import COST, WORST, worsened, worthless
from quillgraph.evals.judges.heads import (
    HEADS,
    LinearHead,
    ScoredVectors,
    Validation,
    predicted,
    validate,
)
from quillgraph.evals.judges.relevance import Relevance, fit_relevance
from quillgraph.evals.measures.families import family_of_each

READER, LAYERS, EMBEDDER = "smollm2-135m", (10, 15, 20), "minilm"
"""The frozen models, and the layers whose states are used; compared in LOG.md."""

LANGUAGE = "en"

FEWEST = 100
"""Fewest scored texts; on fewer a head would memorize them."""

SPOILT = 40
"""Corrupted texts of each kind."""

AT_ONCE = 50
"""Texts between two progress messages."""

Progress = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Material:
    """Data that a scorer is trained on."""

    rated: tuple[RatedText, ...]
    rubrics: tuple[RubricRequest, ...]
    """Requests with a criterion, and a text that meets it."""
    files: dict[str, int]
    """Name to the number of records used."""
    skipped: tuple[str, ...]

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Self:
        """Read files of scored texts, and of requests with criteria and a reference text.

        Raises:
            InputError: If a file holds neither, or there is too little of one of the two.
        """
        rated: list[RatedText] = []
        rubrics: list[RubricRequest] = []
        files, skipped = {}, []
        for path in paths:
            data = load(path)
            met = [each for each in data.requests if each.criteria and each.reference]
            if not data.rated and not met:
                raise InputError(
                    f"{path} ({data.format}) has neither scored texts nor requests with criteria "
                    "and a text that meets them; pairs and bare requests train no scorer"
                )
            rated += data.rated
            rubrics += met
            files[path.name] = len(data.rated) + len(met)
            skipped += [f"{path.name}, {each}" for each in data.skipped]
        for what, count in (("scored texts", len(rated)), ("requests with criteria", len(rubrics))):
            if count < FEWEST:
                raise InputError(
                    f"expected {FEWEST} {what} or more to train on, got {count}; give further "
                    "files with --data"
                )
        return cls(tuple(rated), tuple(rubrics), files, tuple(skipped))


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained scorer, with its cross-validation on the training files."""

    config: ScorerConfig
    weights: ScorerWeights
    validations: tuple[Validation, ...]
    """One for each head, the best first."""
    relevance: Relevance

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "config": self.config.model_dump(mode="json"),
            "heads": [each.model_dump(mode="json") for each in self.validations],
            "relevance": self.relevance.model_dump(mode="json"),
        }


def train_scorer(
    material: Material,
    reader: Reader,
    embeddings: Embeddings,
    models: tuple[ModelName, ModelName],
    *,
    name: str,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> Trained:
    """Train a scorer.

    Args:
        material: People's scores and criteria.
        reader: Maps texts to vectors.
        embeddings: Measure whether a text stays on its subject.
        models: Names of the models behind the two.
        name: Name of the scorer.
        seed: Decides which texts are corrupted, and how.
        progress: Called with a sentence about the current step.
    """
    scores = scored_vectors(material, reader, seed=seed, progress=progress)
    progress("comparing heads")
    predictions = {head: predicted(HEADS[head], scores) for head in HEADS}
    validations = [validate(head, points, scores) for head, points in predictions.items()]
    validations.sort(key=lambda each: each.merit, reverse=True)
    best = validations[0].head
    line = calibrated(HEADS[best].fit(scores), predictions[best], scores.points)
    progress("learning what keeps to a subject")
    texts = [each.text for each in material.rated]
    relevance, anchors = fit_relevance(material.rubrics, texts[:: len(texts) // 50], embeddings)
    words = [len(text.split()) for text in texts]
    config = ScorerConfig(
        name=name,
        reader=models[0],
        layers=LAYERS,
        embedder=models[1],
        language=LANGUAGE,
        words=(min(words), max(words)),
        head=best,
        trained_on=material.files,
        validation={
            "spearman": round(validations[0].spearman, 3),
            "pair_accuracy": round(validations[0].pair_accuracy, 3),
            "subject_pair_accuracy": round(relevance.pair_accuracy, 3),
        },
    )
    weights = ScorerWeights(
        quality=np.append(line.weights, line.bias).astype(np.float32),
        relevance=np.asarray(relevance.weights, np.float32),
        anchors=anchors,
    )
    return Trained(config, weights, tuple(validations), relevance)


def scored_vectors(
    material: Material, reader: Reader, *, seed: int = 0, progress: Progress = lambda _: None
) -> ScoredVectors:
    """Read all texts and their corrupted versions into vectors."""
    rated = material.rated
    bad = worthless(rated, material.rubrics, SPOILT, seed=seed)
    worse = worsened(rated, SPOILT, seed=seed)
    states = _read([each.text for each in rated], reader, progress)
    spoilt = _read([*(text for text, _ in bad), *(text for text, _ in worse)], reader, progress)
    numbers = family_of_each([each.text for each in rated])
    of = {each.id: family for each, family in zip(rated, numbers, strict=True)}
    alone = max(numbers) + 1  # corrupted texts without a scored original form one family
    made_of = [*(source for _, source in bad), *(each.id for _, each in worse)]
    points = [WORST] * len(bad) + [max(WORST, each.score - COST) for _, each in worse]
    return ScoredVectors(
        states,
        np.asarray([each.score for each in rated]),
        tuple(numbers),
        ScoredVectors(spoilt, np.asarray(points), tuple(of.get(each, alone) for each in made_of)),
    )


def _read(texts: Sequence[str], reader: Reader, progress: Progress) -> npt.NDArray[np.float64]:
    parts = []
    for start in range(0, len(texts), AT_ONCE):
        progress(f"reading texts {start + 1} to {min(len(texts), start + AT_ONCE)} of {len(texts)}")
        parts.append(reader.of(texts[start : start + AT_ONCE]))
    return np.concatenate(parts).astype(np.float64)


def calibrated(
    line: LinearHead, predicted: npt.NDArray[np.float64], points: npt.NDArray[np.float64]
) -> LinearHead:
    """Map a head's points to people's scale, fitted on its cross-validated predictions.

    The map is linear. Isotonic steps would create ties between texts that the head separates.
    """
    slope, start = np.polyfit(predicted, points, 1)
    if slope <= 0:
        raise InputError(
            "what people say of these texts cannot be told from the texts: on texts that it was "
            "not fitted to, the best head ranks them no better than chance; give more, or other, "
            "scored texts"
        )
    return LinearHead(line.weights * slope, float(line.bias * slope + start))
