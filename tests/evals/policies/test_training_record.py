"""What the folder of a training says."""

import json
from pathlib import Path

import pytest

from quillgraph.backends.errors import InputError
from quillgraph.evals.policies.training_record import read_training, training_above
from quillgraph.rl.config import TrainConfig

SETTINGS = {
    "model": {"name": "smollm2-135m"},
    "data": {"prompts": "prompts.jsonl", "prompt": "writer"},
    "rewards": {"judge": "openai:big", "functions": ["my:reward"]},
    "guards": {"pairwise_judge": "openai:other"},
    "rl": {},
}


def run(folder: Path) -> Path:
    # as `quillgraph train` writes it, so that a field that is renamed there is missed here
    settings = TrainConfig.model_validate(SETTINGS).model_dump(mode="json")
    (folder / "run.json").write_text(json.dumps({"settings": settings}), encoding="utf-8")
    return folder


def test_who_rewarded_and_who_watched_is_read(tmp_path: Path) -> None:
    found = read_training(run(tmp_path))
    assert found is not None
    assert (found.base, found.judge, found.guard) == ("smollm2-135m", "openai:big", "openai:other")
    assert (found.functions, found.prompt) == (("my:reward",), "writer")
    assert found.prompts == Path("prompts.jsonl")


def test_the_training_of_a_checkpoint_lies_above_it(tmp_path: Path) -> None:
    deep = tmp_path / "checkpoints" / "rl" / "step-20"
    deep.mkdir(parents=True)
    assert training_above(deep) is None
    run(tmp_path)
    found = training_above(deep)
    assert found is not None
    assert found.folder == tmp_path


def test_a_run_of_another_command_is_no_training(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"settings": {"seed": 1}}', encoding="utf-8")
    assert read_training(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "cannot read"),
        ("[]", "cannot read"),
        ('{"settings": {"model": {}, "data": {}, "rewards": {}}}', "this version cannot read"),
    ],
)
def test_a_damaged_record_is_no_missing_one(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=told):
        read_training(tmp_path)
