"""LoRA adapters on disk: what a folder holds, and whether it fits a model.

An engine loads one by `load_adapter` of its chat model; how is in `vllm/adapters.py`,
`servers/adapters.py` and `transformers/chat.py`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.weights.pretrained import from_pretrained

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

PLAIN = {"use_dora": False, "bias": "none", "modules_to_save": None}
"""What keeps an adapter to low-rank matrices alone, the form that every engine swaps."""

Shape = tuple[int, ...]

Rank = Literal[1, 8, 16, 32, 64, 128, 256, 320, 512]

LoraRank = Annotated[
    Rank,
    BeforeValidator(
        lambda value: int(value) if isinstance(value, str) and value.isdigit() else value
    ),
]
"""Ranks that vLLM has kernels for; in a spec they are written as text."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """The dtype and shape of a tensor in a file."""

    dtype: str
    shape: Shape


def check_adapter(path: Path, model: str, most_rank: int | None = None) -> Path:
    """Refuse an adapter that an engine could not serve, before the engine gets it.

    The check compares the base model by the shapes of its weights. Names of folders prove nothing,
    and two models of equal shapes cannot be distinguished.

    Args:
        path: Folder of the adapter, as PEFT writes it.
        model: Folder or hub id of the model that is to carry it.
        most_rank: Highest rank that the engine was started for; None for any.

    Returns:
        The folder, from the root: an engine may work elsewhere.

    Raises:
        ConfigError: If there is no adapter, or one of another kind, base, rank or dtype.
    """
    config = _config(path)
    rank = _rank(path, config, most_rank)
    transposed = bool(config.get("fan_in_fan_out"))
    shapes = weight_shapes(model)
    for module, halves in _pairs(path).items():
        if module not in shapes:
            raise ConfigError(
                f"the adapter in {path} was trained for another base: it adapts {module!r}, which "
                f"{model!r} does not have"
            )
        base = shapes[module][::-1] if transposed else shapes[module]
        if (got := _adapted(halves)) != base:
            raise ConfigError(
                f"the adapter in {path} was trained for another base: it adapts {module!r} as a "
                f"weight of {_shape_text(got)}, and in {model!r} it has {_shape_text(base)}"
            )
        if (actual := halves["A"].shape[0]) > rank:
            raise ConfigError(
                f"{path} is damaged: {CONFIG} says rank {rank}, and {module!r} has rank {actual}"
            )
    return path.resolve()


def rank_for(path: Path) -> int:
    """Choose the `max_lora_rank` that vLLM needs for an adapter.

    Raises:
        ConfigError: If there is no adapter, or one of a rank that vLLM has no kernels for.
    """
    rank = _rank(path, _config(path), None)
    fitting = [each for each in get_args(Rank) if each >= rank]
    if not fitting:
        raise ConfigError(
            f"the adapter in {path} has rank {rank}, and vLLM takes {max(get_args(Rank))} at most"
        )
    return int(min(fitting))


def _config(path: Path) -> dict[str, Any]:
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
        raise ConfigError(f"expected a LoRA adapter in {path}, got peft_type {kind!r}")
    for name, plain in PLAIN.items():
        if (got := config.get(name, plain) or plain) != plain:
            raise ConfigError(
                f"the adapter in {path} has {name}={got!r}, which is not swapped while a model "
                f"runs; train it with {name}={plain!r}"
            )
    return config


def _rank(path: Path, config: dict[str, Any], most: int | None) -> int:
    entries = [config.get("r"), *(config.get("rank_pattern") or {}).values()]
    ranks = [rank for rank in entries if isinstance(rank, int) and rank > 0]
    if ranks != entries:
        raise ConfigError(f"expected ranks of 1 or more in {path / CONFIG}, got {entries}")
    highest = max(ranks)
    if most is not None and highest > most:
        raise ConfigError(
            f"the adapter in {path} has rank {highest}, and the engine was started for "
            f"{most} at most; raise max_lora_rank"
        )
    return highest


def _pairs(path: Path) -> dict[str, dict[str, Tensor]]:
    """The two matrices A and B of each module that the adapter changes."""
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, tensor in _tensors(path / WEIGHTS):
        module, _, half = name.removeprefix("base_model.model.").rpartition(".lora_")
        if half not in ("A.weight", "B.weight"):
            raise ConfigError(f"{path / WEIGHTS} holds {name!r}, which no LoRA of matrices has")
        pairs.setdefault(module, {})[half[0]] = tensor
    whole = all(len(pair) == 2 for pair in pairs.values())
    if not pairs or not whole:
        raise ConfigError(f"{path / WEIGHTS} is damaged: it lacks the A or the B of some module")
    return pairs


def _tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  the file is no mapping
                values = file.get_tensor(name)
                dtype = str(values.dtype).removeprefix("torch.")
                if dtype not in ("float32", "float16", "bfloat16"):
                    raise ConfigError(
                        f"expected float32, float16 or bfloat16 in {path}, got {dtype} for {name!r}"
                    )
                if not torch.isfinite(values).all():
                    raise ConfigError(
                        f"{name!r} in {path} holds NaN or infinity: the training that wrote it "
                        "has diverged; go back to an earlier version"
                    )
                yield name, Tensor(dtype, tuple(values.shape))
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"cannot read the adapter's weights in {path}: {error}") from error


def _adapted(halves: Mapping[str, Tensor]) -> Shape:
    """Shape of B·A, which is added to the weight."""
    return halves["B"].shape[0], halves["A"].shape[-1]


def _shape_text(shape: Shape) -> str:
    return "×".join(map(str, shape))


@lru_cache(maxsize=4)
def weight_shapes(model: str) -> Mapping[str, Shape]:
    """Shape of the weight matrix of each module of a model, without loading it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        bare = AutoModelForCausalLM.from_config(from_pretrained(AutoConfig, model))
    return {
        name.removesuffix(".weight"): tuple(parameter.shape)
        for name, parameter in bare.named_parameters()
        if name.endswith(".weight")
    }
