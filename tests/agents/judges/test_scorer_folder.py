import json
from pathlib import Path

import numpy as np
import pytest

from quillgraph.agents.judges.scorer_folder import (
    CONFIG,
    MEASURES,
    WEIGHTS,
    ModelName,
    ScorerConfig,
    ScorerWeights,
    read_scorer,
    relevance_measures,
    shipped,
    write_scorer,
)
from quillgraph.backends.errors import ConfigError, PolicyError, StorageError

pytest.importorskip("safetensors")

CONFIGURED = ScorerConfig(
    name="tiny",
    reader=ModelName(name="r", sha256="a" * 64),
    layers=(1, 2),
    embedder=ModelName(name="e", sha256="b" * 64),
    language="en",
    words=(5, 50),
    head="ridge",
    trained_on={"rated.jsonl": 3},
    validation={"spearman": 0.4},
)


def numbers(width: int = 4) -> ScorerWeights:
    return ScorerWeights(
        quality=np.arange(width + 1, dtype=np.float32),
        relevance=np.ones(MEASURES + 1, np.float32),
        anchors=np.eye(2, dtype=np.float32),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scorer(tmp_path / "tiny", CONFIGURED, numbers())
    return tmp_path / "tiny"


def test_a_scorer_is_read_as_it_was_written(folder: Path) -> None:
    scorer = read_scorer(str(folder))
    assert scorer.config.trained_on == {"rated.jsonl": 3}
    assert scorer.weights.quality.tolist() == [0, 1, 2, 3, 4]
    assert scorer.id == f"tiny@{scorer.config.weights_sha256[:12]}"
    assert {each.name for each in folder.iterdir()} == {CONFIG, WEIGHTS}


def test_equal_numbers_have_equal_hashes(folder: Path, tmp_path: Path) -> None:
    again = write_scorer(tmp_path / "again", CONFIGURED, numbers())
    assert again.config.weights_sha256 == read_scorer(str(folder)).config.weights_sha256


def test_weights_that_were_changed_are_refused(folder: Path) -> None:
    packed = bytearray((folder / WEIGHTS).read_bytes())
    packed[-1] ^= 1
    (folder / WEIGHTS).write_bytes(packed)
    with pytest.raises(PolicyError, match="is not the file that was trained"):
        read_scorer(str(folder))


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=name):
        read_scorer(str(folder))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "expected a scorer of version 1"),
        ({"words": "many"}, "words"),
        ({"code": "import os"}, "code"),
    ],
)
def test_a_configuration_of_another_make_is_refused(
    folder: Path, change: dict[str, object], told: str
) -> None:
    data = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**data, **change}))
    with pytest.raises(PolicyError, match=told):
        read_scorer(str(folder))


def test_numbers_that_do_not_fit_the_layers_are_refused(tmp_path: Path) -> None:
    write_scorer(tmp_path / "odd", CONFIGURED, numbers(width=5))
    with pytest.raises(PolicyError, match="does not fit 2 layers"):
        read_scorer(str(tmp_path / "odd"))


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    broken = ScorerWeights(np.full(5, np.nan, np.float32), numbers().relevance, numbers().anchors)
    write_scorer(tmp_path / "nan", CONFIGURED, broken)
    with pytest.raises(PolicyError, match="not finite"):
        read_scorer(str(tmp_path / "nan"))


def test_a_folder_that_holds_something_is_not_written_into(folder: Path) -> None:
    with pytest.raises(StorageError, match="holds something already"):
        write_scorer(folder, CONFIGURED, numbers())


def test_a_name_that_is_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="quillgraph scorer train"):
        read_scorer("no/such/folder")


@pytest.mark.parametrize("name", shipped())
def test_what_comes_with_the_package_is_whole_and_small(name: str) -> None:
    scorer = read_scorer(name)
    assert scorer.config.name == name
    assert scorer.weights.quality.nbytes + scorer.weights.anchors.nbytes < 2_000_000


EAST, NORTH = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
BETWEEN = np.array([0.6, 0.8], np.float32)


def test_the_measures_are_cosines_and_their_products() -> None:
    rows = relevance_measures(BETWEEN, EAST, np.stack([NORTH, EAST]), NORTH[None])
    # text to request .6; to the first criterion .8, to the second .6; nearest anchor 1 and 0
    assert rows.shape == (2, MEASURES)
    assert rows[0] == pytest.approx([1, 0.6, 0.8, 1, 0.8, 0.6, 0.8])
    assert rows[1] == pytest.approx([1, 0.6, 0.6, 0, 0.6, 0, 0])


def test_without_a_request_nothing_is_near_to_it() -> None:
    (row,) = relevance_measures(BETWEEN, None, NORTH[None], EAST[None])
    assert row == pytest.approx([0, 0, 0.8, 0, 0, 0, 0])
