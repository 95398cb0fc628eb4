from pathlib import Path

import numpy as np
import pytest

from quillgraph.backends.errors import StorageError
from quillgraph.backends.transformers.hidden_states import CHUNK, FeatureStore, text_key

pytest.importorskip("safetensors")

RECIPE = {"weights": "abc", "layers": [1]}


def vector(number: int) -> np.ndarray:
    return np.array([number, number + 0.5], np.float32)


def test_what_was_put_is_there_in_the_next_process(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, RECIPE)
    store.put(text_key("fog"), vector(1))
    assert store.get(text_key("fog")).tolist() == [1.0, 1.5]  # type: ignore[union-attr]
    store.flush()
    assert FeatureStore(tmp_path, RECIPE).get(text_key("fog")).tolist() == [1.0, 1.5]  # type: ignore[union-attr]
    assert FeatureStore(tmp_path, RECIPE).get(text_key("rain")) is None


def test_a_process_that_is_killed_loses_the_last_few_alone(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, RECIPE)
    for number in range(CHUNK + 3):
        store.put(text_key(str(number)), vector(number))
    # no flush
    kept = FeatureStore(tmp_path, RECIPE)
    assert sum(kept.get(text_key(str(n))) is not None for n in range(CHUNK + 3)) == CHUNK


def test_vectors_of_another_recipe_are_not_found(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, RECIPE)
    store.put(text_key("fog"), vector(1))
    store.flush()
    assert FeatureStore(tmp_path, {**RECIPE, "layers": [2]}).get(text_key("fog")) is None


def test_a_damaged_file_costs_its_texts_another_reading(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, RECIPE)
    store.put(text_key("fog"), vector(1))
    store.flush()
    (file,) = store.path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:20])
    again = FeatureStore(tmp_path, RECIPE)
    assert again.get(text_key("fog")) is None
    again.put(text_key("fog"), vector(2))
    again.flush()
    assert FeatureStore(tmp_path, RECIPE).get(text_key("fog")).tolist() == [2.0, 2.5]  # type: ignore[union-attr]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        FeatureStore(tmp_path / "taken", RECIPE)
