"""Chat completions as servers really write them, through the real clients over HTTP."""

import asyncio
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pytest_httpserver import HTTPServer

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import InputError, Refused, ServerFailed
from quillgraph.backends.messages import was_cut
from quillgraph.backends.spec import connect

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.fixture(params=["openai:m@{}?max_retries=0", "vllm-server:m@{}?max_retries=0&token_ids=no"])
def backend(request: pytest.FixtureRequest, httpserver: HTTPServer) -> ChatBackend:
    chat = connect(request.param.format(httpserver.url_for("/v1")))
    assert isinstance(chat, ChatBackend)
    return chat


def whole(message: object, **choice: Any) -> dict[str, Any]:
    first = {"index": 0, "message": message, "finish_reason": "stop", **choice}
    return {"model": "m", "choices": [first], "usage": USAGE}


def ask(backend: ChatBackend, server: HTTPServer, answer: object, **options: Any) -> AIMessage:
    body = answer if isinstance(answer, str) else json.dumps(answer)
    server.expect_request("/v1/chat/completions").respond_with_data(
        body, content_type="application/json"
    )

    async def reply() -> AIMessage:
        try:
            return await backend.ainvoke([HumanMessage("hi")], **options)
        finally:
            await backend.aclose()

    return asyncio.run(reply())


TEXT = {"type": "text", "text": "green"}
READ: dict[str, dict[str, Any]] = {
    "content as one block": whole({"content": TEXT}),
    "content as strings": whole({"content": ["gre", "en"]}),
    "content as blocks": whole({"content": [{"type": "text", "text": "gre"}, {"text": "en"}]}),
    "an output_text block": whole({"content": [{"type": "output_text", "text": "green"}]}),
    "thinking of Mistral": whole(
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, TEXT]}
    ),
    "thinking of Anthropic": whole({"content": [{"type": "thinking", "thinking": "hm"}, TEXT]}),
    "an image beside the text": whole({"content": [{"type": "image_url", "image_url": {}}, TEXT]}),
    "a text without a message": {"choices": [{"text": "green"}], "usage": USAGE},
    "an empty refusal": whole({"content": "green", "refusal": ""}),
    "a refusal that is false": whole({"content": "green", "refusal": False}),
    "no calls": whole({"content": "green", "tool_calls": None}),
    "log-probs null": whole({"content": "green"}, logprobs=None),
    "log-probs of TGI": whole({"content": "green"}, logprobs={"token_logprobs": [-1]}),
    "log-probs null inside": whole(
        {"content": "green"}, logprobs={"content": [{"token": "green", "logprob": None}]}
    ),
    "log-probs as a list": whole({"content": "green"}, logprobs=[]),
    "token ids null": whole({"content": "green"}, token_ids=None),
    "an error of null": whole({"content": "green"}) | {"error": None},
    "an error that is empty": whole({"content": "green"}) | {"error": {}},
    "more fields": whole({"content": "green", "audio": {}, "annotations": []}) | {"x_groq": {}},
    "a model of null": whole({"content": "green"}) | {"model": None},
}


@pytest.mark.parametrize("answer", READ.values(), ids=READ)
def test_a_good_reply_is_read_in_whatever_form_it_comes(
    backend: ChatBackend, httpserver: HTTPServer, answer: dict[str, Any]
) -> None:
    message = ask(backend, httpserver, answer)
    assert message.content == "green"
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] == 5


KNOWN = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
COUNTS: dict[str, tuple[object, dict[str, int] | None]] = {
    "no completion_tokens": ({"prompt_tokens": 3}, None),
    "completion_tokens by the total": ({"prompt_tokens": 3, "total_tokens": 5}, KNOWN),
    "prompt_tokens by the total": ({"completion_tokens": 2, "total_tokens": 5}, KNOWN),
    "a total that is the prompt's": ({"prompt_tokens": 3, "total_tokens": 3}, None),
    "no prompt_tokens": ({"completion_tokens": 2}, None),
    "usage of null": (None, None),
    "usage as words": ("unknown", None),
    "usage as a list": ([], None),
    "an empty usage": ({}, None),
    "counts as strings": ({"prompt_tokens": "3", "completion_tokens": "2"}, KNOWN),
    "counts as floats": ({"prompt_tokens": 3.0, "completion_tokens": 2.0}, KNOWN),
    "counts of null": ({"prompt_tokens": None, "completion_tokens": None}, None),
    "counts below zero": ({"prompt_tokens": -1, "completion_tokens": -1}, None),
    "a text of no tokens": ({"prompt_tokens": 0, "completion_tokens": 0}, None),
    "other names": ({"input_tokens": 3, "output_tokens": 2}, KNOWN),
    "details of null": ({**USAGE, "prompt_tokens_details": None}, KNOWN),
    "details as a number": ({**USAGE, "prompt_tokens_details": 7}, KNOWN),
}


