"""What the configuration of a LoRA adapter says, and which part of it the engines take.

An adapter is served if it comes down to low-rank matrices that are added to weights of the base:
every engine swaps these. Whatever else a configuration asks for is refused by its field's name.
"""

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.weights.pretrained import from_pretrained

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

Shape = tuple[int, ...]

LAYOUT = frozenset(
    {
        "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "target_modules",
        "exclude_modules", "layers_to_transform", "layers_pattern", "fan_in_fan_out",
    }
)  # fmt: skip
"""Fields that decide where the matrices go, and with which rank and scale; PEFT resolves them."""

WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping", "base_model_name_or_path", "inference_mode", "peft_type", "peft_version",
        "revision", "task_type", "runtime_config", "lora_dropout", "megatron_core",
        "qalora_group_size", "eva_config", "corda_config", "loftq_config", "lora_ga_config",
    }
)  # fmt: skip
"""Fields that say where an adapter comes from and how it was trained. What the last four leave
behind is refused by `init_lora_weights`."""

INITIAL = (True, False, None, "gaussian", "eva", "orthogonal")
"""Values of `init_lora_weights` that leave the weights of the base as they were."""

REFUSED = {
    "use_dora": "rescales whole weights",
    "bias": "changes the biases of the base",
    "lora_bias": "adds biases",
    "modules_to_save": "replaces whole modules of the base",
    "trainable_token_indices": "replaces rows of the embeddings",
    "target_parameters": "adapts parameters that are no module's weight",
    "layer_replication": "repeats layers of the base",
    "ensure_weight_tying": "ties matrices of several modules",
    "alora_invocation_tokens": "is at work in a part of the prompt alone",
    "megatron_config": "adapts layers of Megatron",
    "use_qalora": "pools the input of its matrices",
    "use_bdlora": "has matrices of blocks",
    "arrow_config": "mixes several adapters",
    "kasa_config": "has more than two matrices a module",
    "monteclora_config": "samples its matrices",
    "velora_config": "compresses what passes through it",
}
"""Fields that ask for more than two matrices a module: name to what they do."""

MERGE = (
    "merge it into the model (`PeftModel.from_pretrained(model, folder).merge_and_unload()`), save "
    "that and name it instead"
)


@dataclass(frozen=True, slots=True)
class Matrices:
    """A module that an adapter changes: what PEFT makes of the configuration there."""

    rank: int
    scale: float
    """What B·A is multiplied by."""
    shapes: Mapping[str, Shape]
    """Half, `A` or `B`, to the shape of its matrix."""
    is_embedding: bool


def read_config(path: Path) -> dict[str, Any]:
    """Read the configuration of an adapter, and refuse what is not served.

    Raises:
        ConfigError: If there is none, or a field asks for more than low-rank matrices.
    """
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"expected a folder with {CONFIG} and {WEIGHTS}, as PEFT saves an adapter; cannot "
            f"read {path / CONFIG}: {error.strerror}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"expected JSON in {path / CONFIG}: {error}") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else config
        raise ConfigError(f"expected a LoRA adapter in {path}, got peft_type {kind!r}; {MERGE}")
    _check_fields(path, config)
    return config


def _check_fields(path: Path, config: Mapping[str, Any]) -> None:
    start = config.get("init_lora_weights", True)
    if start not in INITIAL:
        raise ConfigError(
            f"the adapter in {path} has init_lora_weights={start!r}, which changes the weights of "
            "the base at the start of a training, so its matrices fit no other base; save it with "
            "PEFT's path_initial_model_for_weight_conversion, or train it with "
            "init_lora_weights=True"
        )
    for name, value in config.items():
        if name in LAYOUT or name in WITHOUT_EFFECT or name == "init_lora_weights":
            continue
        if value and not (name == "bias" and value == "none"):
            effect = REFUSED.get(name, "is a field that no engine here is known to serve")
            raise ConfigError(
                f"the adapter in {path} has {name}={value!r}, which {effect} and is not swapped "
                f"while a model runs; {MERGE}, or train it without {name}"
            )


def ranks(path: Path, config: Mapping[str, Any]) -> list[int]:
    """List the ranks that a configuration names.

    Raises:
        ConfigError: If one is no rank.
    """
    entries = [config.get("r"), *(config.get("rank_pattern") or {}).values()]
    whole = [rank for rank in entries if isinstance(rank, int) and rank > 0]
    if whole != entries:
        raise ConfigError(f"expected ranks of 1 or more in {path / CONFIG}, got {entries}")
    alphas = [config.get("lora_alpha", 8), *(config.get("alpha_pattern") or {}).values()]
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in alphas):
        raise ConfigError(f"expected numbers as lora_alpha in {path / CONFIG}, got {alphas}")
    return whole


def adapted_modules(path: Path, config: Mapping[str, Any], model: str) -> Mapping[str, Matrices]:
    """Resolve a configuration on a model, by name of the module, as PEFT does.

    Raises:
        ConfigError: If PEFT is not installed, or cannot put such an adapter on the model.
    """
    layout = {name: config[name] for name in sorted(LAYOUT) if config.get(name) is not None}
    try:
        return _resolved(model, json.dumps(layout))
    except ImportError as error:
        raise ConfigError(
            "peft is not installed, which reads adapters; pip install 'peft>=0.20,<0.22'"
        ) from error
    except (ValueError, TypeError, RuntimeError, re.error) as error:
        raise ConfigError(f"PEFT cannot put the adapter in {path} on {model!r}: {error}") from error


@lru_cache(maxsize=8)  # the versions of one training share their configuration
def _resolved(model: str, layout: str) -> Mapping[str, Matrices]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tied weights, and of fan_in_fan_out put right
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer

        config = LoraConfig(**json.loads(layout))
        adapted = inject_adapter_in_model(config, bare_model(model), low_cpu_mem_usage=True)
    return {
        name: _matrices(module) for name, module in adapted.named_modules()
        if isinstance(module, LoraLayer)
    }  # fmt: skip


def _matrices(module: Any) -> Matrices:
    (adapter,) = module.r
    is_embedding = adapter in module.lora_embedding_A
    if is_embedding:
        halves = {"A": module.lora_embedding_A[adapter], "B": module.lora_embedding_B[adapter]}
    else:
        halves = {"A": module.lora_A[adapter].weight, "B": module.lora_B[adapter].weight}
    return Matrices(
        rank=module.r[adapter],
        scale=module.scaling[adapter],
        shapes={half: tuple(matrix.shape) for half, matrix in halves.items()},
        is_embedding=is_embedding,
    )


def bare_model(model: str) -> Any:
    """Build the modules of a model without their weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(from_pretrained(AutoConfig, model))
