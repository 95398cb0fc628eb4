"""Vectors of texts kept on disk: reading a few thousand texts takes a CPU half an hour.

A store belongs to one way of reading, named by what decides the numbers. Vectors are kept under
the hash of their text, in files that are written whole: a process that is killed loses the last
few at most, and no file that is there is ever changed.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quillgraph.backends.errors import StorageError

Vector = npt.NDArray[np.float32]

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
        told = json.dumps(recipe, sort_keys=True)
        self.path = folder / hashlib.sha256(told.encode()).hexdigest()[:16]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / "recipe.json").write_text(told, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}") from error
        self._new: dict[str, Vector] = {}
        self._kept: dict[str, Vector] | None = None

    def get(self, key: str) -> Vector | None:
        """The vector of a text; None if it was never kept."""
        if self._kept is None:
            self._kept = self._read()
        return self._kept.get(key, self._new.get(key))

    def put(self, key: str, vector: Vector) -> None:
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
        self._kept = {**(self._kept or {}), **self._new}
        self._new = {}

    def _read(self) -> dict[str, Vector]:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        found: dict[str, Vector] = {}
        for file in sorted(self.path.glob("*.safetensors")):
            try:
                found |= load_file(file)
            except (OSError, SafetensorError):
                # a damaged file costs its texts another reading, and nothing else
                continue
        return found
