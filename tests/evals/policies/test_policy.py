"""Which policy a spec means."""

import json
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.runtime import default_backend
from quillgraph.evals.policies.policy import read_policies


def adapter(folder: Path, rank: int = 8) -> Path:
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": rank}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def training(folder: Path, place: str = "adapter", **settings: Any) -> Path:
    """The folder of a finished training run."""
    adapter(folder / place)
    settings = {
        "model": {"name": "smollm2-135m"},
        "data": {"prompts": "prompts.jsonl", "prompt": "request"},
        "rewards": {"judge": None},
        **settings,
    }
    (folder / "run.json").write_text(json.dumps({"settings": settings}), encoding="utf-8")
    return folder


def test_policies_are_called_by_letters_or_by_the_names_given() -> None:
    policies = read_policies(
        ["vllm:one", "tuned=openai:two@http://h/v1?max_tokens=5", "vllm:three"]
    )
    assert [each.name for each in policies] == ["A", "tuned", "C"]
    assert policies[1].model.base_url == "http://h/v1"
    assert policies[1].model.options == {"max_tokens": "5"}


def test_a_graph_stands_before_the_model_that_plays_in_it() -> None:
    plain, graph, own = read_policies(
        [
            "openai:m@http://h/v1",
            "best_of_n?n=4@openai:m@http://h/v1",
            "my_graph.py:build@scripted:f",
        ]
    )
    assert plain.graph is None
    assert (graph.graph, graph.options) == ("best_of_n", {"n": 4})
    assert graph.model == plain.model
    assert own.graph == "my_graph.py:build"


def test_an_adapter_stands_behind_its_model_and_is_found_in_its_run(tmp_path: Path) -> None:
    folder = training(tmp_path / "run")
    by_hand, by_run, in_graph = read_policies(
        [
            f"transformers:smollm2-135m+{folder / 'adapter'}",
            f"transformers:smollm2-135m+{folder}",
            f"reflection@transformers:smollm2-135m+{folder}",
        ]
    )
    for each in (by_hand, by_run, in_graph):
        assert each.adapter == folder / "adapter"
        assert each.training is not None
        assert each.training.base == "smollm2-135m"
    assert in_graph.graph == "reflection"


def test_a_run_alone_says_which_model_it_belongs_to(tmp_path: Path) -> None:
    folder = training(tmp_path / "run", place="sft/adapter")
    (policy,) = read_policies([str(folder)])
    assert policy.model.model == "smollm2-135m"
    assert policy.model.kind == default_backend()[0].partition(":")[0]
    assert policy.adapter == folder / "sft" / "adapter"


def test_a_run_that_trained_all_weights_is_a_model_of_its_own(tmp_path: Path) -> None:
    folder = training(tmp_path / "run", place="other")
    (folder / "adapter").mkdir()
    (folder / "adapter" / "config.json").write_text("{}", encoding="utf-8")
    (policy,) = read_policies([str(folder)])
    assert policy.adapter is None
    assert policy.model.model == str(folder / "adapter")


def test_policies_on_one_model_share_an_engine_for_the_highest_rank(tmp_path: Path) -> None:
    low, high = adapter(tmp_path / "low", 4), adapter(tmp_path / "high", 12)
    policies = read_policies(
        ["vllm:m", f"vllm:m+{low}", f"vllm:m+{high}", "vllm:other", "openai:m"]
    )
    ranks = [each.model.options.get("max_lora_rank") for each in policies]
    # vLLM has kernels for 1, 8, 16, …: 12 needs 16
    assert ranks == ["16", "16", "16", None, None]
    assert policies[0].model == policies[1].model == policies[2].model


def test_baselines_play_on_the_first_ones_model_and_adapter(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "low")
    policies = read_policies([f"reflection@vllm:m+{folder}", "vllm:other"], baselines=True)
    assert [each.name for each in policies] == ["A", "B", "best_of_n", "self_refine"]
    for each in policies[2:]:
        assert each.at_equal_tokens
        assert (each.graph, each.model, each.adapter) == (each.name, policies[0].model, folder)
        assert each.spec == f"{each.name}@vllm:m+{folder}"


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([], "expected a policy as KIND:MODEL, .*got none"),
        (["smollm2-135m"], "the folder of a training run.*got 'smollm2-135m'"),
        (["vlm:m"], "got 'vlm:m': did you mean 'vllm'"),
        (["@vllm:m"], "GRAPH@ and one of these, got '@vllm:m'"),
        (["best_of_n?n@vllm:m"], r"expected GRAPH\?option=value"),
        (["x=vllm:m", "x=vllm:n"], "names of their own, got 'x' twice"),
        (["vllm:m+nowhere"], "expected the folder of an adapter or of a training run, no nowhere"),
        (["vllm:m"] * 27, "at most 26 policies"),
    ],
)
def test_what_is_no_policy_is_refused(specs: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_policies(specs)


def test_an_adapter_without_its_training_needs_the_name_of_its_model(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "loose")
    with pytest.raises(ConfigError, match=r"not the folder of a training run.*KIND:MODEL\+"):
        read_policies([str(folder)])


def test_a_run_without_an_adapter_has_not_finished(tmp_path: Path) -> None:
    folder = training(tmp_path / "run", place="elsewhere/adapter")
    with pytest.raises(ConfigError, match=r"found none \(its run has not finished"):
        read_policies([str(folder)])


def test_a_whole_model_is_no_adapter(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="got a whole model; name it as vllm:"):
        read_policies([f"vllm:m+{tmp_path}"])


def test_an_adapter_that_is_not_the_runs_is_refused_before_anything_is_started(
    tmp_path: Path,
) -> None:
    folder = training(tmp_path / "run")
    config = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": "qwen"}
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ConfigError, match="is not the run's: it was trained on 'qwen'"):
        read_policies([str(folder)])
