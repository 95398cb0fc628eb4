"""What all native backends share."""

import asyncio
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quillgraph.backends.capabilities import Capabilities, capabilities_of, require
from quillgraph.backends.chat import ChatBackend, ChatRequest, ChatTurn, Completion
from quillgraph.backends.errors import ConfigError, ServerFailed
from quillgraph.backends.messages.trace import (
    Alternative,
    Position,
    TokenTrace,
    alternatives_of,
    position,
    trace_of,
)


class Echo(ChatBackend):
    """Says back the last message, and keeps what it was asked."""

    model: str = "echo"
    requests: list[ChatRequest] = Field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(json_schema=True)

    @property
    def _llm_type(self) -> str:
        return "echo"

    async def _complete(self, request: ChatRequest) -> Completion:
        self.requests.append(request)
        await asyncio.sleep(0)
        text = request.messages[-1].content
        if text == "break":
            raise ServerFailed("the engine broke")
        trace = TokenTrace(
            prompt_ids=(1, 2), completion_ids=(3,), logprobs=(-0.5,), finish_reason="stop"
        )
        return Completion(
            text=text, finish_reason="stop", prompt_tokens=2, completion_tokens=1, trace=trace
        )


class Colour(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: str


async def test_the_fields_are_the_defaults_that_call_options_override() -> None:
    model = Echo(temperature=0.5, top_p=0.9, max_tokens=10)
    await model.ainvoke("hi")
    await model.ainvoke("hi", temperature=0.0, max_tokens=3, seed=7, stop=["."])
    turns = (ChatTurn(role="user", content="hi"),)
    assert model.requests == [
        ChatRequest(messages=turns, temperature=0.5, top_p=0.9, max_tokens=10),
        ChatRequest(messages=turns, temperature=0.0, top_p=0.9, max_tokens=3, seed=7, stop=(".",)),
    ]


async def test_each_kind_of_message_keeps_its_role() -> None:
    model = Echo()
    await model.ainvoke([SystemMessage("a"), HumanMessage("b"), AIMessage("c")])
    assert [turn.role for turn in model.requests[0].messages] == ["system", "user", "assistant"]


async def test_the_message_carries_trace_usage_and_the_hash_of_its_request() -> None:
    model = Echo()
    message = await model.ainvoke("hi")
    trace = trace_of(message)
    assert trace is not None
    assert trace.completion_ids == (3,)
    assert message.usage_metadata == {"input_tokens": 2, "output_tokens": 1, "total_tokens": 3}
    assert message.response_metadata["request_sha256"] == model.requests[0].sha256
    assert message.response_metadata["model_name"] == "echo"


def test_equal_requests_have_equal_hashes_and_others_do_not() -> None:
    model = Echo()
    first = model.build_request([HumanMessage("hi")], seed=1)
    again = model.build_request([HumanMessage("hi")], seed=1)
    other = model.build_request([HumanMessage("hi")], seed=2)
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256


async def test_an_unknown_option_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'temperature'"):
        await Echo().ainvoke("hi", temprature=0.0)


def test_a_request_for_alternatives_has_a_hash_of_its_own() -> None:
    turns = (ChatTurn(role="user", content="hi"),)
    plain = ChatRequest(messages=turns, temperature=0.0, top_p=1.0, max_tokens=1)
    none = ChatRequest(messages=turns, temperature=0.0, top_p=1.0, max_tokens=1, top_logprobs=0)
    some = ChatRequest(messages=turns, temperature=0.0, top_p=1.0, max_tokens=1, top_logprobs=5)
    assert plain.sha256 == none.sha256
    assert plain.sha256 != some.sha256


async def test_alternatives_are_refused_before_the_call_by_a_backend_without_them() -> None:
    model = Echo()
    with pytest.raises(ConfigError, match=r"top_logprobs.*Echo reports no alternatives"):
        await model.ainvoke("hi", top_logprobs=5)
    assert model.requests == []


@pytest.mark.parametrize("number", [-1, 21])
async def test_more_alternatives_than_engines_give_are_refused(number: int) -> None:
    with pytest.raises(ConfigError, match=rf"'top_logprobs': .*, got {number}"):
        await Echo().ainvoke("hi", top_logprobs=number)


def test_alternatives_stand_in_order_without_those_that_cannot_come() -> None:
    sampled = Alternative(text="7", logprob=-1.5)
    likelier, never = Alternative(text="8", logprob=-0.5), Alternative(text="x", logprob=-9999.0)
    impossible = Alternative(text="y", logprob=float("-inf"))
    place = position(sampled, [never, likelier, impossible])
    assert place == Position(text="7", alternatives=(likelier, sampled))


def test_a_position_without_its_own_token_is_refused() -> None:
    with pytest.raises(ValidationError, match="'7' among its alternatives"):
        Position(text="7", alternatives=(Alternative(text="8", logprob=0.0),))


def test_a_foreign_message_has_no_alternatives() -> None:
    assert alternatives_of(AIMessage("hi")) is None


async def test_what_is_not_plain_text_is_refused() -> None:
    image = HumanMessage([{"type": "image_url", "image_url": {"url": "http://h/a.png"}}])
    with pytest.raises(ConfigError, match="plain-text"):
        await Echo().ainvoke([image])
    with pytest.raises(ConfigError, match="tool"):
        await Echo().ainvoke([ToolMessage("so", tool_call_id="1")])


async def test_an_error_of_the_engine_reaches_the_caller_as_it_is() -> None:
    with pytest.raises(ServerFailed, match="the engine broke"):
        await Echo().ainvoke("break")


async def test_callers_share_the_slots_of_the_backend() -> None:
    model = Echo(max_concurrency=2)
    await asyncio.gather(model.abatch(["a"] * 5), model.abatch(["b"] * 5))
    assert len(model.requests) == 10
    assert model.limiter.peak == 2


async def test_a_synchronous_call_works_inside_a_running_loop() -> None:
    assert Echo().invoke("hi").content == "hi"


async def test_a_synchronous_call_needs_no_slot_of_the_loop_that_it_stops() -> None:
    model = Echo(max_concurrency=1)
    async with model.limiter.slot():  # shared, it would be waited for for ever
        assert model.invoke("hi").content == "hi"


async def test_synchronous_callers_on_many_threads_share_the_slots_of_one_loop() -> None:
    model = Echo(max_concurrency=2)
    calls = (asyncio.to_thread(model.invoke, str(number)) for number in range(12))
    assert len(await asyncio.gather(*calls)) == 12
    assert model.limiter.peak <= 2


async def test_what_a_call_waits_for_before_it_begins_is_not_its_time() -> None:
    class Cold(Echo):
        async def _ready(self, request: ChatRequest) -> None:
            await asyncio.sleep(0.2)

    model = Cold(timeout_s=0.1)
    assert (await model.ainvoke("hi")).content == "hi"


async def test_a_timeout_of_the_engines_own_is_not_taken_for_the_calls() -> None:
    class Hasty(Echo):
        async def _complete(self, request: ChatRequest) -> Completion:
            raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await Hasty().ainvoke("hi")


async def test_a_schema_parses_the_reply_into_its_model() -> None:
    model = Echo()
    parsed = await model.with_structured_output(Colour).ainvoke('{"colour": "green"}')
    assert parsed == Colour(colour="green")
    assert model.requests[0].json_schema == Colour.model_json_schema()


async def test_a_schema_reads_what_stands_behind_thinking() -> None:
    bound = Echo().with_structured_output(Colour)
    reply = '<think>{"colour": "red"}</think>{"colour": "green"}'
    assert await bound.ainvoke(reply) == Colour(colour="green")


async def test_the_raw_message_keeps_its_trace_beside_the_parsed_value() -> None:
    bound = Echo().with_structured_output(Colour, include_raw=True)
    result = await bound.ainvoke('{"colour": "green"}')
    trace = trace_of(result["raw"])
    assert trace is not None
    assert trace.completion_ids == (3,)
    assert result["parsed"] == Colour(colour="green")
    assert result["parsing_error"] is None


async def test_a_reply_that_does_not_parse_is_kept_and_not_lost() -> None:
    result = await Echo().with_structured_output(Colour, include_raw=True).ainvoke("green")
    assert result["raw"].content == "green"
    assert result["parsed"] is None
    assert isinstance(result["parsing_error"], ValidationError)


@pytest.mark.parametrize("schema", [{"type": "object"}, int])
def test_a_schema_that_is_no_pydantic_model_is_refused(schema: Any) -> None:
    with pytest.raises(ConfigError, match="pydantic model"):
        Echo().with_structured_output(schema)


def test_an_unknown_option_of_structured_output_is_refused() -> None:
    with pytest.raises(ConfigError, match="method"):
        Echo().with_structured_output(Colour, method="json_mode")


def test_a_role_is_refused_a_backend_that_lacks_what_it_needs() -> None:
    require(Echo(), "judge", "json_schema")
    with pytest.raises(ConfigError, match=r"'writer' needs token_ids, logprobs, which .* Echo"):
        require(Echo(), "writer", "json_schema", "token_ids", "logprobs")


def test_a_foreign_model_declares_nothing() -> None:
    assert capabilities_of(FakeListChatModel(responses=["so"])) == Capabilities()


def test_a_trace_with_a_log_prob_too_few_is_refused() -> None:
    with pytest.raises(ValidationError, match="got 1 for 2 tokens"):
        TokenTrace(prompt_ids=(), completion_ids=(1, 2), logprobs=(-1.0,), finish_reason="stop")
