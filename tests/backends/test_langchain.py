"""LangChain chat models of other packages behind the seam, and their errors in our tree."""

import asyncio
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from quillgraph.backends import Budget, Recorder, connect, read_records
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import (
    BackendError,
    ConfigError,
    ContextOverflow,
    InputError,
    RateLimited,
    Refused,
    ReplyError,
    ServerFailed,
    Unreachable,
)
from quillgraph.backends.langchain import ForeignChat, status_of, translated
from quillgraph.graphs import Study, Workshop, cast

KEY = "sk-not-to-be-shown-anywhere"


class Colour(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: Literal["green", "red"]


class Elsewhere(FakeListChatModel):
    """A model of another package: it tells what it was asked, and fails when told to."""

    temperature: float | None = None
    max_tokens: int | None = None
    api_key: SecretStr = SecretStr(KEY)
    calls: list[Any] = Field(default_factory=list)
    fault: Exception | None = None
    by_tool: bool = False

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.calls.append((messages, stop, self.temperature, self.max_tokens))
        if self.fault:
            raise self.fault
        call = {"name": "Colour", "args": {"colour": "red"}, "id": "1"}
        message = AIMessage(
            content="" if self.by_tool else self.responses[0],
            tool_calls=[call] if self.by_tool else [],
            usage_metadata={"input_tokens": 4, "output_tokens": 2, "total_tokens": 6},
            response_metadata={"stop_reason": "max_tokens" if self.max_tokens == 1 else "end_turn"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


class Tooled(Elsewhere):
    """The same with tools, by which LangChain gives it structured output."""

    by_tool: bool = True
    offered: list[Any] = Field(default_factory=list)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, Any]:
        self.offered.append((tools, kwargs))
        return self


def elsewhere(reply: str = "so", **fields: Any) -> Elsewhere:
    return Elsewhere(responses=[reply], calls=[], **fields)


async def test_a_reply_comes_with_usage_and_why_it_ended() -> None:
    chat = ForeignChat(chat=elsewhere())
    reply = await chat.ainvoke("so?")
    assert reply.content == "so"
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["total_tokens"] == 6
    assert reply.response_metadata["finish_reason"] == "stop"
    cut = await chat.ainvoke("so?", max_tokens=1)
    assert cut.response_metadata["finish_reason"] == "length"
    assert chat.invoke("so?").content == "so"


async def test_options_of_a_call_reach_a_model_that_takes_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = elsewhere(temperature=0.2)
    chat = ForeignChat(chat=model)
    for _ in range(2):
        await chat.ainvoke("so?", temperature=0.9, max_tokens=7, seed=3, stop=["."])
    assert model.calls[0][1:] == (["."], 0.9, 7)
    assert (model.temperature, model.max_tokens) == (0.2, None)  # its own are left alone
    await chat.ainvoke("so?")
    assert model.calls[-1][1:] == (None, 0.2, 512)
    # what it does not take is told once
    assert [record.getMessage() for record in caplog.records] == [
        "Elsewhere takes no seed; it samples as it is set up itself",
        "Elsewhere takes no top_p; it samples as it is set up itself",
    ]


async def test_a_model_with_sampling_of_its_own_keeps_it() -> None:
    model = elsewhere(temperature=0.2)
    await ForeignChat(chat=model, own_sampling=True).ainvoke("so?", temperature=0.9)
    assert model.calls[0][2] == 0.2


def test_nothing_is_declared_that_was_not_asked_for() -> None:
    assert not ForeignChat(chat=elsewhere()).capabilities.json_schema
    capabilities = ForeignChat(
        chat=elsewhere(), schema_mode="prompt", items_per_call=8
    ).capabilities
    assert (capabilities.json_schema, capabilities.items_per_call, capabilities.token_ids) == (
        True,
        8,
        False,
    )


def test_a_role_that_needs_json_is_refused_when_it_is_cast() -> None:
    plain, capable = (
        ForeignChat(chat=elsewhere()),
        ForeignChat(chat=elsewhere(), schema_mode="prompt"),
    )
    with pytest.raises(ConfigError, match=r"role 'judge' needs json_schema.*ForeignChat does not"):
        cast(Workshop, capable, roles={"judge": plain})
    with pytest.raises(ConfigError, match="role 'coder' needs json_schema"):
        cast(Study, capable, embeddings=LexicalEmbeddings(), roles={"coder": plain})
    assert cast(Workshop, capable, roles={"writer": plain}).writer.model is plain
    assert (
        cast(Study, capable, embeddings=LexicalEmbeddings(), roles={"sampler": plain}).sampler.model
        is plain
    )


async def test_a_model_without_structured_output_is_asked_in_words() -> None:
    model = elsewhere('{"colour": "green"}')
    chat = ForeignChat(chat=model, schema_mode="prompt")
    assert await chat.with_structured_output(Colour).ainvoke("A colour?") == Colour(colour="green")
    (prompt,) = model.calls[0][0]
    assert str(prompt.content).startswith("A colour?\n\nAnswer with one JSON object")
    assert json.loads(str(prompt.content).splitlines()[-1]) == Colour.model_json_schema()


async def test_structured_output_of_its_own_is_used_where_there_is_one() -> None:
    chat = ForeignChat(chat=Tooled(responses=["so"], calls=[]), schema_mode="native")
    assert await chat.with_structured_output(Colour).ainvoke("A colour?") == Colour(colour="red")


def test_native_structured_output_is_refused_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match=r"Elsewhere has no structured output.*'prompt'"):
        ForeignChat(chat=elsewhere(), schema_mode="native")


async def test_a_call_is_recorded_and_paid_for_once(tmp_path: Path) -> None:
    budget = Budget()
    with Recorder(tmp_path / "calls.jsonl", run="r", budget=budget) as recorder:
        await ForeignChat(chat=elsewhere()).ainvoke("so?", {"callbacks": [recorder]})
    (record,) = read_records(tmp_path / "calls.jsonl")
    assert (record.reply, record.model, budget.calls, budget.tokens) == ("so", "Elsewhere", 1, 6)


async def test_a_failure_is_told_in_our_tree_and_without_the_key() -> None:
    class RateLimitError(Exception):
        status_code = 429

    chat = ForeignChat(chat=elsewhere(fault=RateLimitError(f"slow down, {KEY}")))
    with pytest.raises(
        RateLimited, match=r"^Elsewhere: RateLimitError: slow down, \*\*\*$"
    ) as caught:
        await chat.ainvoke("so?")
    assert caught.value.__cause__ is None


def test_a_spec_names_a_class_with_its_arguments() -> None:
    path = "langchain_core.language_models.fake_chat_models.FakeListChatModel"
    with pytest.raises(ConfigError, match=r"FakeListChatModel, responses: Field required"):
        connect(f"langchain:{path}?sleep=1&schema_mode=prompt")
    path = path.replace("FakeListChatModel", "ParrotFakeChatModel")
    chat = connect(f"langchain:{path}?schema_mode=prompt&items_per_call=8&disable_streaming=true")
    assert isinstance(chat, ForeignChat)
    assert chat.chat.disable_streaming is True
    assert (chat.schema_mode, chat.items_per_call) == ("prompt", 8)
    assert chat.invoke("polly").content == "polly"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ChatX", r"expected langchain:package.Class, got 'ChatX'; for example"),
        ("no_such_package.ChatX", r"cannot import no_such_package .*pip install no-such-package"),
        ("json.JSONDecoder", r"expected a LangChain chat model class at json.JSONDecoder"),
        ("json.Nothing", r"expected a LangChain chat model class at json.Nothing, got None"),
        (
            "langchain_core.language_models.fake_chat_models.ParrotFakeChatModel?disable_stream=1",
            r"unknown option 'disable_stream' .*did you mean 'disable_streaming'",
        ),
        (
            "langchain_core.language_models.fake_chat_models.ParrotFakeChatModel?schema_mode=xml",
            r"backend 'langchain', schema_mode: ",
        ),
    ],
)
def test_a_spec_that_cannot_be_met_says_why(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        connect(f"langchain:{spec}")


chat_openai = pytest.mark.skipif(
    find_spec("langchain_openai") is None, reason="langchain-openai is not installed"
)


@chat_openai
@pytest.mark.parametrize(
    "argument", [f"api_key={KEY}", "base_url=http://me:correct-horse@127.0.0.1/v1"]
)
def test_a_secret_in_a_spec_is_refused_and_not_repeated(argument: str) -> None:
    with pytest.raises(ConfigError, match="holds a secret, which would be recorded") as caught:
        connect(f"langchain:langchain_openai.ChatOpenAI?{argument}")
    assert KEY not in str(caught.value)
    assert "correct-horse" not in str(caught.value)


@chat_openai
def test_a_missing_key_is_a_matter_of_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"ChatOpenAI cannot be made: .*OPENAI_API_KEY"):
        connect("langchain:langchain_openai.ChatOpenAI?model=m")


