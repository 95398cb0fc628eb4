"""Texts as the vectors that a model makes of them, and the store that keeps them on disk."""

from pathlib import Path

import numpy as np
import pytest

from quillgraph.backends.errors import ConfigError, InputError, StorageError
from quillgraph.backends.transformers import hidden_states
from quillgraph.backends.transformers.hidden_states import (
    CHUNK,
    FeatureStore,
    HiddenStates,
    text_key,
    weights_hash,
)

torch = pytest.importorskip("torch")

TEXT = "the fog sat on the wheel"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["?", *dict.fromkeys(f"{TEXT} and rain fell".split())]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("reader")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?").save_pretrained(folder)
    torch.manual_seed(0)
    shape = LlamaConfig(
        hidden_size=8, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=2, vocab_size=len(words), max_position_embeddings=64,
    )  # fmt: skip
    LlamaForCausalLM(shape).to(torch.bfloat16).save_pretrained(folder)
    return folder


def whole(folder: Path, layer: int, words: str = TEXT) -> np.ndarray:
    """The mean over all tokens but the first, by the whole model and transformers alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(folder)(words, return_tensors="pt")["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=hidden_states.FORMAT).eval()
    with torch.inference_mode():
        states = model(ids, output_hidden_states=True).hidden_states
    mean: np.ndarray = states[layer][0, 1:].float().mean(0).numpy()
    return mean


def test_layers_are_those_of_the_whole_model_one_after_another(folder: Path) -> None:
    (vector,) = HiddenStates(folder, (1, 2)).of([TEXT])
    assert vector.shape == (16,)
    assert vector[:8] == pytest.approx(whole(folder, 1), rel=1e-2, abs=1e-4)
    # the norm after the last layer is no part of the second
    assert vector[8:] == pytest.approx(whole(folder, 2), rel=1e-2, abs=1e-4)


def test_windows_are_weighed_by_their_tokens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden_states, "WINDOW", 4)
    (vector,) = HiddenStates(folder, (1,)).of([TEXT])  # 6 tokens: 4 and 2
    first, second = whole(folder, 1, "the fog sat on"), whole(folder, 1, "the wheel")
    assert vector == pytest.approx((4 * first + 2 * second) / 6, rel=1e-2, abs=1e-4)


def test_a_vector_does_not_depend_on_what_else_is_asked_for(folder: Path) -> None:
    reader = HiddenStates(folder, (2,))
    alone = reader.of([TEXT])[0]
    among = HiddenStates(folder, (2,)).of(["rain", TEXT, "and the rain fell on the fog"])[1]
    assert alone.tolist() == among.tolist()


def test_what_was_kept_is_not_read_again(folder: Path, tmp_path: Path) -> None:
    first = HiddenStates(folder, (1,), kept_in=tmp_path)
    vectors = first.of([TEXT])
    first.close()
    again = HiddenStates(folder, (1,), kept_in=tmp_path)
    assert again.of([TEXT]).tolist() == vectors.tolist()
    assert again._loaded is None


@pytest.mark.parametrize("layers", [(), (0,), (4,)])
def test_a_layer_that_is_not_there_is_refused(folder: Path, layers: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="expected layers from 1 to 3"):
        HiddenStates(folder, layers)


def test_an_empty_text_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="got an empty one"):
        HiddenStates(folder, (1,)).of([""])


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json"):
        HiddenStates(tmp_path, (1,))
    with pytest.raises(ConfigError, match="found none"):
        weights_hash(tmp_path)


def test_no_texts_give_no_rows(folder: Path) -> None:
    assert HiddenStates(folder, (1, 3)).of([]).shape == (0, 16)


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
    store = FeatureStore(tmp_path, RECIPE)
    assert sum(store.get(text_key(str(n))) is not None for n in range(CHUNK + 3)) == CHUNK


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