@pytest.mark.parametrize(("usage", "count"), COUNTS.values(), ids=COUNTS)
def test_a_count_that_the_server_does_not_give_is_unknown_and_never_zero(
    backend: ChatBackend, httpserver: HTTPServer, usage: object, count: dict[str, int] | None
) -> None:
    message = ask(backend, httpserver, whole({"content": "green"}) | {"usage": usage})
    assert (message.content, message.usage_metadata) == ("green", count)


def test_a_reply_without_any_usage_is_read(backend: ChatBackend, httpserver: HTTPServer) -> None:
    answer = whole({"content": "green"})
    del answer["usage"]
    assert ask(backend, httpserver, answer).usage_metadata is None


CUT = [
    {"finish_reason": "length"},
    {"finish_reason": "max_tokens"},
    {"finish_reason": "MAX_TOKENS"},
    {"finish_reason": "model_length"},
    {"finish_reason": "incomplete"},
    {"finish_reason": "token_limit"},
    {"finish_reason": "FinishReason.MAX_TOKENS"},
    {"finish_reason": {"type": "length", "length": 9}},
    {"finish_reason": None, "stop_reason": "max_tokens"},
    {"finish_reason": None, "done_reason": "length"},
    {"finish_reason": "", "finishReason": "MAX_TOKENS"},
    {"finish_reason": "max-tokens"},
    {"finish_reason": "model_context_window_exceeded"},
]


@pytest.mark.parametrize("ending", CUT, ids=str)
def test_a_reply_that_was_cut_short_says_so_by_any_word(
    backend: ChatBackend, httpserver: HTTPServer, ending: dict[str, Any]
) -> None:
    message = ask(backend, httpserver, whole({"content": "green"}, **ending))
    assert message.response_metadata["finish_reason"] == "length"
    assert was_cut(message)


@pytest.mark.parametrize("ending", ["stop", "eos_token", "end_turn", "STOP", "stop_sequence"])
def test_a_reply_that_came_to_its_end_was_not_cut(
    backend: ChatBackend, httpserver: HTTPServer, ending: str
) -> None:
    message = ask(backend, httpserver, whole({"content": "green"}, finish_reason=ending))
    assert message.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("ending", [None, "", "null"])
def test_a_reply_without_a_reason_is_whole_as_far_as_its_count_says(
    backend: ChatBackend, httpserver: HTTPServer, ending: str | None
) -> None:
    answer = whole({"content": "green"}, finish_reason=ending)
    message = ask(backend, httpserver, answer, max_tokens=3)  # 2 tokens came
    assert message.response_metadata["finish_reason"] == "unknown"
    message = ask(backend, httpserver, answer, max_tokens=2)
    assert message.response_metadata["finish_reason"] == "length"


def test_a_choice_without_the_field_is_read(backend: ChatBackend, httpserver: HTTPServer) -> None:
    answer = {"choices": [{"message": {"content": "green"}}], "usage": USAGE}
    assert ask(backend, httpserver, answer).content == "green"


CALLS: dict[str, dict[str, Any]] = {
    "an object": {
        "tool_calls": [{"id": "1", "function": {"name": "look", "arguments": {"at": "sea"}}}]
    },
    "JSON": {
        "tool_calls": [{"id": "1", "function": {"name": "look", "arguments": '{"at": "sea"}'}}]
    },
    "a number as id": {
        "tool_calls": [{"id": 1, "function": {"name": "look", "arguments": {"at": "sea"}}}]
    },
    "no id": {"tool_calls": [{"function": {"name": "look", "arguments": {"at": "sea"}}}]},
    "one call": {"tool_calls": {"function": {"name": "look", "arguments": {"at": "sea"}}}},
    "the old field": {"function_call": {"name": "look", "arguments": '{"at": "sea"}'}},
}


@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS)
def test_a_tool_call_is_read_in_whatever_form_it_comes(
    backend: ChatBackend, httpserver: HTTPServer, calls: dict[str, Any]
) -> None:
    answer = whole({"content": None, **calls}, finish_reason="tool_calls")
    message = ask(backend, httpserver, answer, tools=[TOOL])
    assert [(each["name"], each["args"]) for each in message.tool_calls] == [
        ("look", {"at": "sea"})
    ]
    assert message.invalid_tool_calls == []


THOUGHTS: list[dict[str, Any]] = [
    {"content": None, "reasoning_content": "First, fog."},
    {"content": None, "reasoning": "First, fog."},
    {"content": "", "thinking": "First, fog."},
    {"content": None, "reasoning_details": [{"type": "reasoning.text", "text": "First, fog."}]},
    {"content": [{"type": "thinking", "thinking": "First, fog."}]},
]


