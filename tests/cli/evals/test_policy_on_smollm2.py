"""`quillgraph eval policy` on the real SmolLM2 and adapters of it, on both in-process engines."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from quillgraph.rl.config import TrainConfig

pytestmark = pytest.mark.model

REQUEST = "A line about rain."
CRITERIA = [{"name": "Image", "description": "One clear image."}]


@pytest.fixture
def trained(adapters: tuple[Path, Path]) -> Path:
    """The folder that a training run leaves, with a real adapter in it."""
    folder = Path("trained")
    shutil.copytree(adapters[0], folder / "adapter")
    config = TrainConfig.model_validate(
        {"model": {"name": "smollm2-135m"}, "data": {"prompts": "seen.jsonl"}, "rl": {}}
    )
    run = {"settings": config.model_dump(mode="json"), "status": "done"}
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    Path("seen.jsonl").write_text(json.dumps({"request": REQUEST}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", ["transformers", "vllm"])
def test_policies_write_with_their_own_weights_and_the_judge_with_none(
    quillgraph: Any, trained: Path, adapters: tuple[Path, Path], kind: str
) -> None:
    pytest.importorskip({"vllm": "vllm", "transformers": "torch"}[kind])
    row = {"id": "rain", "request": REQUEST, "criteria": CRITERIA}
    Path("prompts.jsonl").write_text(json.dumps(row), encoding="utf-8")
    model = f"{kind}:smollm2-135m?temperature=0&max_concurrency=4"
    if kind == "vllm":
        model += "&max_model_len=2048"
    words = (
        "eval", "policy", model, f"{model}+{trained}", f"other={model}+{adapters[1]}",
        "--data", "prompts.jsonl", "--texts", 1, "--text-tokens", 20, "--samples", 1,
        "--judge", model, "--out", "run", "--json",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the engines' own imports
        result = quillgraph(*words)
    assert result.status == 0, result.stderr
    calls = [json.loads(line) for line in Path("run/calls.jsonl").read_text("utf-8").splitlines()]
    weights = {(call["run"].partition("/")[0], call["trace"]["weights_version"]) for call in calls}
    assert weights == {
        ("A", "base"), ("B", "policy-B"), ("other", "policy-other"), ("judge", "base"),
    }  # fmt: skip
    texts = [json.loads(line) for line in Path("run/texts.jsonl").read_text("utf-8").splitlines()]
    # greedy, so that other words come of other weights alone
    assert len({text["text"] for text in texts}) == len(texts) == 3
    report = json.loads(result.stdout)["report"]
    assert report["notes"] == [
        "The judge is the same model as policy A: models prefer what they would write.",
        "The judge is the base of policy B: models prefer what they would write.",
        "The judge is the base of policy other: models prefer what they would write.",
        f"No record of the training of policy other lies above {adapters[1]}, or none that "
        "is of this adapter: whether the judge has trained it is not known.",
        "Policy B was trained on 1 of the 1 prompts.",
    ]
    assert report["policies"][1]["adapter"] == "trained/adapter"
    assert set(report["measures"]["win_rate"]) == {"B", "other"}
