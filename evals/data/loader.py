"""Reads files of human judgements in any known format.

The fields of the first record identify the format. A record that cannot be used is skipped, with
its place and the reason; no value is invented for it.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from quillgraph.agents.domain import Value
from quillgraph.agents.text.file import numbered_lines, parse_json, read_text
from quillgraph.backends.errors import InputError, nearest
from quillgraph.evals.data.formats import FORMATS, SIGNS
from quillgraph.evals.data.records import Preference, RatedText, Record, RubricRequest


class Loaded(Value):
    """The contents of a file."""

    path: Path | None = None
    """Path of the file."""
    format: str
    records: tuple[Record, ...]
    skipped: tuple[str, ...] = ()
    """Records that could not be used, each with its place and the reason."""

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name if self.path else ""

    @property
    def rated(self) -> tuple[RatedText, ...]:
        """The scored texts."""
        return tuple(record for record in self.records if isinstance(record, RatedText))

    @property
    def preferences(self) -> tuple[Preference, ...]:
        """The pairs."""
        return tuple(record for record in self.records if isinstance(record, Preference))

    @property
    def requests(self) -> tuple[RubricRequest, ...]:
        """The requests."""
        return tuple(record for record in self.records if isinstance(record, RubricRequest))


def load(path: str | Path, *, format: str | None = None) -> Loaded:
    """Read a file of human judgements, requests or rubrics.

    Args:
        path: A JSON file, or a file with one JSON object per line.
        format: One of `FORMATS`; None detects it from the first record.

    Raises:
        InputError: If the file cannot be read, its format is unknown, an id occurs twice, or no
            record can be used.
    """
    path = Path(path)
    rows = _rows(path)
    name = format or _format_of(rows[0][1], path)
    if name not in FORMATS:
        raise InputError(f"unknown format {name!r}: {nearest(name, FORMATS)}")
    records: list[Record] = []
    skipped = []
    for place, row in rows:
        try:
            records.extend(FORMATS[name](row, place))
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            skipped.append(f"{place}: {_reason(error)}")
    if not records:
        raise InputError(f"no record of {path} can be used as {name!r}; the first: {skipped[0]}")
    _refuse_duplicates(records, path)
    return Loaded(path=path, format=name, records=tuple(records), skipped=tuple(skipped))


def _format_of(row: dict[str, Any], path: Path) -> str:
    for name, signs in SIGNS.items():
        if signs <= set(row):
            return name
    if {"text", "left", "request"} & set(row):
        return "plain"
    raise InputError(
        f"cannot tell the format of {path} from the fields {sorted(row)[:8]}; the plain format has "
        f"`text` and `score`, or `left`, `right` and `preferred`; known: {', '.join(FORMATS)}"
    )


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The objects of a file, each with its place in it."""
    raw = read_text(path)
    rows = _whole(raw) or _lines(raw, path)
    if not rows:
        raise InputError(f"expected JSON objects in {path}, found none")
    return rows


def _whole(raw: str) -> list[tuple[str, dict[str, Any]]] | None:
    """Rows of a file that is one JSON list, or one object of objects; None if it is neither."""
    try:
        data = parse_json(raw)
    except ValueError:  # its lines are read one by one, and the faulty one is named
        return None
    if isinstance(data, dict) and data and all(isinstance(each, dict) for each in data.values()):
        data = list(data.values())
    if isinstance(data, dict):
        data = [data]
    if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
        return None
    return [(f"record {number}", row) for number, row in enumerate(data, 1)]


def _lines(raw: str, path: Path) -> list[tuple[str, dict[str, Any]]]:
    rows = []
    for number, line in numbered_lines(raw):
        try:
            row = parse_json(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: expected JSON, {error}") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: expected an object, got {line[:40]!r}")
        rows.append((f"line {number}", row))
    return rows


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"missing field {error}"
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else first["msg"]
    return str(error)


def _refuse_duplicates(records: list[Record], path: Path) -> None:
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            raise InputError(f"id {record.id!r} comes twice in {path}; ids must be unique")
        seen.add(record.id)
