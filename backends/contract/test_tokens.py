"""The tokens of a call, as the engine read and wrote them."""

import json
import math

import pytest

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.contract.prompts import ASK, ASK_AS_JSON, BRIEF, TALK, Colour
from quillgraph.backends.errors import (
    ConfigError,
)
from quillgraph.backends.messages.trace import alternatives_of, trace_of


@pytest.mark.needs("token_ids", "logprobs")
async def test_the_trace_agrees_with_the_usage(backend: ChatBackend) -> None:
    reply = await backend.ainvoke(ASK, max_tokens=24)
    trace, usage = trace_of(reply), reply.usage_metadata
    assert trace is not None
    assert usage is not None
    assert len(trace.prompt_ids) == usage["input_tokens"]
    assert len(trace.completion_ids) == usage["output_tokens"]
    assert trace.logprobs is not None
    assert all(logprob <= 0 for logprob in trace.logprobs)
    assert trace.finish_reason == reply.response_metadata["finish_reason"]


@pytest.mark.needs("json_schema", "token_ids")
async def test_structured_output_keeps_the_trace_of_the_raw_message(backend: ChatBackend) -> None:
    bound = backend.with_structured_output(Colour, include_raw=True)
    answer = await bound.ainvoke(ASK_AS_JSON)
    assert isinstance(answer["parsed"], Colour)
    assert answer["parsing_error"] is None
    assert trace_of(answer["raw"]) is not None


@pytest.mark.needs("token_ids", "logprobs", "top_logprobs")
async def test_alternatives_are_given_for_each_token_of_the_reply(backend: ChatBackend) -> None:
    reply = await backend.ainvoke(ASK, max_tokens=12, temperature=1.0, seed=3, top_logprobs=3)
    trace, positions = trace_of(reply), alternatives_of(reply)
    assert backend.capabilities.top_logprobs
    assert trace is not None
    assert trace.logprobs is not None
    assert positions is not None
    assert len(positions) == len(trace.completion_ids)
    assert "".join(each.text for each in positions).startswith(str(reply.content))
    for each, logprob in zip(positions, trace.logprobs, strict=True):
        logprobs = [alternative.logprob for alternative in each.alternatives]
        assert logprobs == sorted(logprobs, reverse=True)
        assert (each.text, logprob) in [(one.text, one.logprob) for one in each.alternatives]
        assert 1 <= len(logprobs) <= 4  # the three asked for, and the sampled one beside them
        assert sum(math.exp(one) for one in logprobs) < 1.05  # -0.5 and -1.0: 0.607 + 0.368
    json.dumps(reply.response_metadata["alternatives"], allow_nan=False)


async def test_a_call_that_asks_for_no_alternatives_gets_none(backend: ChatBackend) -> None:
    assert alternatives_of(await backend.ainvoke(ASK, max_tokens=4)) is None


@pytest.mark.needs("token_ids")
async def test_a_system_message_and_earlier_turns_are_read(backend: ChatBackend) -> None:
    prompts = [
        trace_of(await backend.ainvoke(prompt, max_tokens=4)) for prompt in (ASK, BRIEF, TALK)
    ]
    assert len({trace.prompt_ids for trace in prompts if trace}) == 3


@pytest.mark.needs("token_ids")
async def test_a_batch_keeps_its_order(backend: ChatBackend) -> None:
    replies = await backend.abatch([ASK, BRIEF], max_tokens=4)
    prompts = [trace_of(each) for each in replies]
    alone = [trace_of(await backend.ainvoke(prompt, max_tokens=4)) for prompt in (ASK, BRIEF)]
    assert [each and each.prompt_ids for each in prompts] == [
        each and each.prompt_ids for each in alone
    ]


@pytest.mark.needs("token_ids")
async def test_a_stream_gives_the_whole_reply_with_its_trace(backend: ChatBackend) -> None:
    parts = [part async for part in backend.astream(ASK, temperature=0.0, max_tokens=8)]
    whole = await backend.ainvoke(ASK, temperature=0.0, max_tokens=8)
    assert "".join(str(part.content) for part in parts) == whole.content
    assert trace_of(parts[0]) is not None


@pytest.mark.lacks("top_logprobs")
async def test_alternatives_are_refused_where_they_cannot_be_given(backend: ChatBackend) -> None:
    with pytest.raises(ConfigError, match=r"top_logprobs.* reports no alternatives"):
        await backend.ainvoke(ASK, top_logprobs=3)
