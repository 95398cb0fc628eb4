"""One record per model call, written to disk as each call finishes."""

import logging
import operator
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from pydantic import BaseModel, ConfigDict, Field

from quillgraph.backends.calls.budget import Budget, budgets_of, was_stopped
from quillgraph.backends.calls.journal import JOURNAL, REPLAYED
from quillgraph.backends.calls.jsonl import JsonLines
from quillgraph.backends.calls.listener import Listener
from quillgraph.backends.calls.scope import with_place
from quillgraph.backends.errors import BudgetReached
from quillgraph.backends.messages.trace import TokenTrace, trace_of
from quillgraph.backends.messages.turn import as_openai_dict, called

logger = logging.getLogger(__name__)


class CallRecord(BaseModel):
    """One model call: its place in the graph, its prompt and options, and its reply."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    graph: str
    """Path of the nodes around the call, outermost first, joined by `/`."""
    node: str
    visit: int
    """How many earlier supersteps of this run ran this node."""
    step: int | None = None
    """Superstep of the innermost graph, from 1; None outside of a graph."""
    call: int
    """Number of the call in the run, from 0; a replayed call keeps its number."""
    role: str | None
    attempt: int
    """0 for the first call, 1 for a second one because the first reply could not be read."""
    supersedes: int | None = None
    """Number of the earlier call whose reply could not be read, if this call repeats it. The graph
    does not use that reply (`lineage.used_calls`)."""
    request_sha256: str | None
    messages: list[dict[str, Any]]
    options: dict[str, Any]
    """Sampling options and JSON schema of the call."""
    reply: str | None
    """The text of the reply, without its tool calls."""
    tool_calls: list[dict[str, Any]] = Field(default=[], exclude_if=operator.not_)
    """Tool calls of the reply, in OpenAI's format."""
    invalid_tool_calls: list[dict[str, Any]] = Field(default=[], exclude_if=operator.not_)
    """Tool calls that could not be read, in LangChain's format."""
    error: str | None
    model: str | None
    trace: TokenTrace | None
    prompt_tokens: int
    cached_tokens: int | None = None
    """Prompt tokens that were in the engine's prefix cache; None if it does not report them."""
    completion_tokens: int
    requested: float
    """Unix time at which the graph asked, seconds."""
    started: float | None
    """Unix time at which the engine got the call, after waiting for a slot, seconds."""
    latency_s: float
    namespace: str | None = None
    """LangGraph's name of the task that made the call; a resumed run has the same one."""
    journal: str | None = None
    """Id of the reply in the journal of a durable run; None without a journal."""
    replayed: bool = False
    """Whether the reply comes from that journal, and so was paid for before."""


