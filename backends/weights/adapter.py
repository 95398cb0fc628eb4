"""LoRA adapters on disk: whether one fits a model, and the form in which every engine reads it.

An engine loads one by `load_adapter` of its chat model; how is in `vllm/adapters.py`,
`servers/adapters.py` and `transformers/chat.py`.
"""

import atexit
import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.weights.adapter_config import (
    CONFIG,
    WEIGHTS,
    Matrices,
    Shape,
    adapted_modules,
    bare_model,
    ranks,
    read_config,
)

PREFIX = "base_model.model."
"""What PEFT puts before the name of each module."""

Rank = Literal[1, 8, 16, 32, 64, 128, 256, 320, 512]

LoraRank = Annotated[
    Rank,
    BeforeValidator(
        lambda value: int(value) if isinstance(value, str) and value.isdigit() else value
    ),
]
"""Ranks that vLLM has kernels for; in a spec they are written as text."""


@dataclass(frozen=True, slots=True)
class _Adapter:
    """An adapter that has been checked against its model."""

    config: Mapping[str, Any]
    targets: Mapping[str, Matrices]
    base_weights: tuple[str, ...]
    """Names of the tensors that are weights of the base, unchanged."""

    @property
    def is_plain(self) -> bool:
        """Whether all modules have the rank and the scale that the configuration has as a whole.

        vLLM 0.31 reads no patterns.
        """
        rank, alpha = self.config["r"], self.config.get("lora_alpha")
        if alpha is None or self.base_weights:
            return False
        scale = alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)
        return all((each.rank, each.scale) == (rank, scale) for each in self.targets.values())


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
    _checked(path, model, most_rank)
    return path.resolve()