class Loopback:
    """An OpenAI-compatible server on this machine, and `ChatOpenAI` in front of it."""

    def __init__(self, server: HTTPServer) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.status, self.reason = 200, "stop"
        self.url = server.url_for("/v1")
        server.expect_request("/v1/chat/completions").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        self.bodies.append(request.get_json())
        if self.status != 200:
            body = {"error": {"message": f"not with {KEY}", "code": "x"}}
            return Response(json.dumps(body), self.status, content_type="application/json")
        message = {"role": "assistant", "content": '{"colour": "green"}'}
        answer = {
            "id": "1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": self.reason}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        }  # fmt: skip
        return Response(json.dumps(answer), content_type="application/json")

    def chat(self, options: str = "") -> ForeignChat:
        spec = f"langchain:langchain_openai.ChatOpenAI?model=m&base_url={self.url}&max_retries=0"
        chat = connect(spec + options)
        assert isinstance(chat, ForeignChat)
        return chat


@pytest.fixture
def loopback(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Loopback:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return Loopback(httpserver)


@chat_openai
def test_chat_openai_answers_behind_the_seam(loopback: Loopback) -> None:
    chat, loopback.reason = loopback.chat("&temperature=0.25"), "length"
    reply = asyncio.run(chat.ainvoke("so?", seed=3, max_tokens=9))
    assert reply.content == '{"colour": "green"}'
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["total_tokens"] == 7
    assert reply.response_metadata["finish_reason"] == "length"
    (body,) = loopback.bodies
    assert (body["temperature"], body["seed"], body["max_completion_tokens"]) == (0.25, 3, 9)
    assert chat.model == "m"


@chat_openai
@pytest.mark.parametrize("mode", ["native", "prompt"])
def test_chat_openai_gives_json_in_either_way(loopback: Loopback, mode: str) -> None:
    bound = loopback.chat(f"&schema_mode={mode}").with_structured_output(Colour)
    assert asyncio.run(bound.ainvoke("A colour?")) == Colour(colour="green")
    (body,) = loopback.bodies
    assert ("response_format" in body) == (mode == "native")
    assert ("JSON schema" in body["messages"][0]["content"]) == (mode == "prompt")


@chat_openai
def test_a_reply_that_chat_openai_will_not_read_is_a_reply_error(loopback: Loopback) -> None:
    bound = loopback.chat("&schema_mode=native").with_structured_output(Colour)
    loopback.reason = "length"
    with pytest.raises(ReplyError, match="a whole reply in the asked form from m"):
        asyncio.run(bound.ainvoke("A colour?"))


@chat_openai
@pytest.mark.parametrize(
    ("status", "kind"), [(401, Refused), (404, Refused), (429, RateLimited), (503, ServerFailed)]
)
def test_what_chat_openai_raises_is_told_without_the_key(
    loopback: Loopback, status: int, kind: type[Exception]
) -> None:
    loopback.status = status
    with pytest.raises(kind) as caught:
        asyncio.run(loopback.chat().ainvoke("so?"))
    assert KEY not in str(caught.value)


@chat_openai
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "slow down"}, RateLimited),
        ({"code": "invalid_api_key", "message": "no"}, Refused),
        ({"message": "upstream is down"}, ServerFailed),
    ],
)
def test_an_error_under_status_200_is_what_its_code_says(
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    error: dict[str, Any],
    kind: type[Exception],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    httpserver.expect_request("/v1/chat/completions").respond_with_json(
        {"error": error, "choices": None}
    )
    spec = f"langchain:langchain_openai.ChatOpenAI?model=m&base_url={httpserver.url_for('/v1')}"
    with pytest.raises(kind):
        asyncio.run(connect(spec).ainvoke("so?"))


@chat_openai
def test_chat_openai_with_nobody_there_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    spec = "langchain:langchain_openai.ChatOpenAI?model=m&base_url=http://127.0.0.1:9/v1"
    with pytest.raises(Unreachable):
        asyncio.run(connect(f"{spec}&max_retries=0").ainvoke("so?"))


class Worded(FakeListChatModel):
    """A model of another package that answers with one message."""

    message: AIMessage

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.message)])


