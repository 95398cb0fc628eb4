"""Tools that are offered, called, answered and refused."""

import pytest
from langchain_core.messages import (
    ToolMessage,
)

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.contract.prompts import ASK, LOOKED, SCORE, look, wait
from quillgraph.backends.errors import (
    ConfigError,
)
from quillgraph.backends.messages.trace import trace_of


@pytest.mark.needs("tools", "token_ids", "logprobs")
async def test_a_tool_that_must_be_called_is_called_by_its_schema(backend: ChatBackend) -> None:
    assert backend.capabilities.tools
    reply = await backend.bind_tools([look], tool_choice="look").ainvoke(ASK, max_tokens=90)
    (call,) = reply.tool_calls
    assert call["name"] == "look"
    assert call["args"] in ({"place": "sea"}, {"place": "hill"})
    assert call["id"]
    assert (reply.content, reply.invalid_tool_calls) == ("", [])
    trace, usage = trace_of(reply), reply.usage_metadata
    assert trace is not None
    assert usage is not None
    assert trace.logprobs is not None
    assert len(trace.logprobs) == len(trace.completion_ids) == usage["output_tokens"] > 2


@pytest.mark.needs("tools")
async def test_one_of_several_tools_is_called_where_one_must_be(backend: ChatBackend) -> None:
    bound = backend.bind_tools([look, wait], tool_choice="required")
    reply = await bound.ainvoke(ASK, max_tokens=90)
    (call,) = reply.tool_calls
    assert (call["name"], [*call["args"]]) in (("look", ["place"]), ("wait", ["hours"]))


@pytest.mark.needs("tools", "token_ids")
async def test_a_call_that_breaks_off_is_kept_as_an_invalid_one(backend: ChatBackend) -> None:
    reply = await backend.bind_tools([look], tool_choice="look").ainvoke(ASK, max_tokens=14)
    assert reply.tool_calls == []
    (call,) = reply.invalid_tool_calls
    assert call["error"]
    assert reply.response_metadata["finish_reason"] == "length"
    trace = trace_of(reply)
    assert trace is not None
    assert len(trace.completion_ids) == 14


@pytest.mark.needs("tools")
async def test_a_tool_that_may_not_be_called_is_not(backend: ChatBackend) -> None:
    reply = await backend.bind_tools([look], tool_choice="none").ainvoke(ASK, max_tokens=8)
    assert reply.content
    assert (reply.tool_calls, reply.invalid_tool_calls) == ([], [])


@pytest.mark.needs("tools", "token_ids")
async def test_tools_their_calls_and_results_are_read(backend: ChatBackend) -> None:
    bound = backend.bind_tools([look])
    storm = [*LOOKED[:2], ToolMessage("A storm.", tool_call_id="c1")]
    replies = [await bound.ainvoke(prompt, max_tokens=4) for prompt in (LOOKED, storm)]
    replies.append(await backend.ainvoke(ASK, max_tokens=4))
    calm, stormy, bare = [trace.prompt_ids for each in replies if (trace := trace_of(each))]
    assert calm != stormy
    assert len(calm) > len(stormy) > len(bare) + 20  # "The sea is calm." is longer than "A storm."


@pytest.mark.needs("tools")
async def test_what_is_no_tool_and_a_choice_that_is_none_are_refused(backend: ChatBackend) -> None:
    with pytest.raises(ConfigError, match="expected as a tool"):
        backend.bind_tools([3])
    with pytest.raises(ConfigError, match="did you mean 'look'"):
        backend.bind_tools([look], tool_choice="lok")


@pytest.mark.needs("tools")
async def test_tools_and_a_schema_at_once_are_refused(backend: ChatBackend) -> None:
    with pytest.raises(ConfigError, match="expected tools or a JSON schema, got both"):
        await backend.bind_tools([look]).ainvoke(ASK, json_schema=SCORE)


@pytest.mark.lacks("tools")
async def test_tools_are_refused_where_none_are_called(backend: ChatBackend) -> None:
    with pytest.raises(ConfigError, match="calls no tools"):
        backend.bind_tools([look])
    with pytest.raises(ConfigError, match="calls no tools"):
        await backend.ainvoke(ASK, tools=[look])
