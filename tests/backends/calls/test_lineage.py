"""Which calls may be learned from, and how their tokens hold together."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.backends.calls.lineage import (
    Continuity,
    continuity,
    is_exact,
    trainable,
    used_calls,
)
from quillgraph.backends.calls.record import CallRecord
from quillgraph.backends.messages.trace import TokenTrace, goes_on

Turns = list[tuple[str, str]]


def trace(prompt: tuple[int, ...], completion: tuple[int, ...], **fields: Any) -> TokenTrace:
    logprobs = fields.pop("logprobs", tuple(-0.5 for _ in completion))
    return TokenTrace(
        prompt_ids=prompt, completion_ids=completion, logprobs=logprobs, finish_reason="stop"
    )


def record(call: int, turns: Turns | None = None, **fields: Any) -> CallRecord:
    defaults: dict[str, Any] = {
        "run": "r", "graph": "write", "node": "write", "visit": 0, "call": call, "role": "writer",
        "attempt": 0, "request_sha256": None, "options": {}, "reply": "so", "error": None,
        "model": "m", "trace": trace((1, 2), (3,)), "prompt_tokens": 2, "completion_tokens": 1,
        "requested": 0.0, "started": 0.0, "latency_s": 0.0,
    }  # fmt: skip
    messages = [{"role": role, "content": content} for role, content in turns or [("user", "hi")]]
    return CallRecord(**{**defaults, "messages": messages, **fields})


def numbers(records: tuple[CallRecord, ...]) -> list[int]:
    return [each.call for each in records]


def test_a_reply_that_was_asked_for_again_is_not_what_the_graph_used() -> None:
    first, other, second = record(0), record(1), record(2, attempt=1, supersedes=0)
    assert numbers(used_calls([first, other, second])) == [1, 2]
    # also where the second asking found nobody: the graph had no use for the first reply
    failed = record(2, attempt=1, supersedes=0, reply=None, error="Unreachable: gone", trace=None)
    assert numbers(used_calls([first, other, failed])) == [1]


def test_calls_of_another_run_supersede_nothing_here() -> None:
    assert numbers(used_calls([record(0), record(1, run="other", supersedes=0)])) == [0, 1]


@pytest.mark.parametrize(
    "fields",
    [
        {"trace": None},
        {"trace": trace((1,), (2,), logprobs=None)},
        {"trace": trace((1,), (2,), logprobs=(math.nan,))},
        {"trace": trace((1,), (2,), logprobs=(-math.inf,))},
        {"trace": trace((), (2,))},
        {"trace": trace((1,), ())},
        {"error": "ServerFailed: broke", "reply": None},
    ],
)
def test_a_call_without_exact_tokens_is_never_trainable(fields: dict[str, Any]) -> None:
    bad = record(0, **fields)
    assert not is_exact(bad)
    assert numbers(trainable([bad, record(1)])) == [1]


def test_a_call_that_min_p_or_a_penalty_bent_is_exact_and_never_trainable() -> None:
    bent = record(0, trace=trace((1,), (2,)).model_copy(update={"is_bent": True}))
    assert is_exact(bent)
    assert numbers(trainable([bent, record(1)])) == [1]


def test_a_superseded_call_is_never_trainable_however_exact_it_is() -> None:
    first = record(0)
    assert is_exact(first)
    assert numbers(trainable([first, record(1, supersedes=0)])) == [1]


@given(st.lists(st.sampled_from(["exact", "bare", "failed", "again"]), max_size=12))
def test_what_is_trainable_was_used_and_is_exact(kinds: list[str]) -> None:
    outcomes: dict[str, dict[str, Any]] = {
        "exact": {},
        "bare": {"trace": None},
        "failed": {"trace": None, "reply": None, "error": "Refused: no"},
    }
    records = [
        record(place, supersedes=place - 1 if place else None)
        if kind == "again"
        else record(place, **outcomes[kind])
        for place, kind in enumerate(kinds)
    ]
    chosen = trainable(records)
    assert set(numbers(chosen)) <= set(numbers(used_calls(records)))
    assert all(is_exact(each) for each in chosen)
    # a call stays out if the next one asks again, if it has no tokens, or if it failed
    expected = [
        place
        for place, kind in enumerate(kinds)
        if kind in ("exact", "again") and kinds[place + 1 : place + 2] != ["again"]
    ]
    assert numbers(chosen) == expected


def test_a_conversation_that_keeps_its_tokens_is_clean_and_one_that_does_not_is_a_fork() -> None:
    opening: Turns = [("user", "hi")]
    more: Turns = [*opening, ("assistant", "so"), ("user", "and?")]
    first = record(0, opening, trace=trace((1, 2), (3, 4)))
    clean = record(1, more, trace=trace((1, 2, 3, 4, 5), (6,)))
    # the same words, but 7 stands for what was written as 3, 4
    fork = record(2, more, trace=trace((1, 2, 7, 5), (6,)))
    stranger = record(3, [("user", "else")], trace=trace((9,), (9,)))
    assert continuity([first, clean, fork, stranger]) == Continuity(clean=1, fork=1, missing=0)


def test_calls_without_tokens_are_missing_and_nothing_is_said_of_those_after_them() -> None:
    more: Turns = [("user", "hi"), ("assistant", "so"), ("user", "and?")]
    first = record(0, trace=None)
    after = record(1, more, trace=trace((1, 2, 3), (4,)))
    failed = record(2, reply=None, error="Refused: no", trace=None)
    assert continuity([first, after, failed]) == Continuity(missing=1)


def test_the_longest_conversation_before_a_call_is_what_it_is_measured_by() -> None:
    one: Turns = [("user", "hi")]
    two: Turns = [*one, ("assistant", "so"), ("user", "and?")]
    three: Turns = [*two, ("assistant", "then"), ("user", "go on")]
    first = record(0, one, reply="so", trace=trace((1,), (2,)))
    second = record(1, two, reply="then", trace=trace((1, 2, 3), (4,)))
    # keeps the tokens of the first call, but not of the second
    third = record(2, three, trace=trace((1, 2, 3, 9, 5), (6,)))
    assert continuity([third, second, first]) == Continuity(clean=1, fork=1)


def test_two_equal_openings_with_other_tokens_can_both_be_gone_on_from() -> None:
    more: Turns = [("user", "hi"), ("assistant", "so"), ("user", "and?")]
    twice = [record(0, trace=trace((1,), (2, 3))), record(1, trace=trace((1,), (4,)))]
    after = [
        record(2, more, trace=trace((1, 2, 3, 8), (9,))),
        record(3, more, trace=trace((1, 4, 8), (9,))),
    ]
    assert continuity([*twice, *after]) == Continuity(clean=2)


def test_a_conversation_with_tools_goes_on_only_from_the_same_calls() -> None:
    def called(place: str) -> dict[str, Any]:
        function = {"name": "look", "arguments": place}
        return {"tool_calls": [{"id": "c1", "type": "function", "function": function}]}

    def after(call: int, place: str, prompt: tuple[int, ...]) -> CallRecord:
        calling = {"role": "assistant", "content": "", **called(place)}
        result = {"role": "tool", "content": "calm", "tool_call_id": "c1"}
        opening = {"role": "user", "content": "hi"}
        return record(call, messages=[opening, calling, result], trace=trace(prompt, (9,)))

    first = record(0, reply="", trace=trace((1,), (2, 3)), **called("sea"))
    clean, fork = after(1, "sea", (1, 2, 3, 4)), after(2, "sea", (1, 7, 4))
    stranger = after(3, "hill", (1, 2, 3, 4))
    assert continuity([first, clean, fork, stranger]) == Continuity(clean=1, fork=1)


ids = st.lists(st.integers(0, 3), max_size=4).map(tuple)


@given(ids, ids, ids)
def test_a_prompt_goes_on_from_tokens_exactly_if_it_begins_with_all_of_them(
    prompt: tuple[int, ...], completion: tuple[int, ...], rest: tuple[int, ...]
) -> None:
    before = trace(prompt, completion)
    assert goes_on(before, trace(prompt + completion + rest, ()))
    if prompt + completion:
        assert not goes_on(before, trace((prompt + completion)[:-1], ()))
        assert not goes_on(before, trace((*(prompt + completion)[:-1], 9, *rest), ()))
