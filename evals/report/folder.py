"""Reads the files of a run's folder, and reports those that it cannot read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from quillgraph.agents.domain import Category, Code, Draft, Dropped, Incident, Memo
from quillgraph.backends.calls import is_json
from quillgraph.backends.errors import InputError, StorageError

T = TypeVar("T")

KNOWN = {
    "run.json": "settings, versions and how the run ended",
    "request.txt": "what was to be written",
    "criteria.json": "the criteria",
    "study.json": "clauses, sampled drafts, notes, codes and categories",
    "episode.json": "texts, judgements, rewards and lessons",
    "attempts.jsonl": "texts and judgements, where there is no episode",
    "episodes.jsonl": "the episodes of `quillgraph run`",
    "failures.jsonl": "requests that gave no episode",
    "judgement.json": "the judgement of a given text",
    "text.txt": "that text, or the one that stands",
    "calls.jsonl": "the model calls",
    "metrics.jsonl": "what training logged",
    "samples.jsonl": "texts for held-out requests, over the steps of training",
    "rollouts.jsonl": "texts that were trained on",
    "report.json": "an evaluation",
    "prompts.jsonl": "the requests of a comparison of policies, with their criteria",
    "texts.jsonl": "what the policies wrote",
}
"""Files that a report reads, each with its content."""


class StudyFile(BaseModel):
    """The parts of a study that a report shows."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    incidents: tuple[Incident, ...] = ()
    drafts: tuple[Draft, ...] = ()
    codes: tuple[Code, ...] = ()
    categories: tuple[Category, ...] = ()
    memos: tuple[Memo, ...] = ()
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A file, and how much of it the report shows."""

    name: str
    holds: str
    state: str


class Folder:
    """Reads the files of a run, and notes what is missing or unreadable.

    Raises:
        InputError: If there is no such folder, or no file of a run in it.
        StorageError: If the folder cannot be looked into.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        """Reservations that readers must know before they trust the page."""
        self._states: dict[str, str] = {}
        expected = "expected the folder of a run, such as runs/20260101-120000-a-toast"
        if not path.is_dir():
            what = "a file" if path.exists() else "nothing there"
            raise InputError(f"{expected}, got {path} ({what})")
        try:
            holds_a_run = any((path / name).exists() for name in KNOWN)
        except OSError as error:
            raise StorageError(f"cannot look into {path}: {error.strerror}") from error
        if not holds_a_run:
            raise InputError(f"{expected}, but {path} holds none of {', '.join(KNOWN)}")

    @property
    def sources(self) -> tuple[ReportFile, ...]:
        """Every file that a report may show, and whether it was read."""
        return tuple(
            ReportFile(name, holds, self._states.get(name, "not there"))
            for name, holds in KNOWN.items()
        )

    def facts(self) -> dict[str, Any]:
        """The contents of `run.json`; notes a run that has not ended or has another version."""
        facts = self.json("run.json")
        if not isinstance(facts, dict):
            self.notes.append("run.json is missing or damaged: how the run ended is not known.")
            return {}
        if facts.get("status") == "running":
            self.notes.append(
                "The run has not ended: it is still being written, or was killed. This page shows "
                "what there is; files that are written at the end are not there yet."
            )
        made_by = mapping(facts.get("versions")).get("quillgraph")
        if made_by != (ours := version("quillgraph")):
            self.notes.append(
                f"The run was made by quillgraph {made_by or 'of unknown version'}, this page by "
                f"{ours}: files of another form are left out and listed below."
            )
        return facts

    def text(self, name: str) -> str | None:
        """A file's text; None if there is no such file."""
        content = self._content(name)
        if content is not None:
            self._states[name] = f"read, {len(content):,} bytes"
        return None if content is None else content.decode("utf-8", errors="replace")

    def json(self, name: str) -> Any:
        """A file's JSON; None if the file is missing or unreadable."""
        return self._parsed(name, TypeAdapter(Any))

    def newest(self, pattern: str) -> Any:
        """The JSON of the last file, by name, that matches a pattern; None if none matches."""
        files = sorted(self.path.glob(pattern))
        return self.json(str(files[-1].relative_to(self.path))) if files else None

    def value(self, name: str, kind: type[T]) -> T | None:
        """A file's value; None if the file is missing or has another form."""
        return self._parsed(name, TypeAdapter(kind))

    def lines(self, name: str, kind: type[T]) -> Iterator[T]:
        """The values of a file of JSON lines, one after the other; bad lines are counted."""
        adapter, count, bad, first, is_cut = TypeAdapter(kind), 0, 0, "", False
        for number, line in enumerate(self._raw_lines(name), 1):
            if not line.strip():
                continue
            try:
                value = adapter.validate_json(line)
            except ValidationError as error:
                if not line.endswith(b"\n") and not is_json(line):
                    is_cut = True  # it is being written, or its writer was killed
                    continue
                bad, first = bad + 1, first or f"line {number}: {_complaint(error)}"
                continue
            count += 1
            yield value
        if name in self._states:  # it could not be opened
            return
        if not (self.path / name).exists():
            return
        self._states[name] = f"read, {counted(count, 'line')}" + (
            ", the last one cut short" if is_cut else ""
        )
        if bad:
            self._states[name] += f", {bad:,} unreadable"
            self.notes.append(
                f"{name}: {counted(bad, 'line')} could not be read and left out; {first}"
            )

    def _parsed(self, name: str, adapter: TypeAdapter[T]) -> T | None:
        content = self._content(name)
        if content is None:
            return None
        try:
            value = adapter.validate_json(content)
        except ValidationError as error:
            self._refuse(name, _complaint(error))
            return None
        self._states[name] = f"read, {len(content):,} bytes"
        return value

    def _content(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._refuse(name, str(error.strerror))
            return None

    def _raw_lines(self, name: str) -> Iterator[bytes]:
        try:
            with (self.path / name).open("rb") as file:
                yield from file
        except FileNotFoundError:
            return
        except OSError as error:
            self._refuse(name, str(error.strerror))

    def _refuse(self, name: str, reason: str) -> None:
        self._states[name] = f"unreadable: {reason}"
        self.notes.append(f"{name} could not be read and is left out: {reason}")


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping unchanged; an empty one for any other value."""
    return value if isinstance(value, Mapping) else {}


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _complaint(error: ValidationError) -> str:
    """The first validation error, without the value, which may be long."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])
