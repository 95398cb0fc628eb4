"""The process and the machine: loops, slots, hardware."""

from quillgraph.backends.runtime.hardware import (
    default_backend,
    gpu_name,
    installed_version,
    multiplies_bfloat16,
    vllm_build,
    vllm_obstacle,
)
from quillgraph.backends.runtime.limits import Limiter
from quillgraph.backends.runtime.loops import BackgroundLoop
from quillgraph.backends.runtime.output import output_to

__all__ = [
    "BackgroundLoop",
    "Limiter",
    "default_backend",
    "gpu_name",
    "installed_version",
    "multiplies_bfloat16",
    "output_to",
    "vllm_build",
    "vllm_obstacle",
]
