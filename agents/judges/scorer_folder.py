"""The folder of a trained scorer, and its measures of whether a text keeps to its subject.

The folder holds a configuration in JSON and weights in safetensors, and no code.

The training data of a scorer have no scores on single criteria. But BiGGen-Bench gives for each
criterion a text that meets it, so a text written for another request does not meet it. From that a
scorer learns whether a text keeps to its subject. A criterion that names no subject, such as
"Language", must not count against a text: it lies near the anchors, criteria that fit any text.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from quillgraph.agents.domain import Value
from quillgraph.backends.embeddings import Vectors
from quillgraph.backends.errors import ConfigError, PolicyError, StorageError, nearest

MEASURES = 7
"""Numbers that `relevance_measures` returns for each criterion."""


def relevance_measures(
    text_D: Vectors, request_D: Vectors | None, criteria_KD: Vectors, anchors_AD: Vectors
) -> Vectors:
    """Measure how near a text is to its request and to each criterion.

    Args:
        text_D: Embedding of the text; it has length 1, like all of these.
        request_D: Embedding of the request; None where it is unknown.
        criteria_KD: Embeddings of the criteria.
        anchors_AD: Embeddings of criteria that fit any text.

    Returns:
        One row per criterion with seven columns: whether there is a request; cosine of text and
        request, 0 without a request; cosine of text and criterion; cosine of the criterion and its
        nearest anchor; the products of columns 1 and 3, 4 and 2, 4 and 3.
    """
    has_request = float(request_D is not None)
    to_request = 0.0 if request_D is None else float(text_D @ request_D)
    to_criterion_K = criteria_KD @ text_D
    general_K = (criteria_KD @ anchors_AD.T).max(1)
    return np.stack(
        [
            np.full_like(general_K, has_request),
            np.full_like(general_K, to_request),
            to_criterion_K,
            general_K,
            has_request * to_criterion_K,
            general_K * to_request,
            general_K * to_criterion_K,
        ],
        axis=1,
    )


FORMAT = 1
CONFIG, WEIGHTS = "scorer.json", "scorer.safetensors"

SHIPPED = "scorers"
"""Folder of the package with the scorers that come with it."""


UNWRITTEN = "0" * 64
"""Placeholder for the hash of weights that are not written yet."""


class ModelName(Value):
    """A frozen model that the weights were fitted to; they are of no use with another."""

    name: str
    """A built-in name, or a folder."""
    sha256: str
    """Hash of its weights."""


class ScorerConfig(Value):
    """What a scorer is, and what it may be used for."""

    version: int = FORMAT
    name: str
    reader: ModelName
    """Model whose hidden states are read."""
    layers: tuple[int, ...]
    embedder: ModelName
    """Model whose embeddings show whether a text keeps to its subject."""
    language: str
    """The one language that it was trained on, as an ISO 639-1 code."""
    words: tuple[int, int]
    """Shortest and longest real text of the training set."""
    head: str
    """Name of the head, among those that were compared."""
    trained_on: dict[str, int]
    """File to the number of its records that were used."""
    validation: dict[str, float]
    """Cross-validated on the training files, by families of texts."""
    weights_sha256: str = Field(default=UNWRITTEN, pattern=r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class ScorerWeights:
    """The weights of a scorer."""

    quality: Vectors
    """One weight per value of the hidden states, then the bias; gives points from 1 to 10."""
    relevance: Vectors
    """One weight per measure of `relevance_measures`, then the bias; gives log-odds."""
    anchors: Vectors
    """Embeddings of criteria that fit any text, one per row."""


@dataclass(frozen=True, slots=True)
class ScorerFolder:
    """A scorer as read from its folder."""

    config: ScorerConfig
    weights: ScorerWeights

    @property
    def id(self) -> str:
        """Name and beginning of the hash: judgements are stored under it."""
        return f"{self.config.name}@{self.config.weights_sha256[:12]}"


def write_scorer(folder: Path, config: ScorerConfig, weights: ScorerWeights) -> ScorerFolder:
    """Write a scorer into a new folder; the hash in the configuration is that of the weights.

    Raises:
        StorageError: If the folder is not empty, or cannot be written.
    """
    from safetensors.numpy import save

    packed = save({name: np.ascontiguousarray(getattr(weights, name)) for name in NAMES})
    sealed = config.model_copy(update={"weights_sha256": hashlib.sha256(packed).hexdigest()})
    try:
        if folder.exists() and any(folder.iterdir()):
            raise StorageError(f"expected a new folder, but {folder} holds something already")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / WEIGHTS).write_bytes(packed)
        (folder / CONFIG).write_text(sealed.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"cannot write {folder}: {error.strerror}") from error
    return ScorerFolder(sealed, weights)


def read_scorer(name: str) -> ScorerFolder:
    """Read a scorer: a folder, or the name of one that comes with the package.

    Raises:
        ConfigError: If there is no such scorer.
        PolicyError: If it is of another version, is damaged, or was changed after it was made.
    """
    folder = _folder_of(name)
    config, packed = _config(folder), _packed(folder)
    if (digest := hashlib.sha256(packed).hexdigest()) != config.weights_sha256:
        raise PolicyError(
            f"{folder / WEIGHTS} is not the file that was trained (sha256 expected "
            f"{config.weights_sha256[:12]}…, got {digest[:12]}…); train the scorer again"
        )
    return ScorerFolder(config, _weights(packed, config, folder))


NAMES = ("quality", "relevance", "anchors")


def shipped() -> tuple[str, ...]:
    """Names of the scorers that come with the package."""
    home = files("quillgraph.agents").joinpath(SHIPPED)
    return tuple(sorted(each.name for each in home.iterdir())) if home.is_dir() else ()


def _folder_of(name: str) -> Path:
    if name in shipped():
        return Path(str(files("quillgraph.agents").joinpath(SHIPPED, name)))
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        raise ConfigError(
            f"expected scorer:FOLDER or one that comes with the package, got {name!r}: "
            f"{nearest(name, shipped())}; `quillgraph scorer train` makes one"
        )
    return folder


def _config(folder: Path) -> ScorerConfig:
    try:
        data: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"expected a scorer in {folder}, but {CONFIG} is not there") from error
    version = data.get("version") if isinstance(data, dict) else None
    if version != FORMAT:
        raise PolicyError(
            f"expected a scorer of version {FORMAT} in {folder}, got version {version!r}; train "
            "it again with this version of quillgraph"
        )
    try:
        return ScorerConfig.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PolicyError(f"{folder / CONFIG}, {where}: {first['msg']}") from error


def _packed(folder: Path) -> bytes:
    try:
        return (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise ConfigError(f"expected the weights of a scorer in {folder / WEIGHTS}") from error


def _weights(packed: bytes, config: ScorerConfig, folder: Path) -> ScorerWeights:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        numbers = load(packed)
        weights = ScorerWeights(**{name: numbers[name] for name in NAMES})
    except (SafetensorError, KeyError) as error:
        raise PolicyError(f"{folder / WEIGHTS} lacks numbers of a scorer: {error}") from error
    fits = weights.relevance.shape == (MEASURES + 1,) and weights.anchors.ndim == 2
    layers = len(config.layers)
    if not fits or weights.quality.ndim != 1 or (len(weights.quality) - 1) % layers:
        raise PolicyError(f"{folder / WEIGHTS} does not fit {layers} layers of the reader")
    if not all(np.isfinite(getattr(weights, name)).all() for name in NAMES):
        raise PolicyError(f"{folder / WEIGHTS} holds numbers that are not finite")
    return weights
