"""The file format of a cassette, and the checks that detect a file that was cut or edited.

Each line is a JSON object that begins with a digest of the rest of the line and of all lines before
it. Each event is written as it happens, so a crash loses only the line that was being written.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from quillgraph.backends.calls.place import Place
from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.errors import InputError

VERSION = 1

COMMON = "common"


class _TapeLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Header(_TapeLine):
    """The first line."""

    kind: Literal["cassette"] = "cassette"
    version: int = VERSION
    facts: dict[str, Any] = {}
    """Settings of the run that decide its calls, such as its seed."""


class Voice(_TapeLine):
    """A chat model that was recorded, with the settings that replay needs."""

    kind: Literal["voice"] = "voice"
    name: str
    """The roles that the model played, joined by commas; `COMMON` for that of all other roles."""
    model: str
    capabilities: Capabilities
    temperature: float
    top_p: float
    max_tokens: int
    max_concurrency: int


CANCELLED = "cancelled"


class Failed(_TapeLine):
    """A call that got no reply."""

    error: str
    """Class in `backends/errors.py`, or `CANCELLED` if the caller cancelled the call."""
    args: tuple[str, ...]


class TapedCall(_TapeLine):
    """One call that ended."""

    kind: Literal["call"] = "call"
    voice: str
    sha256: str
    """Hash of the original request; `request` may have a secret removed."""
    place: Place
    index: int
    """How many equal requests this voice got from this place before."""
    request: ChatRequest
    outcome: Completion | Failed
    """The reply or the failure. If a secret was removed, it has no token ids: they would spell the
    secret."""


class Vectors(_TapeLine):
    """Embeddings of texts."""

    kind: Literal["vectors"] = "vectors"
    texts: tuple[str, ...]
    """SHA-256 of each text."""
    number: Literal["<f4", "<f8"]
    """NumPy's name of the number type."""
    base64: str
    """The vectors, concatenated."""


class End(_TapeLine):
    """The last line of a recording that was closed."""

    kind: Literal["end"] = "end"


Line = Annotated[Header | Voice | TapedCall | Vectors | End, Field(discriminator="kind")]

_LINE: TypeAdapter[Line] = TypeAdapter(Line)
_BEFORE, _AFTER = '{"digest":"', '",'
_DIGEST = 64


def format_line(line: BaseModel, before: str) -> tuple[str, str]:
    """Format a line of the file.

    Args:
        line: The content.
        before: Digest of the line before; empty for the first.

    Returns:
        The line without its line break, and its digest.
    """
    rest = json.dumps(line.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))[1:]
    digest = _digest(before, rest)
    return f"{_BEFORE}{digest}{_AFTER}{rest}", digest


def lines_of(path: Path, *, partial: bool = False) -> list[Line]:
    """Read a cassette.

    Args:
        path: The file.
        partial: Accept an unfinished recording, and read its whole lines.

    Raises:
        InputError: If the file cannot be read, is no cassette, has another version, was edited, or
            is cut short.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the cassette {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"expected a cassette, but {path} is no UTF-8 text") from error
    # not splitlines(): a reply may hold line separators other than \n
    *whole, rest = text.split("\n")
    lines = list(_checked(path, whole, is_cut=bool(rest)))
    if partial or (not rest and isinstance(lines[-1], End)):
        return lines
    calls = sum(isinstance(line, TapedCall) for line in lines)
    cut = f", and line {len(whole) + 1} is cut short" if rest else ""
    raise InputError(
        f"the recording {path} was not finished: it has no last line{cut}; {calls} calls are "
        "whole. Record it again, or replay what there is with ?partial=true"
    )


def _checked(path: Path, whole: list[str], *, is_cut: bool) -> Iterator[Line]:
    digest = ""
    for number, raw in enumerate(whole, 1):
        start = len(_BEFORE) + _DIGEST
        claimed, rest = raw[len(_BEFORE) : start], raw[start + len(_AFTER) :]
        if number == 1:
            _check_header(path, raw)
        digest = _digest(digest, rest)
        if f"{_BEFORE}{claimed}{_AFTER}{rest}" != raw or claimed != digest:
            raise InputError(
                f"line {number} of the cassette {path} does not have the digest it carries: it, "
                "or a line before it, was edited, moved or lost. Record it again"
            )
        try:
            yield _LINE.validate_json("{" + rest)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"line {number} of the cassette {path}, {where}: {first['msg']}"
            ) from error
    if not whole:
        what = "its first line is cut short" if is_cut else "it is empty"
        raise InputError(f"expected a cassette in {path}, but {what}. Record it again")


def _check_header(path: Path, raw: str) -> None:
    try:
        header = json.loads(raw)
        version = header["version"] if header["kind"] == "cassette" else None
    except (ValueError, KeyError, TypeError):
        version = None
    if version is None:
        raise InputError(f"expected a cassette, made by --record, but {path} is none")
    if version != VERSION:
        raise InputError(
            f"expected a cassette of version {VERSION} in {path}, got version {version}; record it "
            "again with this version of quillgraph"
        )


def sha256_of(text: str) -> str:
    """Hash a text, as a cassette identifies it."""
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(before: str, rest: str) -> str:
    return sha256_of(f"{before}{rest}")
