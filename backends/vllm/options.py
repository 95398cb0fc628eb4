"""The options of vLLM, in this process or as a server."""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from quillgraph.backends.runtime.hardware import multiplies_bfloat16
from quillgraph.backends.weights.pretrained import NumberFormat, is_quantized

ENGINE_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB; 87k tokens of SmolLM2-135M, half as many in float32
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",  # two cores are few enough for the engine
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout belongs to results
    "VLLM_NO_USAGE_STATS": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "DO_NOT_TRACK": "1",
}
"""Set before vLLM is imported, unless the user has set them."""

ENGINE_OPTIONS: dict[str, Any] = {
    "enable_prefix_caching": True,
    "logprobs_mode": "processed_logprobs",
    "generation_config": "vllm",  # the model repository's sampling defaults stay out
    # llguidance: xgrammar allows no escape in a string with bounds, so none could hold a quotation
    "structured_outputs_config": {"disable_any_whitespace": True, "backend": "guidance"},
    "disable_log_stats": True,
}
"""Engine arguments that do not depend on the model or the machine."""

FEW_CORES = 4
"""Most cores for which an engine keeps to one process."""

SEVERAL = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "nnodes")
"""Engine arguments that split a model, or its requests, over several processes."""


def cpu_options(
    context_tokens: int | None, engine_options: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Further engine arguments on a CPU.

    Args:
        context_tokens: The longest prompt and reply together.
        engine_options: The engine arguments that the user gives.
    """
    # with few cores, a process that waits spinning for its only worker takes one from it (LOG.md
    # 2026-11-28); with many, vLLM binds a worker's threads to cores, for which it has to start it,
    # and so takes "uni" for "mp": hence the name of the class
    alone = {"distributed_executor_backend": "vllm.v1.executor.uniproc_executor.UniProcExecutor"}
    is_alone = (
        (os.cpu_count() or 1) <= FEW_CORES
        and "VLLM_CPU_OMP_THREADS_BIND" not in os.environ
        and all(engine_options.get(name, 1) == 1 for name in SEVERAL)
    )
    return {
        "worker_cls": "quillgraph.backends.vllm.cpu_worker.Worker",
        **(alone if is_alone else {}),
        # compiling needs a C++ compiler, starts 3 times slower and decodes no faster on a CPU
        # (LOG.md 2026-11-23)
        "enforce_eager": True,
        # a prompt that is cut into chunks makes vLLM 0.31 rewind the request's random
        # generator, which kills the engine if the generator is a CPU one and has a seed
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(8192, context_tokens or 0),
    }


def number_format(model: str, dtype: NumberFormat | None, *, on_cpu: bool) -> dict[str, Any]:
    """What an engine calculates in.

    Args:
        model: Folder or hub id.
        dtype: As the user says; None for the format of the weights. A CPU that would emulate
            that, as bfloat16 is by many, takes float32 instead, if the weights are not quantized.
        on_cpu: Whether the engine runs on a CPU.
    """
    if dtype:
        return {"dtype": dtype}
    if on_cpu and not multiplies_bfloat16() and not is_quantized(model):
        return {"dtype": "float32"}
    return {}


def adapter_options(most_rank: int | None) -> dict[str, Any]:
    """What an engine is started with to take adapters up to a rank; None for no adapters."""
    if most_rank is None:
        return {}
    return {
        "enable_lora": True,
        "max_lora_rank": most_rank,
        "max_loras": 2,  # so that new calls begin while those in flight keep the old version
        "max_cpu_loras": 8,  # versions in flight; one that was put out would be read anew
    }
