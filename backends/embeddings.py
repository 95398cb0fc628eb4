"""Sentence embeddings: a small BERT in process, or hashed trigrams without torch."""

import asyncio
import hashlib
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.weights.builtin import pull

logger = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]
"""Vectors of texts, shape (texts, dimensions), or one of them, shape (dimensions,)."""

BATCH = 32
CACHED_TEXTS = 4096
DIMENSION = 512
"""Length of a lexical embedding."""


def connect_embeddings(name: str) -> Embeddings:
    """Make the embeddings that a name stands for.

    Args:
        name: `minilm` (built in, pulled if missing), `lexical` (no model), or a folder in the
            sentence-transformers layout.

    Raises:
        ConfigError: If the name is none of these, or torch is missing for a model.
        BackendError: If the built-in model cannot be fetched.
        StorageError: If it cannot be stored.
    """
    if name == "lexical":
        return LexicalEmbeddings()
    if name == "minilm":
        return SentenceEmbeddings(pull(name, progress=logger.info))
    if name and (folder := Path(name).expanduser()).is_dir():
        return SentenceEmbeddings(folder)
    guess = nearest(name, ["minilm", "lexical"])
    raise ConfigError(f"expected embeddings or a model folder, got {name!r}: {guess}")


class SentenceEmbeddings(Embeddings):
    """Mean-pooled, L2-normalised token vectors of a BERT-like model, on the CPU.

    Sentence-BERT (arXiv:1908.10084) with the mean strategy, as all-MiniLM-L6-v2 was trained.
    The first text loads the model; threads may share one instance. The vectors of the last
    few thousand texts are cached. It stays off the GPU, because the chat engine fills that.

    Args:
        folder: A model folder in the sentence-transformers layout.

    Raises:
        ConfigError: If the folder holds no such model, the model does not pool by the mean, or
            torch is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.json").is_file():
            raise ConfigError(f"expected a model folder, but {folder} has no config.json")
        if missing := [each for each in ("torch", "transformers") if find_spec(each) is None]:
            raise ConfigError(
                f"sentence embeddings need {', '.join(missing)}, not installed here; "
                "pip install 'quillgraph[local]', or take the embeddings 'lexical'"
            )
        _require_mean_pooling(folder)
        self.folder = folder
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any, int] | None = None
        self._cache: OrderedDict[str, list[float]] = OrderedDict()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts; equal texts are computed once."""
        with self._lock:
            new = [text for text in dict.fromkeys(texts) if text not in self._cache]
            vectors = dict(zip(new, self._encode(new), strict=True)) if new else {}
            vectors |= {text: self._cache[text] for text in texts if text in self._cache}
            self._cache |= vectors
            while len(self._cache) > CACHED_TEXTS:
                self._cache.popitem(last=False)
        return [list(vectors[text]) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Embed one text; queries and documents are embedded alike."""
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts on a thread."""
        return await asyncio.to_thread(self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        """Embed one text on a thread."""
        return await asyncio.to_thread(self.embed_query, text)

    def _encode(self, texts: list[str]) -> list[list[float]]:
        # a batch holds texts of similar length, so that little time goes into padding
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors: list[list[float]] = [[]] * len(texts)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            for i, vector in zip(batch, self._forward([texts[i] for i in batch]), strict=True):
                vectors[i] = vector
        return vectors

    def _forward(self, texts: list[str]) -> list[list[float]]:
        import torch

        model, tokenizer, longest = self._load()
        batch = tokenizer(
            texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        with torch.inference_mode():
            tokens_BLD = model(**batch).last_hidden_state
        mask_BL1 = batch["attention_mask"].unsqueeze(-1)
        mean_BD = (tokens_BLD * mask_BL1).sum(1) / mask_BL1.sum(1)
        vectors: list[list[float]] = torch.nn.functional.normalize(mean_BD, dim=1).tolist()
        return vectors

    def _load(self) -> tuple[Any, Any, int]:
        if self._loaded is None:
            from transformers import AutoModel, AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model = AutoModel.from_pretrained(self.folder, local_files_only=True).float().eval()
            longest = _read_json(self.folder / "sentence_bert_config.json").get("max_seq_length")
            window = model.config.max_position_embeddings
            self._loaded = model, tokenizer, min(int(longest or window), window)
        return self._loaded


class LexicalEmbeddings(Embeddings):
    """Hashed character-trigram counts, L2-normalised: deterministic, without a model.

    They measure shared wording, not shared meaning. Texts are lower-cased and padded with a space
    at both ends, so that even one Chinese character has a trigram.
    """

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        return [vector.tolist() for vector in map(_trigram_vector, texts)]

    def embed_query(self, text: str) -> list[float]:
        """Embed one text; queries and documents are embedded alike."""
        return self.embed_documents([text])[0]


def _trigram_vector(text: str) -> Vectors:
    padded = f" {' '.join(text.lower().split())} "
    counts = np.zeros(DIMENSION, dtype=np.float32)
    for i in range(len(padded) - 2):
        # not hash(): it differs between processes
        digest = hashlib.blake2b(padded[i : i + 3].encode(), digest_size=4).digest()
        counts[int.from_bytes(digest, "little") % DIMENSION] += 1
    norm = float(np.linalg.norm(counts))
    return counts / norm if norm else counts  # a blank text has no direction


def _require_mean_pooling(folder: Path) -> None:
    pooling = _read_json(folder / "1_Pooling" / "config.json")
    modes = [mode for mode, on in pooling.items() if mode.startswith("pooling_mode_") and on]
    if pooling and modes != ["pooling_mode_mean_tokens"]:
        raise ConfigError(
            f"expected a model that pools by the mean of its tokens, but {folder} asks for "
            f"{', '.join(modes) or 'no pooling'}; its vectors would be wrong"
        )


def _read_json(path: Path) -> dict[str, Any]:
    """Read an optional settings file; an absent one gives no settings."""
    if not path.is_file():
        return {}
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"expected JSON in {path}: {error}") from error
    return settings


async def vectors(texts: Sequence[str], embeddings: Embeddings) -> np.ndarray:
    """Embed texts as unit rows, shape (texts, dimensions)."""
    if not texts:
        return np.zeros((0, 1), dtype=np.float32)
    raw = np.asarray(await embeddings.aembed_documents(list(texts)), dtype=np.float32)
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    unit: np.ndarray = raw / np.where(lengths == 0, 1, lengths)
    return unit
