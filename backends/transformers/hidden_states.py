"""The hidden states of a language model for a text, as one vector a layer.

The model is frozen and only reads: a light head on these vectors scores texts better than the same
small model does when it is asked (LOG.md, benchmarks/scorer.py).

Reading a few thousand texts takes a CPU half an hour, so the vectors are stored on disk, each under
the hash of its text. A store belongs to one way of reading, named by what decides the numbers. Its
files are written whole and never changed: a process that is killed loses the last few at most.
"""

import hashlib
import json
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from quillgraph.backends.embeddings import Vectors
from quillgraph.backends.errors import ConfigError, InputError, StorageError
from quillgraph.backends.runtime.hardware import multiplies_bfloat16
from quillgraph.backends.weights.wheel import sha256

CHUNK = 64
"""Vectors a file: about half a minute's work of a CPU."""


def text_key(text: str) -> str:
    """The hash that a text's vector is kept under."""
    return hashlib.sha256(text.encode()).hexdigest()


class FeatureStore:
    """A folder of safetensors files, each holding vectors by the hash of their text.

    Args:
        folder: Where stores lie; the store is a folder in it.
        recipe: All that decides the numbers: weights, layers, how they are pooled.

    Raises:
        StorageError: If the folder cannot be made.
    """

    def __init__(self, folder: Path, recipe: dict[str, Any]) -> None:
        recipe_json = json.dumps(recipe, sort_keys=True)
        self.path = folder / hashlib.sha256(recipe_json.encode()).hexdigest()[:16]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / "recipe.json").write_text(recipe_json, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}") from error
        self._new: dict[str, Vectors] = {}
        self._stored: dict[str, Vectors] | None = None

    def get(self, key: str) -> Vectors | None:
        """The vector of a text; None if it is not stored."""
        if self._stored is None:
            self._stored = self._read()
        return self._stored.get(key, self._new.get(key))

    def put(self, key: str, vector: Vectors) -> None:
        """Keep a vector; it reaches the disk with the next full chunk, or `flush`."""
        self._new[key] = vector
        if len(self._new) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written.

        Raises:
            StorageError: If it cannot be written.
        """
        from safetensors.numpy import save

        if not self._new:
            return
        name = hashlib.sha256("".join(sorted(self._new)).encode()).hexdigest()[:16]
        try:
            with tempfile.NamedTemporaryFile(dir=self.path, delete=False) as file:
                file.write(save({key: np.ascontiguousarray(v) for key, v in self._new.items()}))
            os.replace(file.name, self.path / f"{name}.safetensors")
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}") from error
        self._stored = {**(self._stored or {}), **self._new}
        self._new = {}

    def _read(self) -> dict[str, Vectors]:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        vectors: dict[str, Vectors] = {}
        for file in sorted(self.path.glob("*.safetensors")):
            try:
                vectors |= load_file(file)
            except (OSError, SafetensorError):
                # a damaged file costs its texts another reading, and nothing else
                continue
        return vectors


WINDOW = 1024
"""Tokens that are read at once; a longer text is read in windows, and their means are weighed by
their tokens. A quarter of what SmolLM2 was trained to read, and no text of the training set is
longer."""

FORMAT = "bfloat16" if multiplies_bfloat16() else "float32"
"""What is computed in. bfloat16 is nearly twice as fast on a CPU that multiplies it, and the format
that the weights of the built-in model come in; a score hardly depends on it (LOG.md 2026-11-29)."""

KEPT = 1024
"""Texts whose vectors are kept in memory, so that a text that is judged again is not read again."""


class HiddenStates:
    """Mean-pooled hidden states of some layers of a causal language model, on the CPU.

    The first token of a window is left out: its states are an attention sink of huge norm, and
    their share in a mean would tell the length of the text. Layers above the highest one wanted
    are not computed. Texts are read one by one, without padding, so a vector does not depend on
    what else was asked for. Threads may share one instance.

    Args:
        folder: A model folder with safetensors.
        layers: Which layers, from 1 for the first; each gives as many numbers as the model is
            wide.
        kept_in: Folder of stores in which vectors are kept across processes; None keeps them in
            memory only.

    Raises:
        ConfigError: If the folder holds no model, it lacks one of the layers, or torch is missing.
    """

    def __init__(self, folder: Path, layers: Sequence[int], *, kept_in: Path | None = None) -> None:
        if missing := [each for each in ("torch", "transformers") if find_spec(each) is None]:
            raise ConfigError(
                f"hidden states need {', '.join(missing)}, not installed here; "
                "pip install 'quillgraph[local]'"
            )
        shape = _shape(folder)
        depth = int(shape.get("num_hidden_layers", 0))
        if not layers or min(layers) < 1 or max(layers) > depth:
            raise ConfigError(
                f"expected layers from 1 to {depth} of the model in {folder}, got {list(layers)}"
            )
        self.folder, self.layers = folder, tuple(layers)
        self.width = int(shape["hidden_size"]) * len(self.layers)
        self._store = FeatureStore(kept_in, self._recipe()) if kept_in else None
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None
        self._cache: OrderedDict[str, Vectors] = OrderedDict()

    def of(self, texts: Sequence[str]) -> Vectors:
        """Read texts.

        Returns:
            One row a text, the layers one after another: shape (texts, layers · width).

        Raises:
            InputError: If a text is empty.
            StorageError: If vectors that were to be kept cannot be.
        """
        with self._lock:
            return np.stack([self._one(text) for text in texts]) if texts else self._nothing()

    def close(self) -> None:
        """Write the vectors that are not on disk yet."""
        if self._store:
            self._store.flush()

    def _recipe(self) -> dict[str, Any]:
        """All that decides the numbers."""
        return {
            "weights": weights_hash(self.folder),
            "layers": self.layers,
            "pooled": "mean of all tokens but the first",
            "window": WINDOW,
            "format": FORMAT,
        }

    def _nothing(self) -> Vectors:
        return np.zeros((0, self.width), np.float32)

    def _one(self, text: str) -> Vectors:
        key = text_key(text)
        if key not in self._cache:
            vectors = self._store.get(key) if self._store else None
            if vectors is None:
                vectors = self._read(text)
                if self._store:
                    self._store.put(key, vectors)
            self._cache[key] = vectors
            while len(self._cache) > KEPT:
                self._cache.popitem(last=False)
        return self._cache[key]

    def _read(self, text: str) -> Vectors:
        import torch

        tokenizer, model = self._load()
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if not ids:
            raise InputError("expected a text to read, got an empty one")
        total = torch.zeros(self.width)
        with torch.inference_mode():
            for start in range(0, len(ids), WINDOW):
                part = ids[start : start + WINDOW]
                states = model(torch.tensor([part]), output_hidden_states=True).hidden_states
                first = min(1, len(part) - 1)
                means = [states[layer][0, first:].float().mean(0) for layer in self.layers]
                total += torch.cat(means) * len(part)
        vector: Vectors = (total / len(ids)).numpy()
        return vector

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import torch
            from transformers import AutoModel, AutoTokenizer

            from quillgraph.backends.weights.pretrained import from_pretrained

            tokenizer = from_pretrained(AutoTokenizer, str(self.folder))
            model = from_pretrained(AutoModel, str(self.folder), dtype=FORMAT).eval()
            model.layers = model.layers[: max(self.layers)]
            # the norm belongs after the last layer of the whole model, not after ours
            model.norm = torch.nn.Identity()
            self._loaded = tokenizer, model
        return self._loaded


def weights_hash(folder: Path) -> str:
    """SHA-256 of a model's weights, by which a head knows the model that it was fitted to.

    Raises:
        ConfigError: If there are none in the folder.
    """
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ConfigError(f"expected the weights of a model in {weights}, found none")
    return sha256(weights)


def _shape(folder: Path) -> dict[str, Any]:
    try:
        shape: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"expected a model folder with config.json, got {folder}") from error
    return shape
