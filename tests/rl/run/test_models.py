"""Who writes and who judges in a run."""

from types import SimpleNamespace
from typing import Any

import pytest

from quillgraph.rl.config.run import TrainConfig
from quillgraph.rl.run.models import tell_of_another_writer


@pytest.mark.parametrize(
    ("spec", "writer", "is_told"),
    [
        ("vllm:org/other", "org/other", True),
        ("transformers:org/policy", "org/policy", False),
        ("vllm-server:org/other", "org/other", True),
        ("vllm-server:served@http://127.0.0.1:1/v1", "served", False),
        (None, "org/policy", False),
    ],
)
def test_an_engine_with_other_weights_than_the_policys_is_told(
    spec: str | None, writer: str, is_told: bool
) -> None:
    config = TrainConfig.model_validate(
        {"model": {"name": "org/policy"}, "data": {"prompts": "p.jsonl"}, "rl": {"rollouts": spec}}
    )
    engine: Any = SimpleNamespace(model=writer)
    lines: list[str] = []
    tell_of_another_writer(config, engine, lines.append)
    assert [line.split(":")[0] for line in lines] == ["warning"] * is_told
