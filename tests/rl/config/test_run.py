"""Every name of a configuration is known or refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from quillgraph.backends.errors import ConfigError, InputError
from quillgraph.rl.config.run import load_config
from quillgraph.rl.run.arguments import trainer_args

LEAST: dict[str, Any] = {
    "model": {"name": "smollm2-135m"},
    "data": {"prompts": "prompts.jsonl"},
    "rl": {},
}
EXAMPLES = Path(__file__).parents[3] / "examples" / "train"


def written(folder: Path, **changes: Any) -> Path:
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump({**LEAST, **changes}))
    return file


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    file = written(tmp_path, criteria={"cache": "sets"}, sft={"episodes": ["runs", "/abs"]})
    config = load_config(file)
    assert config.data.prompts == tmp_path / "prompts.jsonl"
    assert config.criteria.cache == tmp_path / "sets"
    assert config.sft is not None
    assert config.sft.episodes == (tmp_path / "runs", Path("/abs"))


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, seed=3), seed=5, out=None).seed == 5


@pytest.mark.parametrize(
    ("own", "trls", "length"),
    [(None, None, 256), (40, None, 40), (None, 64, 64), (48, 48, 48)],
)
def test_the_length_of_a_text_is_said_in_one_place_for_all_stages(
    tmp_path: Path, own: int | None, trls: int | None, length: int
) -> None:
    data = {"prompts": "a.jsonl", **({"text_tokens": own} if own else {})}
    options = {"max_completion_length": trls} if trls else {}
    assert load_config(written(tmp_path, data=data, rl={"options": options})).text_tokens == length
    if not trls:
        only_sft = written(tmp_path, data=data, rl=None, sft={})
        assert load_config(only_sft).text_tokens == length


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modle": {}}, "unknown option 'modle': did you mean 'model'?"),
        ({"model": {"name": "a", "lora": {"rank": 8}}}, "unknown option 'model.lora.rank'"),
        ({"rewards": {"rules": {"drop_out": 0.1}}}, "did you mean 'dropout'?"),
        ({"rl": None}, "expected sft, rl or both"),
        ({"rl": {"algorithm": "ppo"}}, "rl.algorithm: input should be 'mrpo' or 'grpo', got 'ppo'"),
        ({"rewards": {"rules": {"dropout": 1.0}}}, "rewards.rules.dropout: .*less than 1, got 1.0"),
        ({"model": {"name": "a", "adapter": "b", "lora": None}}, "contradict each other"),
        ({"sft": {"collect": None}}, "expected episodes or collect"),
        ({"sft": {"mix": [0, 0, 0]}}, "expected shares"),
        ({"model": {}}, "model.name: field required"),
        (
            {
                "data": {"prompts": "a", "text_tokens": 40},
                "rl": {"options": {"max_completion_length": 64}},
            },
            "data.text_tokens is 40 and rl.options.max_completion_length 64",
        ),
        ({"data": {"prompts": "a", "text_tokens": 0}}, "data.text_tokens: .*than or equal to 1"),
        ({"checkpoints": {"every": 0}}, "checkpoints.every: .*greater than or equal to 1, got 0"),
        ({"model": {"name": "a", "adapter": "b", "lora": {"r": 8}}}, "leave lora out"),
        ({"criteria": {"study": "hard", "drafts": 2}}, "asks no model: leave drafts out"),
        ({"rewards": {"samples": 2}}, "rewards: samples are replies of a judge"),
        ({"rewards": {"judge": "scorer:prose", "samples": 2}}, "rewards: samples are replies"),
        ({"rewards": {"rules": {"seed": 1}}}, "rules.seed is the run's: set seed instead"),
        ({"rewards": {"rules": {"gate": False}}}, "set rl.options.hard_gate: false instead"),
        ({"rewards": {"rules": {"diversity": 0.2}}}, "texts in memory have no diversity term"),
        ({"sft": {"episodes": ["runs"], "collect": {}}}, "episodes or collect, got both"),
        ({"guards": {"prompts": 3}}, "prompts is about comparisons: set pairwise_judge"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(written(tmp_path, **changes))


def test_a_file_that_is_not_there_and_one_that_is_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_config(tmp_path / "absent.yaml")
    (tmp_path / "bad.yaml").write_text("model: [")
    with pytest.raises(ConfigError, match="expected YAML"):
        load_config(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(ConfigError, match=r"expected a mapping in .*got list"):
        load_config(tmp_path / "list.yaml")


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_each_example_is_a_configuration_whose_options_the_trainers_know(
    file: Path, tmp_path: Path, training_libraries: None
) -> None:
    from trl import GRPOConfig, SFTConfig

    from quillgraph.rl.mrpo.config import MRPOConfig

    config = load_config(file)
    assert config.data.prompts.is_file()
    decided = {"output_dir": str(tmp_path), "use_cpu": True, "report_to": "none"}
    if config.rl:
        kind = MRPOConfig if config.rl.algorithm == "mrpo" else GRPOConfig
        trainer_args(kind, _on_cpu(config.rl.options), decided, "rl.options")
    if config.sft:
        trainer_args(SFTConfig, _on_cpu(config.sft.options), decided, "sft.options")


def _on_cpu(options: dict[str, Any]) -> dict[str, Any]:
    """What needs a GPU is no matter of names."""
    return {name: value for name, value in options.items() if name not in ("bf16", "tf32")}


def test_the_rollout_engine_of_the_example_takes_adapters(smollm2_folder: Path) -> None:
    pytest.importorskip("vllm")
    from quillgraph.backends import capabilities_of, connect

    config = load_config(EXAMPLES / "cpu.yaml")
    assert config.rl is not None
    assert config.rl.rollouts is not None
    assert capabilities_of(connect(config.rl.rollouts)).adapters