def worded(content: Any = "so", /, **fields: Any) -> ForeignChat:
    return ForeignChat(chat=Worded(responses=[], message=AIMessage(content, **fields)))


@pytest.mark.parametrize(
    "meta",
    [
        {"finish_reason": "length"},
        {"stop_reason": "max_tokens"},
        {"done_reason": "length", "done": True},
        {"finishReason": "MAX_TOKENS"},
        {"stopReason": "max_tokens"},
        {"finish_reason": "model_length"},
        {"finish_reason": "FinishReason.MAX_TOKENS"},
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    ],
    ids=str,
)
async def test_a_reply_that_was_cut_short_says_so_by_any_providers_word(
    meta: dict[str, Any],
) -> None:
    reply = await worded(response_metadata=meta).ainvoke("so?")
    assert reply.response_metadata["finish_reason"] == "length"


async def test_tokens_that_a_model_does_not_count_are_unknown() -> None:
    assert (await worded().ainvoke("so?")).usage_metadata is None


@pytest.mark.parametrize(
    "fields",
    [
        {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}]},
        {"content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "so"}]},
        {"content": "so", "additional_kwargs": {"reasoning_content": "hm"}},
    ],
    ids=str,
)
async def test_what_a_model_thought_is_kept_beside_its_text(fields: dict[str, Any]) -> None:
    meta = {"model_provider": "anthropic"} if "thinking" in str(fields) else {}
    reply = await worded(fields.pop("content"), response_metadata=meta, **fields).ainvoke("so?")
    assert reply.content == "so"
    assert reply.additional_kwargs == {"reasoning_content": "hm"}


