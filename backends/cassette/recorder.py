"""Records the replies and embeddings of a run on a cassette, without secrets."""

import asyncio
import base64
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from langchain_core.embeddings import Embeddings
from pydantic import BaseModel

from quillgraph.backends.calls.jsonl import JsonLines
from quillgraph.backends.calls.place import Place
from quillgraph.backends.calls.redaction import Redaction
from quillgraph.backends.cassette.tape import (
    CANCELLED,
    COMMON,
    End,
    Failed,
    Header,
    TapedCall,
    Vectors,
    Voice,
    format_line,
    sha256_of,
)
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion, CompletionFn
from quillgraph.backends.errors import ConfigError, QuillError


def refuse_existing(path: Path) -> None:
    """Refuse to record over a file.

    Raises:
        ConfigError: If it exists.
    """
    if path.exists():
        raise ConfigError(f"expected a new file to record in, but {path} exists")


class CassetteRecorder:
    """Writes the replies of chat models and the embeddings of texts, line by line, to a new file.

    Use it as a context manager; a file that was not closed has no last line of kind `end`.

    The file holds `***` in place of known secrets (`Redaction`). Token ids would still spell them,
    so a call with a secret in its request or reply is recorded, and replayed, without its
    `TokenTrace`. If a run is to be trained on, keep keys out of its prompts.

    Args:
        path: The file; it must not exist.
        facts: Settings of the run that decide its calls, such as its seed. They are written
            before any model is added, so a key that only a model holds is not removed from them.

    Raises:
        ConfigError: If the file exists.
        StorageError: If the file cannot be written.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._redaction = Redaction()
        self._listened: list[ChatBackend] = []
        self._occurrences: Counter[tuple[str, str, Place]] = Counter()
        self._lock = threading.Lock()
        self._digest = ""
        refuse_existing(path)
        self._file = JsonLines(path).open(new=True)
        dumped = Header(facts=dict(facts or {})).model_dump(mode="json")["facts"]
        self._write(Header(facts=self._redaction.throughout(dumped)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for chat in self._listened:
            chat.listen(None)
        if self._file.is_open:
            self._write(End())
            self._file.close()

    def listen(self, chat: ChatBackend, roles: Sequence[str] = ()) -> None:
        """Record all replies of a chat model from now on.

        Args:
            chat: The model; nothing changes if it is recorded already.
            roles: The roles that it plays; none if it plays all roles without their own model.
        """
        if any(chat is each for each in self._listened):
            return
        name = ",".join(roles) or COMMON
        self._listened.append(chat)
        self._redaction.learn(chat)
        self._write(
            Voice(
                name=name,
                model=self._redaction(chat.model),
                capabilities=chat.capabilities,
                temperature=chat.temperature,
                top_p=chat.top_p,
                max_tokens=chat.max_tokens,
                max_concurrency=chat.max_concurrency,
            )
        )

        async def tap(request: ChatRequest, place: Place, answer: CompletionFn) -> Completion:
            return await self._recorded(name, request, place, answer)

        chat.listen(tap)

    async def _recorded(
        self, voice: str, request: ChatRequest, place: Place, answer: CompletionFn
    ) -> Completion:
        # counted at the request: replies come in an order that no replay repeats
        with self._lock:
            key = voice, request.sha256, place
            index = self._occurrences[key]
            self._occurrences[key] += 1
        try:
            completion = await answer(request)
        except QuillError as error:
            args = tuple(self._redaction(str(each)) for each in error.args)
            self._keep(key, index, request, Failed(error=type(error).__name__, args=args))
            raise
        except asyncio.CancelledError:
            self._keep(key, index, request, Failed(error=CANCELLED, args=()))
            raise
        self._keep(key, index, request, completion)
        return completion

    def _keep(
        self,
        key: tuple[str, str, Place],
        index: int,
        request: ChatRequest,
        outcome: Completion | Failed,
    ) -> None:
        voice, sha256, place = key
        dumped = request.model_dump(mode="json")
        redacted = self._redaction.throughout(dumped)  # the schema, too, may quote the messages
        if isinstance(outcome, Completion):
            outcome = self._redacted(outcome)
            if redacted != dumped:  # the ids of the prompt spell what was removed
                outcome = outcome.model_copy(update={"trace": None})
        self._write(
            TapedCall(
                voice=voice,
                sha256=sha256,
                place=place,
                index=index,
                request=ChatRequest.model_validate(redacted),
                outcome=outcome,
            )
        )

    def _redacted(self, completion: Completion) -> Completion:
        """Keep a reply as it is, unless it repeats a key."""
        text = self._redaction.of_known(completion.text)
        calls = tuple(
            call.model_copy(update={"arguments": self._redaction.of_known(call.arguments)})
            for call in completion.tool_calls
        )
        if (text, calls) == (completion.text, completion.tool_calls):
            return completion
        # the tokens spell the key, too
        redacted = {"text": text, "tool_calls": calls, "trace": None, "alternatives": None}
        return completion.model_copy(update=redacted)

    def embeddings(self, inner: Embeddings) -> Embeddings:
        """Record the vectors that these embeddings return, once for each text."""
        return _RecordedEmbeddings(inner, self._keep_vectors)

    def _keep_vectors(self, texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> None:
        exact = np.asarray(vectors, dtype="<f8")
        short = exact.astype("<f4")
        is_short = bool((short == exact).all())
        raw = (short if is_short else exact).tobytes()
        self._write(
            Vectors(
                texts=tuple(sha256_of(text) for text in texts),
                number="<f4" if is_short else "<f8",
                base64=base64.b64encode(raw).decode(),
            )
        )

    def _write(self, line: BaseModel) -> None:
        with self._lock:
            if not self._file.is_open:
                return  # a cancelled call that ended after the run
            text, self._digest = format_line(line, self._digest)
            self._file.append(text)


class _RecordedEmbeddings(Embeddings):
    """Returns the vectors of other embeddings, and reports the new ones."""

    def __init__(
        self, inner: Embeddings, on_new: Callable[[Sequence[str], Sequence[Sequence[float]]], None]
    ) -> None:
        self._inner, self._on_new = inner, on_new
        self._vectors: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        # the first vector of a text stays its vector, as it will be in replay
        with self._lock:
            new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
            if new:
                vectors = self._inner.embed_documents(new)
                self._on_new(new, vectors)
                self._vectors.update(zip(new, vectors, strict=True))
            return [list(self._vectors[text]) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]
