"""Which calls a graph used, which have exact tokens, and which continue one another.

Records are streamed as calls end, and whether the graph uses a reply is known only later. So none
of this is written into a record: it is derived from all records of a run.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from quillgraph.backends.calls.record import CallRecord
from quillgraph.backends.messages.trace import TokenTrace, goes_on


@dataclass(frozen=True, slots=True)
class Continuity:
    """How well the token sequences of a run's calls continue one another.

    A rising share of forks means that a chat template, or a graph, gives a model other tokens than
    those that it wrote.
    """

    clean: int = 0
    """Calls that continue a conversation with the exact tokens that it had before."""
    fork: int = 0
    """Calls that continue a conversation with the same words and other tokens."""
    missing: int = 0
    """Answered calls without exact tokens: they are not compared, and training cannot use them."""

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)


def is_exact(record: CallRecord) -> bool:
    """Whether a call was answered with token ids and a finite log-prob for each."""
    return record.error is None and _exact(record.trace)


def used_calls(records: Iterable[CallRecord]) -> tuple[CallRecord, ...]:
    """Select the answered calls whose replies the graph used.

    A reply that could not be read and led to a second call is not one of them, even if the second
    call failed. The second reply is one of them even if little of it could be read, because the
    graph had to continue with it.
    """
    calls = tuple(records)
    superseded = {(each.run, each.supersedes) for each in calls if each.supersedes is not None}
    return tuple(
        each for each in calls if each.reply is not None and (each.run, each.call) not in superseded
    )


def trainable(records: Iterable[CallRecord]) -> tuple[CallRecord, ...]:
    """Select the calls that a loss may use.

    The graph used their replies, their tokens are exact, and neither min-p nor a repetition
    penalty changed the draw (`TokenTrace.is_bent`).
    """
    return tuple(
        each for each in used_calls(records) if is_exact(each) and not _trace(each).is_bent
    )


def continuity(records: Iterable[CallRecord]) -> Continuity:
    """Compare the prompt of each call that continues a conversation with the tokens before it.

    A call continues a conversation if its messages begin with those of an earlier call of the run
    and that call's reply. If several match, the longest one counts.
    """
    replies: defaultdict[tuple[object, ...], list[CallRecord]] = defaultdict(list)
    clean = fork = missing = 0
    for record in sorted(records, key=lambda each: each.call):
        if record.reply is None:
            continue
        turns = [_turn(each["content"], each, each["role"]) for each in record.messages]
        before = _before(replies, record.run, turns)
        if not is_exact(record):
            missing += 1
        elif exact := [each for each in before if is_exact(each)]:
            is_clean = any(goes_on(_trace(each), _trace(record)) for each in exact)
            clean, fork = clean + is_clean, fork + (not is_clean)
        replies[record.run, *turns, _turn(record.reply, vars(record))].append(record)
    return Continuity(clean, fork, missing)


def _turn(
    content: object, calls: Mapping[str, Any], role: str = "assistant"
) -> tuple[str, str, str]:
    """Role, content and calls of a message, as a key."""
    lists = [calls.get(name) or [] for name in ("tool_calls", "invalid_tool_calls")]
    return role, str(content or ""), json.dumps(lists, default=str) if any(lists) else ""


def _before(
    replies: defaultdict[tuple[object, ...], list[CallRecord]],
    run: str,
    turns: list[tuple[str, str, str]],
) -> list[CallRecord]:
    ends = (end for end in range(len(turns), 0, -1) if turns[end - 1][0] == "assistant")
    return next((replies[key] for end in ends if (key := (run, *turns[:end])) in replies), [])


def _exact(trace: TokenTrace | None) -> bool:
    return (
        trace is not None
        and bool(trace.prompt_ids and trace.completion_ids)
        and trace.logprobs is not None
        and all(math.isfinite(each) for each in trace.logprobs)
    )


def _trace(record: CallRecord) -> TokenTrace:
    assert record.trace is not None
    return record.trace