@pytest.mark.parametrize(
    ("meta", "kind"),
    [
        ({"finish_reason": "content_filter"}, Refused),
        ({"finish_reason": "SAFETY"}, Refused),
        ({"stop_reason": "refusal"}, Refused),
        ({"finish_reason": "error"}, ServerFailed),
    ],
)
async def test_a_filter_or_a_failure_in_mid_reply_is_no_text(
    meta: dict[str, Any], kind: type[BackendError]
) -> None:
    with pytest.raises(kind):
        await worded("", response_metadata=meta).ainvoke("so?")


async def test_half_a_character_of_a_reply_is_the_sign_for_one_that_is_unknown() -> None:
    assert (await worded("fog \ud83d").ainvoke("so?")).content == "fog \ufffd"


async def test_half_a_character_of_a_prompt_is_refused() -> None:
    with pytest.raises(InputError, match="half a character"):
        await worded().ainvoke("fog \ud83d")


async def test_a_failure_at_system_turns_alone_is_explained() -> None:
    for chat in (
        ForeignChat(chat=elsewhere(fault=error("BadRequestError", "no message", status_code=400))),
        worded(""),
    ):
        with pytest.raises(Refused, match="system turns alone"):
            await chat.ainvoke([SystemMessage("Write of fog.")])


def look(place: str) -> str:
    """Look at a place."""
    return place


