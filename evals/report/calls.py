"""The model calls of a run: time, role and cost."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from quillgraph.backends.calls import CallRecord
from quillgraph.backends.messages import hermes
from quillgraph.graphs.episodes import role_of

LISTED = 300
"""Calls that are listed one by one; more would make a page that a phone cannot hold."""

LONGEST = 600
"""Characters of a question or a reply that are shown; `calls.jsonl` has the whole."""


@dataclass(frozen=True, slots=True)
class ShownCall:
    """One call, without its token ids and the earlier turns of its prompt."""

    number: int
    run: str
    role: str
    graph: str
    visit: int
    attempt: int
    requested: float
    """Unix time, seconds."""
    latency_s: float
    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    question: str
    reply: str | None
    error: str | None
    replayed: bool

    @classmethod
    def of(cls, record: CallRecord) -> "ShownCall":
        """Make it from a record."""
        return cls(
            number=record.call,
            run=record.run,
            role=role_of(record),
            graph=record.graph,
            visit=record.visit,
            attempt=record.attempt,
            requested=record.requested,
            latency_s=record.latency_s,
            prompt_tokens=record.prompt_tokens,
            cached_tokens=record.cached_tokens,
            completion_tokens=record.completion_tokens,
            question=shortened(_question(record.messages)),
            reply=None if record.reply is None else shortened(_replied(record)),
            error=record.error,
            replayed=record.replayed,
        )


@dataclass(frozen=True, slots=True)
class RoleCost:
    """Totals of the calls of one role."""

    role: str
    calls: int
    failed: int
    asked_again: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Sum of the latencies, which overlap where calls run side by side."""
    median_s: float


@dataclass(frozen=True, slots=True)
class CallLog:
    """All calls, their totals, and the calls to list."""

    calls: tuple[ShownCall, ...]
    """In the order in which they were asked for."""
    roles: tuple[RoleCost, ...]
    """In the order of their first calls."""
    total: RoleCost | None
    """None where there was no call."""
    replayed: int
    """Replies that came from the journal of an earlier process and cost nothing again."""
    listed: tuple[ShownCall, ...]

    @property
    def began(self) -> float:
        """Start of the first call, Unix time; 0 if there was none."""
        return self.calls[0].requested if self.calls else 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds from the start of the first call to the last reply."""
        ends = [call.requested + call.latency_s for call in self.calls]
        return max(ends) - self.began if ends else 0.0


def call_log(records: Iterable[CallRecord]) -> CallLog:
    """Sum up calls; records are read one by one and not kept in memory."""
    rows = [ShownCall.of(record) for record in records]
    calls = tuple(sorted((c for c in rows if not c.replayed), key=lambda c: c.requested))
    by_role = defaultdict[str, list[ShownCall]](list)
    for call in calls:
        by_role[call.role].append(call)
    return CallLog(
        calls=calls,
        roles=tuple(_cost(role, mine) for role, mine in by_role.items()),
        total=_cost("all", calls) if calls else None,
        replayed=len(rows) - len(calls),
        listed=_listed(calls),
    )


def shortened(text: str, most: int = LONGEST) -> str:
    """A text, truncated if it is too long to show, with the number of omitted characters."""
    if len(text) <= most:
        return text
    return f"{text[:most]} […{len(text) - most:,} characters more]"


def _listed(calls: Sequence[ShownCall]) -> tuple[ShownCall, ...]:
    """All calls; if too many, those that failed, were repeated or took longest."""
    if len(calls) <= LISTED:
        return tuple(calls)
    first = sorted(calls, key=lambda c: (c.error is None, c.attempt == 0, -c.latency_s))
    return tuple(sorted(first[:LISTED], key=lambda call: call.requested))


def _cost(role: str, calls: Sequence[ShownCall]) -> RoleCost:
    return RoleCost(
        role=role,
        calls=len(calls),
        failed=sum(call.error is not None for call in calls),
        asked_again=sum(call.attempt > 0 for call in calls),
        prompt_tokens=sum(call.prompt_tokens for call in calls),
        completion_tokens=sum(call.completion_tokens for call in calls),
        seconds=sum(call.latency_s for call in calls),
        median_s=median(call.latency_s for call in calls),
    )


def _replied(record: CallRecord) -> str:
    """The reply of a model, and its tool calls."""
    functions = [each["function"] for each in record.tool_calls]
    calls = [hermes.format_call(each["name"], each["arguments"]) for each in functions]
    broken = [hermes.format_call(each["name"], each["args"]) for each in record.invalid_tool_calls]
    return "\n".join(part for part in (record.reply or "", *calls, *broken) if part)


def _question(messages: Sequence[dict[str, Any]]) -> str:
    """The last turn of a prompt; the earlier ones are examples and instructions."""
    content = messages[-1].get("content") if messages else ""
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
