"""What the folder of a training says."""

import json
from pathlib import Path

import pytest

from quillgraph.agents.requests import writing_task
from quillgraph.backends.errors import InputError
from quillgraph.evals.policies.training_record import (
    read_training,
    trained_requests,
    training_above,
)
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
    record = read_training(run(tmp_path))
    assert record is not None
    assert (record.base, record.judge, record.guard) == (
        "smollm2-135m",
        "openai:big",
        "openai:other",
    )
    assert (record.functions, record.prompt) == (("my:reward",), "writer")
    assert record.prompts == Path("prompts.jsonl")


def test_the_training_of_a_checkpoint_lies_above_it(tmp_path: Path) -> None:
    deep = tmp_path / "checkpoints" / "rl" / "step-20"
    deep.mkdir(parents=True)
    assert training_above(deep) is None
    run(tmp_path)
    record = training_above(deep)
    assert record is not None
    assert record.folder == tmp_path


def test_a_run_of_another_command_is_no_training(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"settings": {"seed": 1}}', encoding="utf-8")
    assert read_training(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot read"),
        ("[]", "cannot read"),
        ('{"settings": {"model": {}, "data": {}, "rewards": {}}}', "this version cannot read"),
    ],
)
def test_a_damaged_record_is_no_missing_one(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_training(tmp_path)


def test_the_requests_that_were_trained_on_are_known_by_their_hashes(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    lines = (
        '{"request": "Write of the sea."}',
        '{"request": "Write of the moor.", "split": "held_out"}',
        "",
    )
    prompts.write_text("\n".join(lines), encoding="utf-8")
    record = read_training(run(tmp_path))
    assert record is not None
    record = record.model_copy(update={"prompts": prompts})
    assert trained_requests(record) == [writing_task("Write of the sea.").request_hash]
    prompts.write_text("no JSON", encoding="utf-8")
    assert trained_requests(record) is None
    prompts.unlink()
    assert trained_requests(record) is None


@pytest.mark.parametrize("place", ["adapter", "sft/adapter", "adapters/step-3"])
def test_an_adapter_of_another_base_is_not_the_runs(tmp_path: Path, place: str) -> None:
    folder = run(tmp_path) / place
    folder.mkdir(parents=True)
    config = folder / "adapter_config.json"
    config.write_text(json.dumps({"base_model_name_or_path": "/models/SmolLM2-135M/"}))
    assert training_above(folder) is not None
    config.write_text(json.dumps({"base_model_name_or_path": "hub/qwen"}))
    assert training_above(folder) is None
    # the card of a training goes before what PEFT has written
    (folder / "quillgraph.json").write_text(json.dumps({"base": "/models/smollm2-135m"}))
    assert training_above(folder) is not None


def test_an_adapter_that_only_lies_in_a_runs_folder_is_not_the_runs(tmp_path: Path) -> None:
    stray = run(tmp_path) / "from-elsewhere"
    stray.mkdir()
    assert training_above(stray) is None
