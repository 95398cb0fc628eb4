"""Who judges whom."""

from pathlib import Path

import pytest

from quillgraph.agents.requests import writing_task
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.spec import BackendSpec
from quillgraph.backends.weights import installed
from quillgraph.evals.policies.kinship import (
    identity,
    refuse_training_judge,
    reservations,
    seen_in_training,
    trained_by,
)
from quillgraph.evals.policies.policy import Policy
from quillgraph.evals.policies.training_record import TrainingRecord


def policy(name: str, model: str, adapter: str | None = None, **training: object) -> Policy:
    record = {
        "folder": "runs/cpu", "base": BackendSpec.parse(model).model, "judge": None,
        "guard": None, "functions": (), "prompt": "request", "prompts": "p.jsonl", **training,
    }  # fmt: skip
    return Policy(
        name=name,
        spec=model,
        model=BackendSpec.parse(model),
        adapter=Path(adapter) if adapter else None,
        training=TrainingRecord.model_validate(record) if training else None,
    )


def test_a_model_is_known_again_under_any_engine_and_options(tmp_path: Path) -> None:
    folder = next(str(each.path) for each in installed() if each.name == "smollm2-135m")
    alike = (
        "vllm:smollm2-135m", "transformers:smollm2-135m?dtype=float32",
        "vllm:smollm2-135m?max_lora_rank=8",
    )  # fmt: skip
    assert len({identity(spec) for spec in alike}) == 1
    assert identity("vllm:smollm2-135m") in (folder, str(Path(folder).resolve()))
    assert identity("openai:gpt@http://one/v1") == identity("openai:gpt@http://two/v1")
    assert identity("openai:gpt") != identity("openai:gpt-mini")
    assert identity(f"scripted:{tmp_path}/../{tmp_path.name}") == identity(f"scripted:{tmp_path}")
    one, two = (f"langchain:a.Chat?model={name}" for name in "mn")
    assert identity(one) != identity(two)
    assert identity("scorer:folder") == "scorer:folder"


def test_the_judge_of_the_training_is_refused_whichever_engine_it_runs_on() -> None:
    tuned = policy("B", "vllm:org/small", "ad", judge="vllm:org/judge?max_concurrency=4")
    plain = policy("A", "vllm:org/small")
    assert trained_by([plain, tuned], "openai:org/judge@http://h/v1") == (tuned,)
    with pytest.raises(ConfigError, match=r"has trained policy B \(runs/cpu\).*--allow-same-judge"):
        refuse_training_judge([plain, tuned], "openai:org/judge@http://h/v1")
    refuse_training_judge([plain, tuned], "openai:org/other")


def test_each_reservation_names_its_policy() -> None:
    entrants = [
        policy("A", "vllm:org/judge"),
        policy("B", "vllm:org/judge", "ad", judge="vllm:org/judge"),
        policy("C", "vllm:org/small", "ad"),
        policy("D", "vllm:org/small", "ad", guard="openai:org/judge", functions=("m:f",)),
        policy("E", "vllm:org/small", "ad", judge=None),
    ]
    notes = list(reservations(entrants, "openai:org/judge"))
    assert [note.split(":")[0] for note in notes] == [
        "The judge is the same model as policy A",
        "The judge is the base of policy B",
        "The judge has trained policy B",
        "No record of the training of policy C lies above ad, or none that is of this adapter",
        "The judge has watched over the training of policy D.",
        "Policy D was also rewarded by m",
    ]
    assert list(reservations([policy("A", "vllm:org/small")], "openai:org/judge")) == []


def test_an_adapter_on_another_model_than_it_was_trained_on_is_told() -> None:
    strange = policy("B", "vllm:org/small", "ad", judge=None, base="org/large")
    assert list(reservations([strange], "openai:org/judge")) == [
        "The adapter of policy B was trained on 'org/large', and is laid on 'org/small' here."
    ]


def test_prompts_that_were_trained_on_are_counted() -> None:
    tasks = [writing_task(f"Write of the {name}.") for name in ("sea", "moor", "fog")]
    hashes = [tasks[1].request_hash, tasks[1].request_hash, writing_task("Else.").request_hash]
    notes = seen_in_training(policy("B", "vllm:m"), tasks, hashes)
    assert notes == "Policy B was trained on 1 of the 3 prompts."
    assert seen_in_training(policy("B", "vllm:m"), tasks, hashes[2:]) == ""
    assert "cannot be read any more" in seen_in_training(policy("B", "vllm:m"), tasks, None)
