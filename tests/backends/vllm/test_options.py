"""How vLLM is set up on a CPU."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends import connect
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.vllm import options as vllm_options
from quillgraph.backends.vllm.options import (
    FEW_CORES,
    cpu_options,
    number_format,
)
from quillgraph.backends.weights.pretrained import NumberFormat

EXECUTOR = "distributed_executor_backend"


@pytest.mark.parametrize(
    ("cores", "engine_options", "is_alone"),
    [
        (1, {}, True),
        (FEW_CORES, {"max_num_seqs": 4}, True),
        (FEW_CORES, {"tensor_parallel_size": 1}, True),
        (FEW_CORES, {"tensor_parallel_size": 2}, False),
        (FEW_CORES, {"data_parallel_size": 2}, False),
        (FEW_CORES + 1, {}, False),
    ],
)
def test_an_engine_keeps_to_one_process_where_cores_are_few(
    monkeypatch: pytest.MonkeyPatch, cores: int, engine_options: dict[str, Any], is_alone: bool
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.delenv("VLLM_CPU_OMP_THREADS_BIND", raising=False)
    assert (EXECUTOR in cpu_options(512, engine_options)) is is_alone


def test_whoever_binds_threads_gets_the_process_that_they_are_bound_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0-1")
    assert EXECUTOR not in cpu_options(512)
    assert cpu_options(20_000)["max_num_batched_tokens"] == 20_000


@pytest.mark.parametrize(
    ("on_cpu", "multiplies", "quantized", "dtype", "expected"),
    [
        (True, False, False, None, "float32"),
        (True, False, False, "bfloat16", "bfloat16"),
        (True, False, True, None, None),
        (True, True, False, None, None),
        (False, False, False, None, None),
        (False, False, False, "float16", "float16"),
    ],
)
def test_bfloat16_is_not_emulated_unasked(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    on_cpu: bool,
    multiplies: bool,
    quantized: bool,
    dtype: NumberFormat | None,
    expected: str | None,
) -> None:
    shape = {"model_type": "llama", "quantization_config": {"quant_method": "awq", "bits": 4}}
    if not quantized:
        del shape["quantization_config"]
    (tmp_path / "config.json").write_text(json.dumps(shape), encoding="utf-8")
    monkeypatch.setattr(vllm_options, "multiplies_bfloat16", lambda: multiplies)
    assert number_format(str(tmp_path), dtype, on_cpu=on_cpu).get("dtype") == expected


def test_what_decides_how_a_server_is_started_is_refused_with_an_address() -> None:
    with pytest.raises(ConfigError, match=r"dtype is for a server .* http://127\.0\.0\.1:1/v1"):
        connect("vllm-server:m@http://127.0.0.1:1/v1?dtype=float32")
