"""From files to a judge, with a reader that counts letters in place of a language model."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quillgraph.agents.judges import ModelName, read_scorer, write_scorer
from quillgraph.agents.judges.scorer_folder import ScorerFolder
from quillgraph.agents.judges.trained import TrainedJudge
from quillgraph.agents.requests import NO_REQUEST, writing_task
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import InputError
from quillgraph.evals.data.rubrics import generic_rubric
from quillgraph.evals.judges.heads import HEADS, LinearHead
from quillgraph.evals.judges.training import Material, Trained, calibrated, train_scorer

pytest.importorskip("sklearn")

WORDS = (
    "keeper", "wound", "lamp", "feel", "counted", "turns", "aloud", "rain", "kept", "time",
    "window", "heron", "weir", "village", "tide", "rope", "bell", "deck", "pilot", "wheel",
)  # fmt: skip
MODELS = (ModelName(name="r", sha256="a" * 64), ModelName(name="e", sha256="b" * 64))


class Letters:
    """Reads a text as the share of each letter in it."""

    def of(self, texts: Sequence[str]) -> np.ndarray:
        rows = [
            [each.count(c) / (len(each) + 1) for c in "abcdefghiklmnoprstuvwy"] for each in texts
        ]
        return np.array(rows, np.float32)


def prose(draw: random.Random) -> str:
    sentences = (
        " ".join(draw.choices(WORDS, k=draw.randint(6, 12))).capitalize() + "." for _ in range(4)
    )
    return " ".join(sentences)


def rated(count: int, tmp_path: Path) -> Path:
    """Texts that people like for their `e`s."""
    draw, rows = random.Random(0), []
    for n in range(count):
        text = prose(draw)
        score = min(10.0, max(1.0, 80 * text.count("e") / len(text) - 4))
        rows.append({"id": f"t{n}", "text": text, "score": score})
    path = tmp_path / "rated.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def asked(count: int, tmp_path: Path) -> Path:
    """Requests in the format of BiGGen-Bench."""
    draw, rows = random.Random(1), []
    for n in range(count):
        thing = "".join(draw.choices("bcdfghklmnprst", k=8))
        rows.append(
            {
                "id": f"q{n}", "input": f"Write of the {thing}.", "reference_answer":
                f"The {thing} was old, and no other {thing} had ever stood there before it.",
                "score_rubric": {"criteria": f"Is the {thing} seen?", "score1_description": "no"},
            }
        )  # fmt: skip
    path = tmp_path / "asked.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("data")
    return Material.read([rated(200, folder), asked(100, folder)])


@pytest.fixture(scope="module")
def trained(material: Material) -> Trained:
    return train_scorer(material, Letters(), LexicalEmbeddings(), MODELS, name="letters")


def test_the_best_head_is_taken_and_all_are_told(trained: Trained) -> None:
    assert {each.head for each in trained.validations} == set(HEADS)
    assert trained.config.head == trained.validations[0].head
    assert trained.validations[0].spearman > 0.8
    assert trained.config.trained_on == {"rated.jsonl": 200, "asked.json": 100}
    assert trained.relevance.pair_accuracy > 0.9


async def test_what_was_trained_judges_as_people_do(trained: Trained, tmp_path: Path) -> None:
    write_scorer(tmp_path / "letters", trained.config, trained.weights)
    # one layer, as wide as the reader
    folder = ScorerFolder(
        trained.config, read_scorer_of_one_layer(tmp_path / "letters", trained).weights
    )
    judge = TrainedJudge(folder, Letters(), LexicalEmbeddings())
    texts = {
        "liked": "The keeper never felt the weir. Here were eleven bells. He kept the wheel here.",
        "not": "A pilot took a rod, a cup and a box. Rain hit our old window. A tidal boat slid.",
    }
    scores = {}
    for name, text in texts.items():
        ballot = await judge.judge(writing_task(NO_REQUEST), text, generic_rubric())
        scores[name] = ballot.verdicts[0].score
    assert scores["liked"] > scores["not"] + 2


def read_scorer_of_one_layer(folder: Path, trained: Trained) -> ScorerFolder:
    config = json.loads((folder / "scorer.json").read_text())
    (folder / "scorer.json").write_text(json.dumps({**config, "layers": [1]}))
    return read_scorer(str(folder))


def test_equal_seeds_train_alike(material: Material, trained: Trained) -> None:
    again = train_scorer(material, Letters(), LexicalEmbeddings(), MODELS, name="letters")
    assert again.weights.quality.tolist() == trained.weights.quality.tolist()


def test_points_are_brought_to_peoples_scale_by_texts_that_were_not_fitted_to() -> None:
    # people's points are 2 + 3 times what was predicted
    predicted = np.array([1.0, 1.5, 2.0])
    line = calibrated(LinearHead(np.array([4.0]), 1.0), predicted, 2 + 3 * predicted)
    assert line.weights.tolist() == pytest.approx([12.0])
    assert line.bias == pytest.approx(3 * 1 + 2)


def test_points_that_the_texts_do_not_tell_are_refused() -> None:
    predicted, points = np.array([1.0, 2.0, 3.0]), np.array([6.0, 5.0, 5.5])
    with pytest.raises(InputError, match="no better than chance"):
        calibrated(LinearHead(np.array([4.0]), 1.0), predicted, points)


def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    row = {"left": "a", "right": "b", "preferred": "left"}
    path.write_text(json.dumps(row), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((pairs,), "neither scored texts nor requests"),
        ((lambda folder: rated(120, folder),), "100 requests with criteria or more"),
        ((lambda folder: asked(120, folder),), "100 scored texts or more"),
        ((lambda folder: rated(30, folder), lambda folder: asked(120, folder)), "got 30"),
    ],
)
def test_too_little_to_train_on_is_refused(
    files: tuple[Any, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        Material.read([make(tmp_path) for make in files])


def test_records_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    file = rated(120, tmp_path)
    bad = json.dumps({"id": "x", "text": "Fog.", "score": 0})
    file.write_text(f"{file.read_text()}\n{bad}", encoding="utf-8")
    material = Material.read([file, asked(100, tmp_path)])
    assert material.files["rated.jsonl"] == 120
    assert material.skipped == (
        "rated.jsonl, line 121: Value error, expected scores from 1 to 10, got 0",
    )
