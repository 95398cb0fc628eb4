"""A backend that plays back what was recorded: no model, no network, the same bytes each time."""

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
"""How long a call that the recorded run gave up waits to be given up again, seconds. A graph's own
timeout does that, and as replayed calls take no time, it may be all of its time."""
SILENT_S = 1.0
"""How long it waits before it says so, seconds: a failure beside it comes sooner."""


class Cassette:
    """A recording in memory.

    Args:
        path: The file.
        partial: Take a recording that was not finished for what is whole of it.

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
        """Roles that had a model of their own."""
        names = [voice.name for voice in self.voices if voice.name != COMMON]
        return tuple(role for name in names for role in name.split(","))

    def voice(self, role: str | None = None) -> Voice:
        """The model that played a role; None gives the one of all roles without one of their own.

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
        """What became of a call.

        Raises:
            CassetteMiss: If it is not in the recording.
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
                "more; record the run anew"
            )
        if equal:
            return CassetteMiss(
                f"{self.path} holds this request, but asked by {equal[0].place}, and now it came "
                f"from {place}; record the run anew"
            )
        problem = f"{self.path} holds no such call of {place}"
        if (near := self._nearest(voice, request, place)) is None:
            return CassetteMiss(
                f"{problem}: nothing was recorded of this model; record the run anew"
            )
        advice = "run with the same options as the recording, or record the run anew"
        return CassetteMiss("\n".join([f"{problem}; {advice}", *_diff(near, request, place)]))

    def _nearest(self, voice: str, request: ChatRequest, place: Place) -> TapedCall | None:
        """The recorded call that is most like a request, of the same asker if there is one."""
        candidates = [call for call in self.calls if call.voice == voice]
        same = [c for c in candidates if (c.place.role, c.place.nodes) == (place.role, place.nodes)]
        matcher = difflib.SequenceMatcher(b=_request_lines(request), autojunk=False)

        def likeness(call: TapedCall) -> float:
            matcher.set_seq1(_request_lines(call.request))
            return matcher.ratio()

        return max(same or candidates, key=likeness, default=None)


class CassetteChat(ChatBackend):
    """Answers from a recording, as the model did that was recorded.

    A call is found by the model's part, the whole request, the place in the graph (`Place`), and
    how many equal calls came from there before. So replay is exact wherever calls differ in one of
    these, in whatever order they come: that is every call of the roles of this package, whose
    seeds tell what a call is about. Equal calls of one place, such as unseeded samples in one
    node, are told apart by the order in which they were asked, which a graph repeats unless it
    depends on time.

    Args:
        path: The file.
        role: Stand for the model that played this role; None for the model of all others.
        partial: Take a recording that was not finished for what is whole of it.
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
        recorded = voice.model_dump(exclude={"kind", "name", "capabilities"})
        if overridden := sorted(set(fields) & set(recorded)):
            raise ConfigError(f"option {overridden[0]!r}: a cassette keeps what was recorded")
        for name, value in recorded.items():
            setattr(self, name, value)

    @classmethod
    def spec_options(cls) -> frozenset[str] | None:
        """All but the file, which has a place of its own in a spec."""
        return (super().spec_options() or frozenset()) - {"path"}

    @classmethod
    def from_spec(cls, model: str, base_url: str | None, options: Mapping[str, Any]) -> Self:
        """Play a file back: `cassette:FILE`."""
        return cls(path=Path(model), **options)

    @property
    def cassette(self) -> Cassette:
        """The recording behind it."""
        return self._cassette

    @property
    def capabilities(self) -> Capabilities:
        """Those of the model that was recorded, so that graphs take the same way."""
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
                await _given_up(place)
            raise _raised(outcome, place)
        return outcome

    async def _load_adapter(self, path: Path | None, version: str) -> None:
        """Nothing to load: the recorded traces say which weights each reply came from."""


class CassetteEmbeddings(Embeddings):
    """Gives the vectors that were recorded, so that replay needs no embedding model either."""

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Look texts up.

        Raises:
            CassetteMiss: If a text was not embedded in the recording.
        """
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Look one text up; queries and documents were embedded alike."""
        vector = self._cassette.vectors.get(sha256_of(text))
        if vector is None:
            raise CassetteMiss(
                f"{self._cassette.path} holds no embedding of {text[:80]!r}; run with the same "
                "options as the recording, or record the run anew"
            )
        return list(vector)


def _vectors(lines: Sequence[Line]) -> Iterator[tuple[str, list[float]]]:
    for line in lines:
        if isinstance(line, Vectors):
            numbers = np.frombuffer(base64.b64decode(line.base64), dtype=line.number)
            yield from zip(line.texts, numbers.reshape(len(line.texts), -1).tolist(), strict=True)


async def _given_up(place: Place) -> None:
    """Wait for what made the run give the call up: a failure beside it, or a timeout."""
    await asyncio.sleep(min(SILENT_S, GIVEN_UP_S))
    logger.warning(
        "the recorded run gave up this call of %s: waiting up to %g s to be given up again",
        place,
        GIVEN_UP_S,
    )
    await asyncio.sleep(max(GIVEN_UP_S - SILENT_S, 0.0))


def _raised(outcome: Failed, place: Place) -> QuillError:
    if outcome.error == CANCELLED:
        return CassetteMiss(
            f"the recorded run did not wait for the reply to this call of {place}, so there is "
            f"none, and now it was waited for {GIVEN_UP_S:g} s; run with the timeouts of the "
            "recording, or record the run anew"
        )
    kind = getattr(errors, outcome.error, BackendError)
    error: QuillError = kind(*outcome.args)
    return error


def _request_lines(request: ChatRequest) -> list[str]:
    """A request in lines."""
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
