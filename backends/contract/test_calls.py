"""One call: its reply, its options, and its errors."""

import json
import re
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
)

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.contract.prompts import (
    ASK,
    ASK_AS_JSON,
    QUOTED,
    SCORE,
    Colour,
    assert_pickles,
)
from quillgraph.backends.errors import (
    ConfigError,
    ContextOverflow,
    QuillError,
)
from quillgraph.backends.messages.trace import trace_of


async def test_a_reply_comes_with_usage_and_a_finish_reason(backend: ChatBackend) -> None:
    reply = await backend.ainvoke(ASK, max_tokens=24)
    usage = reply.usage_metadata
    assert reply.content
    assert usage is not None
    assert usage["input_tokens"] > 0
    assert 0 < usage["output_tokens"] <= 24
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert reply.response_metadata["finish_reason"] in ("stop", "length")


async def test_max_tokens_cuts_the_reply(backend: ChatBackend) -> None:
    reply = await backend.ainvoke(ASK, max_tokens=3)
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] == 3
    assert reply.response_metadata["finish_reason"] == "length"


async def test_an_unknown_call_option_is_refused(backend: ChatBackend) -> None:
    with pytest.raises(ConfigError, match="did you mean 'temperature'"):
        await backend.ainvoke(ASK, temprature=1.0)


@pytest.mark.parametrize(
    "option",
    [
        {"max_tokens": 0},
        {"temperature": -1.0},
        {"top_p": 2.0},
        {"min_p": -0.1},
        {"repetition_penalty": 0.0},
    ],
)
async def test_a_value_out_of_range_is_refused_with_its_name(
    backend: ChatBackend, option: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        await backend.ainvoke(ASK, **option)


async def test_a_message_that_is_not_plain_text_is_refused(backend: ChatBackend) -> None:
    picture = HumanMessage([{"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}}])
    with pytest.raises(ConfigError, match="expected a plain-text system, human, AI or tool"):
        await backend.ainvoke([picture])


async def test_the_same_seed_gives_the_same_reply(backend: ChatBackend) -> None:
    first, second = [
        await backend.ainvoke(ASK, temperature=1.0, seed=7, max_tokens=12) for _ in range(2)
    ]
    assert first.content == second.content


async def test_a_greedy_call_repeats_itself(backend: ChatBackend) -> None:
    replies = [await backend.ainvoke(ASK, temperature=0.0, max_tokens=8) for _ in range(2)]
    assert replies[0].content == replies[1].content


@pytest.mark.needs("model")
async def test_a_stop_string_ends_the_reply_and_is_left_out(backend: ChatBackend) -> None:
    whole = await backend.ainvoke(ASK, temperature=0.0, max_tokens=24)
    word = str(whole.content).split()[2]
    cut = await backend.ainvoke(ASK, temperature=0.0, max_tokens=24, stop=[word])
    assert cut.content == str(whole.content).partition(word)[0]
    assert cut.response_metadata["finish_reason"] == "stop"


async def test_the_hash_of_a_request_tells_it_from_others(backend: ChatBackend) -> None:
    replies = [await backend.ainvoke(ASK, max_tokens=most) for most in (3, 3, 4)]
    first, again, other = [each.response_metadata["request_sha256"] for each in replies]
    assert first == again != other


async def test_what_is_left_on_a_message_can_be_written_as_json(backend: ChatBackend) -> None:
    reply = await backend.ainvoke(ASK, max_tokens=4)
    metadata = json.loads(json.dumps(reply.response_metadata, allow_nan=False))
    assert trace_of(AIMessage("", response_metadata=metadata)) == trace_of(reply)


@pytest.mark.needs("json_schema")
async def test_a_schema_bound_reply_parses_into_its_model(backend: ChatBackend) -> None:
    reply = await backend.with_structured_output(Colour).ainvoke(ASK_AS_JSON)
    assert isinstance(reply, Colour)


@pytest.mark.needs("json_schema", "model")
async def test_a_bounded_string_may_hold_a_quotation(backend: ChatBackend) -> None:
    reply = await backend.ainvoke(ASK_AS_JSON, json_schema=QUOTED, temperature=0.0, max_tokens=60)
    value = json.loads(str(reply.content))
    assert re.match(r'"[a-z]{2,6}"[\n\\]', value["reason"])
    assert len(value["reason"]) <= 12
    assert value["score"] in range(10)


@pytest.mark.needs("json_schema")
async def test_a_reply_cut_short_is_kept_as_a_parsing_error(backend: ChatBackend) -> None:
    bound = backend.with_structured_output(Colour, include_raw=True)
    answer = await bound.ainvoke(ASK_AS_JSON, max_tokens=3)
    assert answer["parsed"] is None
    assert answer["parsing_error"] is not None
    assert answer["raw"].response_metadata["finish_reason"] == "length"


async def test_a_schema_that_is_no_model_class_is_refused(backend: ChatBackend) -> None:
    with pytest.raises(ConfigError, match="expected a pydantic model class"):
        backend.with_structured_output(SCORE)


@pytest.mark.needs("window")
async def test_a_request_beyond_the_window_is_a_context_overflow(backend: ChatBackend) -> None:
    with pytest.raises(ContextOverflow, match=str(backend.capabilities.context_tokens)) as caught:
        await backend.ainvoke(ASK, max_tokens=100_000)
    assert_pickles(caught.value)


async def test_a_refusal_pickles(backend: ChatBackend) -> None:
    with pytest.raises(QuillError) as caught:
        await backend.ainvoke(ASK, temprature=1.0)
    assert_pickles(caught.value)