@pytest.mark.parametrize("message", THOUGHTS, ids=str)
def test_what_the_model_thought_is_no_text_and_is_kept_beside_it(
    backend: ChatBackend, httpserver: HTTPServer, message: dict[str, Any]
) -> None:
    reply = ask(backend, httpserver, whole(message, finish_reason="length"))
    assert reply.content == ""
    assert reply.additional_kwargs == {"reasoning_content": "First, fog."}


NO_REPLY: dict[str, str] = {
    "a page": "<!DOCTYPE html><html>502 Bad Gateway</html>",
    "choices null": '{"choices": null}',
    "no choices": '{"choices": []}',
    "message null": '{"choices": [{"message": null, "finish_reason": "stop"}]}',
    "half of it": '{"choices": [{"mess',
    "nothing": "",
    "a word": '"ok"',
}


@pytest.mark.parametrize("body", NO_REPLY.values(), ids=NO_REPLY)
def test_what_is_no_reply_is_a_failure_that_shows_what_came(
    backend: ChatBackend, httpserver: HTTPServer, body: str
) -> None:
    with pytest.raises(ServerFailed, match="expected a chat completion from"):
        ask(backend, httpserver, body)


def test_a_stream_that_was_not_asked_for_is_named(
    backend: ChatBackend, httpserver: HTTPServer
) -> None:
    event = {"choices": [{"delta": {"content": "gr"}}]}
    with pytest.raises(ServerFailed, match="stream of events, which was not asked for"):
        ask(backend, httpserver, f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n")


@pytest.mark.parametrize("reason", ["content_filter", "SAFETY", "sensitive", "refusal"])
def test_a_filter_is_named(backend: ChatBackend, httpserver: HTTPServer, reason: str) -> None:
    with pytest.raises(Refused, match="the content filter of"):
        ask(backend, httpserver, whole({"content": ""}, finish_reason=reason))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (r'"fog \ud83d"', "fog \ufffd"),
        (r'"\udc00 fog"', "\ufffd fog"),
        (r'"fog \ud83c\udf0a"', "fog \U0001f30a"),
        (r'[{"type": "text", "text": "a \ud800b"}]', "a \ufffdb"),
    ],
)
def test_half_a_character_of_a_reply_is_the_sign_for_one_that_is_unknown(
    backend: ChatBackend, httpserver: HTTPServer, content: str, text: str
) -> None:
    body = json.dumps(whole({"content": "CONTENT"})).replace('"CONTENT"', content)
    assert ask(backend, httpserver, body).content == text


@pytest.mark.parametrize(
    ("messages", "options"),
    [
        ([HumanMessage("fog \ud83d.")], {}),
        ([HumanMessage([{"type": "text", "text": "fog \ud83d."}])], {}),
        ([SystemMessage("be brief \ud83d"), HumanMessage("hi")], {}),
        ([HumanMessage("hi"), AIMessage("so \ud83d"), HumanMessage("on")], {}),
        ([HumanMessage("hi")], {"json_schema": {"title": "R", "enum": ["\ud83d"]}}),
    ],
    ids=["a turn", "a block", "the system", "a turn of its own", "a schema"],
)
def test_half_a_character_of_a_prompt_is_refused_before_the_call(
    backend: ChatBackend, messages: list[Any], options: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=r"half a character \(U\+D83D\) at character \d+, in"):
        asyncio.run(backend.ainvoke(messages, **options))


def system_alone(backend: ChatBackend) -> AIMessage:
    return asyncio.run(backend.ainvoke([SystemMessage("Write of fog.")]))


@pytest.mark.parametrize(
    ("status", "error"), [(400, "contents is not specified"), (500, "No user query found")]
)
def test_a_server_that_takes_no_system_turns_alone_is_explained(
    backend: ChatBackend, httpserver: HTTPServer, status: int, error: str
) -> None:
    httpserver.expect_request("/v1/chat/completions").respond_with_json(
        {"error": {"message": error}}, status=status
    )
    with pytest.raises((Refused, ServerFailed), match=f"{error}.*system turns alone.*add a turn"):
        system_alone(backend)


def test_nothing_as_the_answer_to_system_turns_alone_is_no_text(
    backend: ChatBackend, httpserver: HTTPServer
) -> None:
    answer = whole({"content": ""})
    httpserver.expect_request("/v1/chat/completions").respond_with_json(answer)
    with pytest.raises(Refused, match="empty text; the prompt has system turns alone"):
        system_alone(backend)


def test_system_turns_alone_are_sent_to_a_server_that_takes_them(
    backend: ChatBackend, httpserver: HTTPServer
) -> None:
    answer = whole({"content": "green"})
    httpserver.expect_request("/v1/chat/completions").respond_with_json(answer)
    assert system_alone(backend).content == "green"