async def test_tools_are_handed_on_to_a_model_that_takes_them() -> None:
    model = Tooled(responses=["so"], calls=[], offered=[])
    bound = ForeignChat(chat=model).bind_tools([look], tool_choice="look")
    reply = await bound.ainvoke([HumanMessage("hi")])
    assert [(each["name"], each["args"]) for each in reply.tool_calls] == [
        ("Colour", {"colour": "red"})
    ]
    ((tools, options),) = model.offered
    assert (tools[0]["function"]["name"], options) == ("look", {"tool_choice": "look"})
    await bound.ainvoke([HumanMessage("hi"), reply, ToolMessage("calm", tool_call_id="1")])
    assert [type(each) for each in model.calls[-1][0]] == [HumanMessage, AIMessage, ToolMessage]
    assert model.calls[-1][0][1].tool_calls == reply.tool_calls


def test_tools_are_refused_where_the_class_takes_none() -> None:
    chat = ForeignChat(chat=elsewhere())
    assert not chat.capabilities.tools
    with pytest.raises(ConfigError, match="ForeignChat calls no tools"):
        chat.bind_tools([look])
    with pytest.raises(ConfigError, match="ForeignChat calls no tools"):
        chat.invoke([HumanMessage("hi"), ToolMessage("calm", tool_call_id="1")])


def error(name: str, message: str = "no", **fields: Any) -> Exception:
    """An error of another package, of a class of this name."""
    exception: Exception = type(name, (Exception,), fields)(message)
    return exception


class _Answer:
    status_code = 503


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (error("APIError", status_code=429), RateLimited),
        (error("APIError", status=401), Refused),
        (error("HTTPError", response=_Answer()), ServerFailed),
        (error("ApiError", code=408), Unreachable),
        (error("APIError", status_code=504), Unreachable),
        (error("APIError", "the model's context length is 9", status_code=400), ContextOverflow),
        (error("APIError", "prompt is too long: 9 tokens", status_code=413), ContextOverflow),
        (error("APIError", "the text is too long", status_code=422), Refused),
        # the status says more than the name
        (error("RateLimitError", status_code=500), ServerFailed),
        (error("RateLimitError"), RateLimited),
        (error("ReadTimeout"), Unreachable),
        (error("APIConnectionError"), Unreachable),
        (error("ConnectError"), Unreachable),
        (error("AuthenticationError"), Refused),
        (error("ServiceUnavailable"), ServerFailed),
        (TimeoutError("no"), Unreachable),
        (ConnectionRefusedError("no"), Unreachable),
        # what ChatOpenAI raises of an error under status 200
        (ValueError({"code": 429, "message": "slow down"}), RateLimited),
        (ValueError({"type": "rate_limit_error", "message": "no"}), RateLimited),
        (ValueError({"code": 502, "message": "upstream closed"}), ServerFailed),
        (ValueError({"code": "invalid_api_key", "message": "no"}), Refused),
        # a status that is none, and a name that says nothing
        (error("APIError", code="invalid_request", status_code=200), BackendError),
        (ValueError("no"), BackendError),
    ],
    ids=repr,
)
def test_an_error_is_told_by_its_status_or_else_by_its_names(
    raised: Exception, kind: type[BackendError]
) -> None:
    translation = translated(raised, "m", str)
    assert type(translation) is kind
    assert str(translation) == f"m: {type(raised).__name__}: {raised}"


def test_names_of_base_classes_count_too() -> None:
    base = type("RateLimitError", (Exception,), {})
    assert type(translated(type("Quota", (base,), {})("no"), "m", str)) is RateLimited


def test_only_whole_numbers_from_400_to_599_are_statuses() -> None:
    assert [status_of(error("E", code=each)) for each in (399, 400, 599, 600, "429")] == [
        None, 400, 599, None, None,
    ]  # fmt: skip


def test_long_words_are_cut_after_the_secret_is_gone() -> None:
    translation = translated(
        error("E", "x" * 398 + " key"), "m", lambda text: text.replace("key", "***")
    )
    # 400 characters: 398, a space, and one star
    assert str(translation) == f"m: E: {'x' * 398} *"
