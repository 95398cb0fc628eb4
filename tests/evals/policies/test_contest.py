"""What is fixed before the first text is written."""

import json
from pathlib import Path

from quillgraph.backends.spec import BackendSpec
from quillgraph.evals.data.prompts import prompts_of
from quillgraph.evals.data.records import RubricRequest
from quillgraph.evals.policies.contest import Contest, ContestOptions, sharing
from quillgraph.evals.policies.policy import read_policies

REQUESTS = [RubricRequest(id="r", request="Write of the sea.")]


def contest(specs: list[str], judge: str, *, baselines: bool = False) -> Contest:
    policies = read_policies(specs, baselines=baselines)
    return Contest(
        data="d",
        data_format="plain",
        prompts=prompts_of(REQUESTS, None)[0],
        criteria="c",
        policies=policies,
        judge=sharing(BackendSpec.parse(judge), policies),
        options=ContestOptions(texts=2, reading="request"),
    )


def adapter(folder: Path, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    config = json.dumps({"peft_type": "LORA", "r": 8})
    (folder / "adapter_config.json").write_text(config, encoding="utf-8")
    (folder / "adapter_model.safetensors").write_bytes(content)
    return folder


def test_engines_change_seldom_and_the_judges_comes_last() -> None:
    specs = ["vllm:j", "vllm:m", "openai:x", "reflection@vllm:m", "vllm:j"]
    order = [each.name for each in contest(specs, "vllm:j").in_turn]
    assert order == ["B", "D", "C", "A", "E"]


def test_baselines_wait_for_the_costs_of_all_others() -> None:
    order = [each.name for each in contest(["vllm:j", "vllm:m"], "vllm:j", baselines=True).in_turn]
    assert order == ["B", "A", "best_of_n", "self_refine"]


def test_a_judge_shares_the_engine_that_was_started_for_adapters(tmp_path: Path) -> None:
    policies = read_policies(["vllm:m", f"vllm:m+{adapter(tmp_path / 'a', b'1')}"])
    assert sharing(BackendSpec.parse("vllm:m"), policies) == policies[0].model
    other = BackendSpec.parse("vllm:m?max_model_len=64")
    assert sharing(other, policies) == other


def test_weights_that_have_changed_are_another_comparison(tmp_path: Path) -> None:
    spec = f"vllm:m+{adapter(tmp_path / 'a', b'1')}"
    before = contest([spec], "openai:j").facts()
    assert contest([spec], "openai:j").facts() == before
    adapter(tmp_path / "a", b"2")
    after = contest([spec], "openai:j").facts()
    assert [name for name in before if before[name] != after[name]] == ["weights"]
