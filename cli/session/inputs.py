"""What `quillgraph run` is given: one request, one state, or a file of many.

What a command reads: requests, texts, and frozen sets of criteria.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from quillgraph.agents.domain import FORMAT_VERSION, LEVELS, CriteriaSet
from quillgraph.agents.judgements import judged
from quillgraph.backends.errors import InputError
from quillgraph.graphs.episodes import Graph, TaskStart, start_of


def read_request(request: str | None, file: Path | None) -> str:
    """Take the request from the command line or from a file.

    Raises:
        InputError: If there is none, there are two, or it is not UTF-8 text.
    """
    if request is not None and file is not None:
        raise InputError("expected a REQUEST or --file FILE, got both; leave one of them out")
    if file is not None:
        return read_text(file)
    if request is None:
        raise InputError(
            "expected a REQUEST or --file FILE, got neither; say what is to be written"
        )
    try:
        request.encode()  # the shell may have handed over bytes that are no text
    except UnicodeError as error:
        raise InputError("expected UTF-8 text in the REQUEST; give it as UTF-8") from error
    return request


def read_text(file: Path) -> str:
    """Read a file of UTF-8 text.

    Raises:
        InputError: If it cannot be read, or holds something else.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeError as error:
        place = getattr(error, "start", 0)
        raise InputError(
            f"expected UTF-8 text in {file}, got something else at byte {place}; save it as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error


def read_criteria(file: Path) -> CriteriaSet:
    """Read a frozen set of criteria: `criteria.json` of a run, or the result of `--json`.

    Raises:
        InputError: If it is no such file, is of another version, or does not have the hash that
            it carries. Scores hold under the hash they were given for, so a set that was edited
            is not quietly taken for the one it says it is.
    """
    try:
        data: Any = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise InputError(
            f"expected criteria as JSON in {file}, got something else in line {error.lineno}"
        ) from error
    if isinstance(data, dict) and "criteria_set" in data:
        data = data["criteria_set"]
    version = data.get("version") if isinstance(data, dict) else None
    if version is not None and version != FORMAT_VERSION:
        raise InputError(
            f"expected criteria of version {FORMAT_VERSION} in {file}, got version {version!r}; "
            "make them again with this version of quillgraph"
        )
    try:
        criteria_set = CriteriaSet.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{file}{f', {where}' if where else ''}: {first['msg'].removeprefix('Value error, ')}; "
            "make the criteria again, or delete `sha256` to vouch for an edited set under a new "
            "hash"
        ) from error
    _check_criteria(criteria_set, file)
    return criteria_set


def _check_criteria(criteria_set: CriteriaSet, file: Path) -> None:
    """What the form allows and no judge can work with, as hands may leave it."""
    ids = [criterion.id for criterion in criteria_set.criteria]
    if twice := sorted({each for each in ids if ids.count(each) > 1}):
        raise InputError(f"expected criteria with ids of their own in {file}, got {twice[0]} twice")
    for criterion in judged(criteria_set.criteria):
        if lacks := [band for band in LEVELS if band not in criterion.levels]:
            raise InputError(
                f"expected levels {', '.join(LEVELS)} of criterion {criterion.id} in {file}, but "
                f"{', '.join(lacks)} is missing; a judge scores by them"
            )
    if not ids:
        raise InputError(f"expected at least one criterion in {file}, got none")


KEPT = {".jsonl": "input.jsonl", ".json": "input.json", ".txt": "request.txt"}
"""Under which name a run keeps what it was given, by what kind it is of."""


@dataclass(frozen=True, slots=True)
class InputEntry:
    """One thing to run the graph on."""

    number: int
    """Line of the file; 1 where there is only one."""
    start: TaskStart


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that the graph cannot be run on, and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a graph shall be run on."""

    kind: str
    """One of `KEPT`."""
    text: str
    """As it was given."""
    entries: tuple[InputEntry, ...]
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def is_batch(self) -> bool:
        """Whether they came as a file of many."""
        return self.kind == ".jsonl"


def read_inputs(
    graph: Graph, request: str | None, file: Path | None, extra: Mapping[str, Any]
) -> Inputs:
    """Read what the graph shall run on.

    Args:
        graph: Says what it takes.
        request: A request in words.
        file: `.jsonl` holds one JSON object or one request in quotes a line, `.json` one object,
            anything else is the text of a request.
        extra: Parts of the state that every entry gets unless it brings its own.

    Raises:
        InputError: If there is nothing to run on.
    """
    if (request is None) == (file is None):
        got = "neither" if file is None else "both"
        raise InputError(f"expected a REQUEST or --input FILE, got {got}")
    if file is not None and file.suffix in KEPT:
        return _read(graph, file.suffix, read_text(file), extra, str(file))
    return _read(graph, ".txt", read_request(request, file), extra, "the request")


def kept_inputs(graph: Graph, folder: Path, extra: Mapping[str, Any]) -> Inputs:
    """Read again what a run was given, from its folder.

    Raises:
        InputError: If it is not there any more.
    """
    for kind, name in KEPT.items():
        if (file := folder / name).exists():
            return _read(graph, kind, read_text(file), extra, str(file))
    raise InputError(f"expected {' or '.join(KEPT.values())} in {folder}, got none of them")


def _read(graph: Graph, kind: str, text: str, extra: Mapping[str, Any], where: str) -> Inputs:
    if kind == ".jsonl":
        return _lines(graph, text, extra, where)
    if kind == ".json":
        return Inputs(kind, text, (InputEntry(1, _start(graph, text, extra)),))
    return Inputs(kind, text, (InputEntry(1, start_of(graph, {**extra, "request": text})),))


def _lines(graph: Graph, text: str, extra: Mapping[str, Any], where: str) -> Inputs:
    entries, unreadable = [], []
    # not splitlines(): JSON may hold line separators other than \n
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entries.append(InputEntry(number, _start(graph, line, extra)))
        except InputError as error:
            unreadable.append(Unreadable(number, str(error)))
    if not entries:
        why = f"; line {unreadable[0].number}: {unreadable[0].reason}" if unreadable else ""
        raise InputError(f"expected a request a line in {where}, got none that can be run{why}")
    return Inputs(".jsonl", text, tuple(entries), tuple(unreadable))


def _start(graph: Graph, text: str, extra: Mapping[str, Any]) -> TaskStart:
    shown = " ".join(text.split())[:60]
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected JSON, got {shown!r}: {error}") from error
    if isinstance(data, str):
        data = {"request": data}
    if not isinstance(data, dict):
        raise InputError(f"expected a JSON object or a request in quotes, got {shown!r}")
    return start_of(graph, {**extra, **data})