class Recorder(Listener):
    """Writes a `CallRecord` for every chat-model call under it, as a line of JSON.

    It is a LangChain callback handler, so it records the calls of any chat model in any graph:
    `graph.ainvoke(..., config={"callbacks": [recorder]})`. It keeps only counters and the
    numbers of calls in memory. Use it as a context manager.

    Args:
        path: The file to append to; half a last line is removed first. None for no file.
        run: Name of the run, repeated in each record.
        sink: Called with each record as its call ends, for example a list's `append`.
        budget: Refuses calls before they are recorded. LangChain never reports the end of a
            refused call to later handlers, so a recorder with a budget must be the last handler.
        around: Recorder of the run around this one, where a node makes a run; it hears the calls
            as well.
        earlier: Records of the same run by an earlier process. Visits and numbers of calls
            continue, and replayed calls keep their numbers.
    """

    def __init__(
        self,
        path: Path | None,
        run: str,
        sink: Callable[[CallRecord], object] | None = None,
        budget: Budget | None = None,
        earlier: Sequence[CallRecord] = (),
        around: "Recorder | None" = None,
    ) -> None:
        super().__init__()
        self.around, self._is_over = around, False
        if around and budget in budgets_of([around]):
            budget = None  # it is asked there
        self.run, self.budget, self._sink = run, budget, sink
        self.calls = self.failed = 0
        self.prompt_tokens = self.cached_tokens = self.completion_tokens = 0
        self._numbers: dict[str, int] = {}
        self._journalled: dict[tuple[str | None, str], int] = {}
        self._last_asked: dict[int, int] = {}
        self._open: dict[UUID, dict[str, Any]] = {}
        self._passed_on: set[UUID] = set()
        self._steps: defaultdict[str, list[str]] = defaultdict(list)
        self._lock = threading.Lock()
        for record in earlier:
            self._place(record.namespace, record.step)
            self.calls = max(self.calls, record.call + 1)
            self._last_asked[record.call] = -1
            if record.journal:
                self._journalled[record.namespace, record.journal] = record.call
        self._file = JsonLines(path).open() if path else None

    @property
    def ignore_chain(self) -> bool:
        """True: a recorder has no use for the events of nodes, and a run may have several."""
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over = True
        # LangChain does not report the end of a cancelled call
        for run_id in list(self._open):
            self.failed += 1
            self._write(run_id, error="the run ended before the reply came")
        if self._file:
            self._file.close()

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note the place in the graph where a call begins.

        Raises:
            BudgetReached: If the budget refuses the call; the call is then not recorded.
        """
        place = with_place(metadata)
        self._pass_on(serialized, messages, run_id=run_id, metadata=metadata, **kwargs)
        if self.budget:
            try:
                self.budget.on_chat_model_start(run_id=run_id, metadata=place)
            except BudgetReached as error:
                self._end_around(run_id, "on_llm_error", error)
                raise
        if self._is_over:
            logger.warning(
                "a call was made after its run %s had ended: no episode has it", self.run
            )
        options = dict(kwargs.get("invocation_params") or {})
        with self._lock:
            self._open[run_id] = {
                "run": self.run,
                **self._place(place.get("langgraph_checkpoint_ns"), place.get("langgraph_step")),
                "call": self.calls,
                "role": place.get("role"),
                "attempt": place.get("attempt", 0),
                "supersedes": self._numbers.get(str(place.get("supersedes"))),
                "messages": [as_openai_dict(message) for message in messages[0]],
                "options": {k: v for k, v in options.items() if v is not None and k != "_type"},
                "requested": time.time(),
            }
            self.calls += 1

    def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """As `on_chat_model_start`, of a model that completes a text."""
        messages: list[list[BaseMessage]] = [[HumanMessage(each) for each in prompts]]
        self.on_chat_model_start(serialized, messages, run_id=run_id, **kwargs)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Write the record of a call that was answered."""
        self._end_around(run_id, "on_llm_end", response)
        if self.budget:
            self.budget.on_llm_end(response, run_id=run_id)
        generation = response.generations[0][0]
        message = generation.message if isinstance(generation, ChatGeneration) else None
        meta = message.response_metadata if message else {}
        # of a reply that it had before LangChain gives a usage that may hold the costs alone
        usage: Any = message.usage_metadata if isinstance(message, AIMessage) else None
        self._recognise(run_id, meta.get(JOURNAL))
        if message and message.id and run_id in self._open:
            self._numbers[message.id] = self._open[run_id]["call"]
        self._write(
            run_id,
            reply=generation.text,
            **(called(message) if message else {}),
            model=meta.get("model_name"),
            request_sha256=meta.get("request_sha256"),
            trace=trace_of(message) if message else None,
            prompt_tokens=usage.get("input_tokens", 0) if usage else 0,
            cached_tokens=usage.get("input_token_details", {}).get("cache_read") if usage else None,
            completion_tokens=usage.get("output_tokens", 0) if usage else 0,
            started=meta.get("started"),
            latency_s=meta.get("latency_s"),
            journal=meta.get(JOURNAL),
            replayed=bool(meta.get(REPLAYED)),
        )

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Write the record of a call that failed."""
        self._end_around(run_id, "on_llm_error", error)
        if self.budget:
            self.budget.on_llm_error(error, run_id=run_id)
        if isinstance(error, BudgetReached) and not was_stopped(error):  # so it was never made
            self._open.pop(run_id, None)
            return
        self.failed += 1
        self._write(run_id, error=f"{type(error).__name__}: {error}")

    def _pass_on(self, *call: Any, run_id: UUID, **about: Any) -> None:
        """Let the run around hear a call begin, unless it does already."""
        if self.around and run_id not in self.around._open:
            self.around.on_chat_model_start(*call, run_id=run_id, **about)
            self._passed_on.add(run_id)

    def _end_around(self, run_id: UUID, ending: str, outcome: Any) -> None:
        if run_id in self._passed_on:
            self._passed_on.discard(run_id)
            getattr(self.around, ending)(outcome, run_id=run_id)

    def last_asked(self, call: int) -> int:
        """When a call was last requested, as a number among the calls of this run.

        It is the call's own number, a later one if the call was replayed, and -1 if only an
        earlier process requested it.
        """
        return self._last_asked.get(call, call)

    def add(self, record: CallRecord) -> None:
        """Count and write a call of another recorder."""
        with self._lock:
            self.calls += not record.replayed
            self.failed += record.error is not None
            self._keep(record)

    def _recognise(self, run_id: UUID, journal: str | None) -> None:
        """Give a replayed call its original number."""
        with self._lock:
            if journal is None or (call := self._open.get(run_id)) is None:
                return
            number = call["call"]
            first = self._journalled.setdefault((call["namespace"], journal), number)
            if first != number:
                self._last_asked[first] = number
                call["call"] = first

    def _place(self, namespace: str | None, step: int | None) -> dict[str, Any]:
        path = [part.split(":")[0] for part in (namespace or "").split("|")]
        graph = "/".join(path)
        # a subgraph's steps start again at 1 on each visit, so the parent's task tells them apart
        parent = (namespace or "").rpartition("|")[0]
        steps = self._steps[graph]
        if (visit := f"{parent}#{step}") not in steps:
            steps.append(visit)
        place = {"graph": graph, "node": path[-1], "visit": steps.index(visit)}
        return {**place, "step": step, "namespace": namespace}

    def _write(self, run_id: UUID, **outcome: Any) -> None:
        with self._lock:
            if (call := self._open.pop(run_id, None)) is None:
                return  # refused before it began, by another handler
            empty = {
                "request_sha256": None, "reply": None, "error": None, "model": None,
                "trace": None, "prompt_tokens": 0, "completion_tokens": 0, "started": None,
            }  # fmt: skip
            if outcome.get("latency_s") is None:
                outcome["latency_s"] = time.time() - call["requested"]
            self._keep(CallRecord(**{**empty, **call, **outcome}))

    def _keep(self, record: CallRecord) -> None:
        if not record.replayed:
            self.prompt_tokens += record.prompt_tokens
            self.cached_tokens += record.cached_tokens or 0
            self.completion_tokens += record.completion_tokens
        if self._file and self._file.is_open:
            self._file.append(record.model_dump_json())
        if self._sink:
            self._sink(record)


def recorder_of(
    record: Path | Recorder | None, run: str, budget: Budget | None = None
) -> AbstractContextManager[Recorder]:
    """Make the recorder of a run's calls, or use one that exists and leave it open.

    Args:
        record: File to append each call to as it ends, or a recorder; None for no file.
        run: Name of the run, for a new recorder.
        budget: What the calls of a new recorder may spend.
    """
    if isinstance(record, Recorder):
        return nullcontext(record)
    return Recorder(record, run, budget=budget)


def read_records(path: Path) -> list[CallRecord]:
    """Read a `calls.jsonl`; skips a last line that a crash cut short.

    Raises:
        InputError: If another line holds no record; names the line.
        StorageError: If the file cannot be read.
    """
    return JsonLines(path).read(CallRecord)
