"""Checkpoints of the whole state of a run, so that a killed run resumes as if nothing had happened.

TRL's trainer writes weights, optimizer, scheduler and random states into a scratch folder. We add
the parts of the run that TRL does not know, then a manifest with the hash of every file, and rename
the folder into place. A folder in place is complete: a crash, a full disk or a kill leaves only
scratch, or a folder without a matching manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback

from quillgraph.backends.errors import PolicyError, StorageError
from quillgraph.rl.processes import processes

MANIFEST = "manifest.json"
SCRATCH = ".writing"
FORMAT_VERSION = 1


class Part(Protocol):
    """A part of a run's state that TRL does not know."""

    def save(self, folder: Path) -> None:
        """Write it into a folder of a checkpoint."""

    def load(self, folder: Path) -> None:
        """Read it back from there."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of a stage of a run."""

    folder: Path
    keep: int
    facts: dict[str, Any]
    """What must be the same when the run resumes: criteria, base, seed, judge."""
    parts: Sequence[Part]

    @property
    def scratch(self) -> Path:
        """The `output_dir` of TRL's trainer."""
        return self.folder / SCRATCH

    def clear_scratch(self) -> None:
        """Remove incomplete files of an earlier run."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def seal(self, written: Path, step: int) -> Path:
        """Add the other parts to the files that TRL wrote, and move the folder into place.

        Raises:
            StorageError: If something cannot be written; earlier checkpoints stay.
        """
        target = self.folder / f"step-{step:06d}"
        try:
            for part in self.parts:
                part.save(written)
            manifest = {
                "version": FORMAT_VERSION,
                "step": step,
                "facts": self.facts,
                "files": {str(f.relative_to(written)): _sha256(f) for f in _files(written)},
            }
            with (written / MANIFEST).open("w", encoding="utf-8") as file:
                json.dump(manifest, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            if (
                target.exists()
            ):  # from an earlier attempt at this step; removed once the new one is in place
                target.rename(self._aside(target))
            written.rename(target)
        except OSError as error:
            self.clear_scratch()
            self._put_back()
            raise StorageError(
                f"cannot write the checkpoint of step {step} to {self.folder}: "
                f"{error.strerror or error}; earlier checkpoints are intact: free disk space and "
                "resume"
            ) from error
        shutil.rmtree(self._aside(target), ignore_errors=True)
        for old in self.whole()[: -self.keep]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def whole(self) -> list[Path]:
        """The complete checkpoints, oldest first."""
        return [each for each in sorted(self.folder.glob("step-*")) if _manifest(each)]

    def newest(self) -> Path | None:
        """The newest checkpoint whose files match the hashes in its manifest.

        Raises:
            PolicyError: If it belongs to another run: to other criteria, base, seed or judge.
        """
        self._put_back()
        for each in reversed(self.whole()):
            manifest = _manifest(each)
            if all(_fits(each / name, sha) for name, sha in manifest["files"].items()):
                self._refuse_others(each, manifest["facts"])
                return each
        return None

    def restore(self, checkpoint: Path) -> None:
        """Read the parts that TRL does not know back from a checkpoint."""
        for part in self.parts:
            part.load(checkpoint)

    def _aside(self, target: Path) -> Path:
        return self.folder / f".aside-{target.name}"

    def _put_back(self) -> None:
        """Restore folders that were moved aside and not replaced."""
        for aside in self.folder.glob(".aside-*"):
            target = self.folder / aside.name.removeprefix(".aside-")
            if not target.exists():
                with suppress(FileNotFoundError):  # another process was faster
                    aside.rename(target)

    def _refuse_others(self, checkpoint: Path, facts: dict[str, Any]) -> None:
        before, now = _flat(facts), _flat(json.loads(json.dumps(self.facts)))
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                raise PolicyError(
                    f"{checkpoint} was made with another {name}: {before.get(name)!r}, and now it "
                    f"is {now.get(name)!r}; the saved state is valid only for the former: put it "
                    "back, or start a new run"
                )


class CheckpointCallback(TrainerCallback):  # type: ignore[misc]
    """Moves each checkpoint that the trainer writes into place."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Seal the checkpoint on the main process, once all processes have written."""
        them = processes()
        them.wait_for_everyone()
        if them.is_main_process:
            written = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            self._checkpoints.seal(written, state.global_step)
        them.wait_for_everyone()


def step_of(checkpoint: Path) -> int:
    """Optimizer steps done when the checkpoint was written."""
    return int(_manifest(checkpoint)["step"])


def epochs_of(checkpoint: Path) -> int:
    """Epochs finished when the checkpoint was written."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    # the epoch is a sum of fractions, which may end up slightly below a whole number
    return int(state["epoch"] + 1e-6)


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint; empty if it is missing or cannot be read."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if manifest.get("version") == FORMAT_VERSION else {}


def _files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if f.is_file() and f.name != MANIFEST)


def _fits(file: Path, sha: str) -> bool:
    return file.is_file() and _sha256(file) == sha


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts by name, with each entry of a mapping as a fact of its own."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            flat |= {f"{name} of {key[:12]}": entry for key, entry in value.items()}
        else:
            flat[name] = value
    return flat
