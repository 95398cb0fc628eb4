"""A backend that replays a recording: no model, no network, the same bytes each time."""

import asyncio
import base64
import difflib
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from langchain_core.embeddings import Embeddings
from pydantic import PrivateAttr

from quillgraph.backends import errors
from quillgraph.backends.calls.place import Place
from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.cassette.tape import (
    CANCELLED,
    COMMON,
    Failed,
    Header,
    Line,
    TapedCall,
    Vectors,
    Voice,
    lines_of,
    sha256_of,
)
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion
from quillgraph.backends.errors import (
    BackendError,
    CassetteMiss,
    ConfigError,
    InputError,
    QuillError,
)

logger = logging.getLogger(__name__)

MOST_DIFF_LINES = 40
MOST_DIFF_CHARS = 160
GIVEN_UP_S = 120.0
"""How long a call that the recorded run cancelled waits to be cancelled again, seconds. A timeout
of the graph cancels it. As replayed calls take no time, this wait may be that whole timeout."""
SILENT_S = 1.0
"""How long it waits before it logs the wait, seconds: a parallel call that fails cancels sooner."""


class Cassette:
    """A recording in memory.

    Args:
        path: The file.
        partial: Accept an unfinished recording, and replay its whole lines.

    Raises:
        InputError: If the file is no whole cassette of this version, or was edited.
    """

    def __init__(self, path: Path, *, partial: bool = False) -> None:
        self.path = path
        lines = lines_of(path, partial=partial)
        header = lines[0]
        assert isinstance(header, Header)
        self.facts = header.facts
        self.voices = tuple(line for line in lines if isinstance(line, Voice))
        self.calls = tuple(line for line in lines if isinstance(line, TapedCall))
        if not self.voices:
            raise InputError(f"the cassette {path} has no voice: no chat model was recorded on it")
        self._by_key = {(c.voice, c.sha256, c.place, c.index): c for c in self.calls}
        self.vectors = dict(_vectors(lines))

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that had their own model."""
        names = [voice.name for voice in self.voices if voice.name != COMMON]
        return tuple(role for name in names for role in name.split(","))

    def voice(self, role: str | None = None) -> Voice:
        """Look up the model that played a role; None for the model of roles without their own.

        Raises:
            ConfigError: If no such model was recorded.
        """
        for voice in self.voices:
            if voice.name == COMMON if role is None else role in voice.name.split(","):
                return voice
        what = "a model for all roles" if role is None else f"a model for role {role!r}"
        names = ", ".join(voice.name for voice in self.voices)
        raise ConfigError(f"expected {what} in the cassette {self.path}, which holds: {names}")

    def outcome(
        self, voice: str, request: ChatRequest, place: Place, index: int
    ) -> Completion | Failed:
        """Look up the reply or the failure of a call.

        Raises:
            CassetteMiss: If the recording holds no such call.
        """
        call = self._by_key.get((voice, request.sha256, place, index))
        if call is None:
            raise self._miss(voice, request, place)
        return call.outcome

    def _miss(self, voice: str, request: ChatRequest, place: Place) -> CassetteMiss:
        equal = [c for c in self.calls if (c.voice, c.sha256) == (voice, request.sha256)]
        here = sum(call.place == place for call in equal)
        if here:
            return CassetteMiss(
                f"{self.path} holds this call of {place} only {here} times, and now it came once "
                "more; record the run again"
            )
        if equal:
            return CassetteMiss(
                f"{self.path} holds this request, but asked by {equal[0].place}, and now it came "
                f"from {place}; record the run again"
            )
        problem = f"{self.path} holds no such call of {place}"
        if (near := self._nearest(voice, request, place)) is None:
            return CassetteMiss(
                f"{problem}: nothing was recorded of this model; record the run again"
            )
        advice = "run with the same options as the recording, or record the run again"
        return CassetteMiss("\n".join([f"{problem}; {advice}", *_diff(near, request, place)]))

    def _nearest(self, voice: str, request: ChatRequest, place: Place) -> TapedCall | None:
        """The recorded call that is most like a request, of the same role and node if any."""
        candidates = [call for call in self.calls if call.voice == voice]
        same = [c for c in candidates if (c.place.role, c.place.nodes) == (place.role, place.nodes)]
        matcher = difflib.SequenceMatcher(b=_request_lines(request), autojunk=False)

        def likeness(call: TapedCall) -> float:
            matcher.set_seq1(_request_lines(call.request))
            return matcher.ratio()

        return max(same or candidates, key=likeness, default=None)


class CassetteChat(ChatBackend):
    """Answers from a recording, as the recorded model did.

    A key of four parts finds a call: the voice, the whole request, the place in the graph
    (`Place`), and how many equal calls came from there before. So replay is exact, in any order,
    for calls that differ in one of these. All calls of this package's roles do, because their seeds
    differ. Equal calls of one place, such as unseeded samples in one node, are matched in the order
    of their requests. A graph repeats this order unless it depends on time.

    Args:
        path: The file.
        role: Replay the model that played this role; None for the model of all other roles.
        partial: Accept an unfinished recording, and replay its whole lines.
    """

    model: str = ""
    path: Path
    role: str | None = None
    partial: bool = False
    _cassette: Cassette = PrivateAttr()
    _voice: Voice = PrivateAttr()
    _occurrences: Counter[tuple[str, Place]] = PrivateAttr(default_factory=Counter)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, cassette: Cassette | None = None, **fields: Any) -> None:
        super().__init__(**fields)
        # here and not in a validator, which would wrap our errors in a ValidationError
        self._cassette = cassette or Cassette(self.path, partial=self.partial)
        self._voice = voice = self._cassette.voice(self.role)
        settings = voice.model_dump(exclude={"kind", "name", "capabilities"})
        if conflicts := sorted(set(fields) & set(settings)):
            raise ConfigError(f"option {conflicts[0]!r}: a cassette keeps what was recorded")
        for name, value in settings.items():
            setattr(self, name, value)

    @classmethod
    def spec_options(cls) -> frozenset[str] | None:
        """All but `path`, which has its own place in a spec."""
        return (super().spec_options() or frozenset()) - {"path"}

    @classmethod
    def from_spec(cls, model: str, base_url: str | None, options: Mapping[str, Any]) -> Self:
        """Replay a file: `cassette:FILE`."""
        return cls(path=Path(model), **options)

    @property
    def cassette(self) -> Cassette:
        """The recording that it replays."""
        return self._cassette

    @property
    def capabilities(self) -> Capabilities:
        """Those of the recorded model, so that graphs take the same path."""
        return self._voice.capabilities

    @property
    def _llm_type(self) -> str:
        return "quillgraph-cassette"

    async def _complete(self, request: ChatRequest) -> Completion:
        return await self._complete_at(request, Place())

    async def _complete_at(self, request: ChatRequest, place: Place) -> Completion:
        with self._lock:
            key = request.sha256, place
            index = self._occurrences[key]
            self._occurrences[key] += 1
        outcome = self._cassette.outcome(self._voice.name, request, place, index)
        if isinstance(outcome, Failed):
            if outcome.error == CANCELLED:
                await _await_cancellation(place)
            raise _error_of(outcome, place)
        return outcome

    async def _load_adapter(self, path: Path | None, version: str) -> None:
        """Load nothing: the recorded traces name the weights of each reply."""


class CassetteEmbeddings(Embeddings):
    """Returns the recorded vectors, so that replay needs no embedding model either."""

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Look up the vectors of texts.

        Raises:
            CassetteMiss: If a text was not embedded in the recording.
        """
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Look up the vector of one text; queries and documents were embedded alike."""
        vector = self._cassette.vectors.get(sha256_of(text))
        if vector is None:
            raise CassetteMiss(
                f"{self._cassette.path} holds no embedding of {text[:80]!r}; run with the same "
                "options as the recording, or record the run again"
            )
        return list(vector)


def _vectors(lines: Sequence[Line]) -> Iterator[tuple[str, list[float]]]:
    for line in lines:
        if isinstance(line, Vectors):
            numbers = np.frombuffer(base64.b64decode(line.base64), dtype=line.number)
            yield from zip(line.texts, numbers.reshape(len(line.texts), -1).tolist(), strict=True)


async def _await_cancellation(place: Place) -> None:
    """Wait for what cancelled the call in the recorded run: a parallel failure, or a timeout."""
    await asyncio.sleep(min(SILENT_S, GIVEN_UP_S))
    logger.warning(
        "the recorded run cancelled this call of %s: waiting up to %g s to be cancelled again",
        place,
        GIVEN_UP_S,
    )
    await asyncio.sleep(max(GIVEN_UP_S - SILENT_S, 0.0))


def _error_of(outcome: Failed, place: Place) -> QuillError:
    if outcome.error == CANCELLED:
        return CassetteMiss(
            f"the recorded run cancelled this call of {place}, so it holds no reply, and "
            f"the replay did not cancel it within {GIVEN_UP_S:g} s; run with the timeouts of the "
            "recording, or record the run again"
        )
    kind = getattr(errors, outcome.error, BackendError)
    error: QuillError = kind(*outcome.args)
    return error


def _request_lines(request: ChatRequest) -> list[str]:
    """Format a request as lines."""
    options = request.model_dump(exclude={"messages"}, exclude_none=True)
    lines = [f"{name}: {json.dumps(each, ensure_ascii=False)}" for name, each in options.items()]
    for turn in request.messages:
        lines += [f"[{turn.role}]", *turn.content.split("\n")]
        lines += [f"calls {call.name}: {call.arguments}" for call in turn.tool_calls]
    return lines


def _diff(recorded: TapedCall, request: ChatRequest, place: Place) -> Iterator[str]:
    lines = difflib.unified_diff(
        _request_lines(recorded.request),
        _request_lines(request),
        f"recorded: {recorded.place}",
        f"asked: {place}",
        lineterm="",
        n=1,
    )
    return (line[:MOST_DIFF_CHARS] for line in islice(lines, MOST_DIFF_LINES))