def served_adapter(path: Path, model: str, most_rank: int | None = None) -> Path:
    """Check an adapter, and give the folder from which every engine reads what PEFT reads.

    That is the adapter's own, unless its modules differ in rank or scale, or it holds weights of
    the base: then the same products B·A are written with one rank and a scale of 1 to a temporary
    folder, which goes at the end of the process.

    Args and errors are those of `check_adapter`.
    """
    adapter = _checked(path, model, most_rank)
    if adapter.is_plain:
        return path.resolve()
    folder = Path(tempfile.mkdtemp(prefix="quillgraph-adapter-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _write_plain(path, adapter, folder)
    return folder


def check_remote_adapter(path: Path) -> Path:
    """Refuse an adapter that servers whose model is not here would read otherwise than PEFT.

    Returns:
        The folder, from the root.

    Raises:
        ConfigError: If a field of its configuration is not read by vLLM.
    """
    config = read_config(path)
    ranks(path, config)
    for name in ("rank_pattern", "alpha_pattern"):
        if config.get(name):
            raise ConfigError(
                f"the adapter in {path} has {name}={config[name]!r}, which vLLM does not read; "
                "where its model is, `quillgraph.backends.weights.served_adapter(folder, model)` "
                "gives a folder with one rank and scale: copy that and name it instead"
            )
    return path.resolve()


def rank_for(path: Path) -> int:
    """Choose the `max_lora_rank` that vLLM needs for an adapter.

    Raises:
        ConfigError: If there is no adapter, or one of a rank that vLLM has no kernels for.
    """
    rank = max(ranks(path, read_config(path)))
    fitting = [each for each in get_args(Rank) if each >= rank]
    if not fitting:
        raise ConfigError(
            f"the adapter in {path} has rank {rank}, and vLLM takes {max(get_args(Rank))} at most"
        )
    return int(min(fitting))


def _checked(path: Path, model: str, most_rank: int | None) -> _Adapter:
    config = read_config(path)
    highest = max(ranks(path, config))
    if most_rank is not None and highest > most_rank:
        raise ConfigError(
            f"the adapter in {path} has rank {highest}, and the engine was started for "
            f"{most_rank} at most; raise max_lora_rank"
        )
    shapes = weight_shapes(model)
    pairs, base_weights = _contents(path, shapes)
    if foreign := [module for module in pairs if module not in shapes]:
        raise ConfigError(
            f"the adapter in {path} was trained for another base: it adapts {foreign[0]!r}, which "
            f"{model!r} does not have"
        )
    adapter = _Adapter(config, adapted_modules(path, config, model), base_weights)
    _check_shapes(path, model, pairs, adapter.targets)
    for name in base_weights:
        _check_unchanged(path, model, name)
    return adapter


def _check_shapes(
    path: Path,
    model: str,
    pairs: Mapping[str, Mapping[str, Shape]],
    wanted: Mapping[str, Matrices],
) -> None:
    """Compare the matrices of a file with those that PEFT makes of the configuration."""
    for module in sorted(wanted.keys() ^ pairs.keys()):
        holds, names = ("holds", "does not name") if module in pairs else ("lacks", "names")
        raise ConfigError(
            f"{path} is damaged, or was trained for another base: {WEIGHTS} {holds} matrices for "
            f"{module!r}, which {CONFIG} {names}"
        )
    for module, target in wanted.items():
        got, base = _product(pairs[module]), _product(target.shapes)
        if got != base:
            raise ConfigError(
                f"the adapter in {path} was trained for another base: it adapts {module!r} as a "
                f"weight of {_shape_text(got)}, and in {model!r} it has {_shape_text(base)}"
            )
        if pairs[module] != target.shapes:
            raise ConfigError(
                f"{path} is damaged: {CONFIG} says rank {target.rank}, and {module!r} has rank "
                f"{pairs[module]['A'][0]}"
            )


def _product(halves: Mapping[str, Shape]) -> Shape:
    """Shape of B·A, which is added to the weight."""
    return halves["B"][0], halves["A"][-1]


def _contents(
    path: Path, shapes: Mapping[str, Shape]
) -> tuple[dict[str, dict[str, Shape]], tuple[str, ...]]:
    """The shapes of A and B of each changed module, and the names of weights of the base."""
    pairs: dict[str, dict[str, Shape]] = {}
    base_weights = []
    for name, tensor in _tensors(path / WEIGHTS):
        module, half = _part(name)
        if half in ("A", "B"):
            pairs.setdefault(module, {})[half] = tuple(tensor.shape)
        elif half == "weight" and module in shapes:
            base_weights.append(name)
        else:
            raise ConfigError(f"{path / WEIGHTS} holds {name!r}, which no LoRA of matrices has")
    whole = all(len(pair) == 2 for pair in pairs.values())
    if not pairs or not whole:
        raise ConfigError(f"{path / WEIGHTS} is damaged: it lacks the A or the B of some module")
    return pairs, tuple(base_weights)


def _part(name: str) -> tuple[str, str]:
    """The module that a tensor belongs to, and which part of it: `A`, `B`, `weight` or another.

    PEFT passes over a tensor without its prefix, and vLLM reads it.
    """
    if not name.startswith(PREFIX):
        return name, ""
    path = name.removeprefix(PREFIX)
    for half in ("A", "B"):
        for ending in (f".lora_{half}.weight", f".lora_embedding_{half}"):
            if path.endswith(ending):
                return path.removesuffix(ending), half
    module, _, part = path.rpartition(".")
    return module.removesuffix(".base_layer"), part


def _check_unchanged(path: Path, model: str, name: str) -> None:
    """Refuse a weight of the base that a training has changed, or that grew with the vocabulary."""
    import torch

    saved = next(tensor for each, tensor in _tensors(path / WEIGHTS) if each == name)
    base = _base_weight(model, _part(name)[0])
    coarser = min(saved.dtype, base.dtype, key=lambda dtype: dtype.itemsize)
    if saved.shape != base.shape or not torch.equal(saved.to(coarser), base.to(coarser)):
        raise ConfigError(
            f"{path / WEIGHTS} holds {name!r}, which differs from the weight of {model!r}: a "
            "training has changed it, or the vocabulary has grown; merge the adapter into the "
            "model it was trained on, save that and name it instead"
        )


def _base_weight(model: str, module: str) -> Any:
    """The weight of a module of a model, from its files; of a tied head, that of the embeddings."""
    from huggingface_hub import snapshot_download
    from safetensors import safe_open

    folder = model if Path(model).is_dir() else snapshot_download(model)
    for name in (module, *_embeddings(model)):
        for file in sorted(Path(folder).glob("*.safetensors")):
            with safe_open(file, framework="pt") as weights:
                if f"{name}.weight" in weights.keys():  # noqa: SIM118  the file is no mapping
                    return weights.get_tensor(f"{name}.weight")
    raise ConfigError(f"found no weight of {module!r} in the safetensors of {model!r}")


def _write_plain(path: Path, adapter: _Adapter, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    rank = max(each.rank for each in adapter.targets.values())
    tensors = {}
    for name, tensor in _tensors(path / WEIGHTS):
        if name in adapter.base_weights:
            continue
        module, half = _part(name)
        target = adapter.targets[module]
        missing = rank - target.rank
        # zeros beyond a module's own rank add nothing
        grown = (0, 0, 0, missing) if half == "A" else (0, missing)
        scale = 1.0 if half == "A" else target.scale
        tensors[name] = torch.nn.functional.pad(tensor.float() * scale, grown).contiguous()
    save_file(tensors, folder / WEIGHTS)
    config = {
        **adapter.config,
        "r": rank,
        "lora_alpha": rank,
        "use_rslora": False,
        "rank_pattern": {},
        "alpha_pattern": {},
        "target_modules": sorted(adapter.targets),
        "exclude_modules": None,
        "layers_to_transform": None,
        "layers_pattern": None,
        "init_lora_weights": True,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")


def _tensors(path: Path) -> Iterator[tuple[str, Any]]:
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
                yield name, values
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"cannot read the adapter's weights in {path}: {error}") from error


def _shape_text(shape: Shape) -> str:
    return "×".join(map(str, shape))


@lru_cache(maxsize=4)
def weight_shapes(model: str) -> Mapping[str, Shape]:
    """Shape of the weight matrix of each module of a model, without loading it."""
    return {
        # a tied head has no parameter of its own
        name.removesuffix(".weight"): tuple(parameter.shape)
        for name, parameter in bare_model(model).named_parameters(remove_duplicate=False)
        if name.endswith(".weight")
    }


@lru_cache(maxsize=4)
def _embeddings(model: str) -> tuple[str, ...]:
    import torch

    return tuple(
        name
        for name, module in bare_model(model).named_modules()
        if isinstance(module, torch.nn.Embedding)
    )
