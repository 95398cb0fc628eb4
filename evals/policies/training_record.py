"""The record that a training run leaves of its policy: its data, and who rewarded it."""

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from quillgraph.agents.domain import Value
from quillgraph.agents.requests import writing_task
from quillgraph.agents.text.file import read_lines
from quillgraph.backends.errors import ConfigError, InputError

RUN = "run.json"

ADAPTER, MODEL = "adapter_config.json", "config.json"
"""Files by which the folder of an adapter, and that of a whole model, is known."""

PLACES = ("adapter", "sft/adapter")
"""Where a run leaves its policy: after reinforcement, and after imitation alone."""

OWN_PLACES = ("adapter", "sft", "adapters", "checkpoints")
"""Folders of a run in which its own adapters lie."""

CARD = "quillgraph.json"
"""What a training signs its adapter with."""

LEVELS_UP = 4
"""How far above an adapter its run may lie: `RUN/checkpoints/rl/step-100` and the like."""


class TrainingRecord(Value):
    """The facts of a training run that an evaluation needs."""

    folder: Path
    base: str
    """Name of the model that was trained."""
    judge: str | None
    """Backend whose verdicts were the reward; None if code alone was."""
    guard: str | None
    """Backend that guarded the training without giving rewards."""
    functions: tuple[str, ...]
    """Further reward functions; the models that they call are not known."""
    prompt: Literal["request", "writer"]
    """What the policy read."""
    prompts: Path
    """File of the requests."""


def read_training(folder: Path) -> TrainingRecord | None:
    """Read the record of a training; None if the folder holds none.

    Raises:
        InputError: If `run.json` is there and damaged.
    """
    try:
        settings = json.loads((folder / RUN).read_text(encoding="utf-8")).get("settings")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"cannot read {folder / RUN}: {error}") from error
    if not isinstance(settings, dict) or not {"model", "data", "rewards"} <= set(settings):
        return None
    try:
        return _record(folder, settings)
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise InputError(
            f"{folder / RUN} is of a training that this version cannot read ({error}); name "
            "the model and the adapter instead, as KIND:MODEL+FOLDER"
        ) from error


def training_above(adapter: Path) -> TrainingRecord | None:
    """Find the training that has left an adapter; None where there is none to be found.

    An adapter that only lies in a run's folder, or was trained on another base, is not the run's.
    """
    path = adapter.resolve()
    for folder in (path, *path.parents[:LEVELS_UP]):
        if (record := read_training(folder)) is not None:
            own = folder == path or path.relative_to(folder).parts[0] in OWN_PLACES
            return record if own and not stranger_base(path, record) else None
    return None


def stranger_base(adapter: Path, training: TrainingRecord) -> str | None:
    """The base that an adapter was trained on, where that is not the training's.

    It is told by the last part of the names: the same model may lie in another folder here.
    """
    for file, field in ((CARD, "base"), (ADAPTER, "base_model_name_or_path")):
        try:
            base = json.loads((adapter / file).read_text(encoding="utf-8")).get(field)
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(base, str) and base:
            names = [re.split(r"[/:]", each.rstrip("/"))[-1] for each in (base, training.base)]
            return base if names[0].lower() != names[1].lower() else None
    return None


def trained_requests(training: TrainingRecord) -> list[str] | None:
    """Hashes of the requests that a policy was trained on; None where they cannot be read."""
    try:
        rows = [json.loads(line) for _, line in read_lines(training.prompts)]
        used = [row for row in rows if row.get("split", "train") == "train"]
        return [writing_task(row["request"]).request_hash for row in used]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError):
        return None


def policy_folder(folder: Path) -> Path:
    """Find the adapter, or the whole model, in a folder: it is one, or a run has left one there.

    Raises:
        ConfigError: If there is none.
    """
    for place in (folder, *(folder / name for name in PLACES)):
        if (place / ADAPTER).is_file() or (place / MODEL).is_file():
            return place
    if not folder.is_dir():
        raise ConfigError(f"expected the folder of an adapter or of a training run, no {folder}")
    unfinished = " (its run has not finished, or was a dry one)" if (folder / RUN).exists() else ""
    raise ConfigError(
        f"expected an adapter in {folder} or in {' or '.join(PLACES)} below it, as PEFT and "
        f"`quillgraph train` leave it, found none{unfinished}"
    )


def _record(folder: Path, settings: dict[str, Any]) -> TrainingRecord:
    return TrainingRecord(
        folder=folder,
        base=settings["model"]["name"],
        judge=settings["rewards"].get("judge"),
        guard=(settings.get("guards") or {}).get("pairwise_judge"),
        functions=tuple(settings["rewards"].get("functions") or ()),
        prompt=settings["data"].get("prompt", "request"),
        prompts=Path(settings["data"]["prompts"]),
    )
