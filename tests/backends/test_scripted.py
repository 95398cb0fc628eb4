"""The backend that answers by rule."""

from pathlib import Path

import pytest

from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import ConfigError, ReplyError
from quillgraph.backends.messages.trace import alternatives_of, trace_of
from quillgraph.backends.scripted import ScriptedChat


def script(folder: Path, text: str) -> Path:
    path = folder / "script.yaml"
    path.write_text(text, encoding="utf-8")
    return path


async def replies(chat: ScriptedChat, *questions: str) -> list[str]:
    return [str((await chat.ainvoke(question)).content) for question in questions]


async def test_the_first_rule_that_fits_answers(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        rules:
          - {when: "sea|shore", reply: "salt"}
          - {when: "sea", reply: "never said"}
          - {when: "", reply: "anything"}
        """,
    )
    assert await replies(ScriptedChat(path=path), "the sea", "a hill") == ["salt", "anything"]


async def test_a_rule_sees_all_messages_of_a_request(tmp_path: Path) -> None:
    chat = ScriptedChat(path=script(tmp_path, 'rules: [{when: "(?s)wise.*owl", reply: "hoo"}]'))
    message = await chat.ainvoke([("system", "You are wise"), ("user", "as an owl")])
    assert message.content == "hoo"


async def test_several_replies_go_to_different_requests_and_the_last_stays(
    tmp_path: Path,
) -> None:
    chat = ScriptedChat(
        path=script(tmp_path, 'rules: [{when: "line", reply: [first, second]}]'),
    )
    prompts = ["line a", "line b", "line c", "line a", "line b"]
    # a and b are the 1st and 2nd different requests; c is beyond the list; a and b come again
    assert await replies(chat, *prompts) == ["first", "second", "second", "first", "second"]


async def test_a_request_that_no_rule_fits_is_said_with_its_end(tmp_path: Path) -> None:
    path = script(tmp_path, "rules: [{when: sea, reply: salt}]")
    with pytest.raises(ReplyError, match=r"script\.yaml.*a hill"):
        await ScriptedChat(path=path).ainvoke("a hill")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("rules: []", "rules"),
        ("rules: [{when: sea}]", "reply"),
        ("rules: [{when: sea, reply: salt, then: x}]", "then"),
        ("just words", "script.yaml"),
        ("rules: [", "script.yaml"),
        ("", "script.yaml"),
    ],
)
def test_a_file_without_rules_is_refused_by_name(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ScriptedChat(path=script(tmp_path, text))
    assert "script.yaml" in str(caught.value)
    assert error in str(caught.value)


def test_a_pattern_that_is_no_regular_expression_is_refused_before_the_first_call(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"script\.yaml"):
        ScriptedChat(path=script(tmp_path, 'rules: [{when: "(sea", reply: salt}]'))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file"):
        ScriptedChat(path=tmp_path / "none.yaml")


def test_a_function_or_a_file_but_one_of_them(tmp_path: Path) -> None:
    path = script(tmp_path, "rules: [{when: sea, reply: salt}]")
    with pytest.raises(ConfigError, match=r"reply= or path="):
        ScriptedChat()
    with pytest.raises(ConfigError, match=r"reply= or path="):
        ScriptedChat(path=path, reply=lambda _: "so")


async def test_a_trace_holds_prompt_and_reply_in_tokens_of_four_bytes() -> None:
    message = await ScriptedChat(reply=lambda _: "sólo").ainvoke("hi")
    trace = trace_of(message)
    assert trace is not None
    assert trace.prompt_ids == (int.from_bytes(b"hi"),)
    # s ó l is 1 + 2 + 1 = 4 bytes, o is the fifth
    assert trace.completion_ids == (int.from_bytes("sól".encode()), int.from_bytes(b"o"))
    assert trace.logprobs == (0.0, 0.0)
    assert trace.finish_reason == "stop"


async def test_each_token_is_its_own_only_alternative() -> None:
    message = await ScriptedChat(reply=lambda _: "abcé, so").ainvoke("hi", top_logprobs=5)
    positions = alternatives_of(message)
    assert positions is not None
    # a b c and half of é; the other half, a comma, a space and s; o
    assert [each.text for each in positions] == ["abc", "é, s", "o"]
    assert [each.alternatives[0].logprob for each in positions] == [0.0, 0.0, 0.0]
    assert all(len(each.alternatives) == 1 for each in positions)


async def test_a_reply_longer_than_allowed_is_cut_and_says_so() -> None:
    message = await ScriptedChat(reply=lambda _: "abcé, and more").ainvoke("hi", max_tokens=1)
    # the fourth byte is half of é, which cannot be shown
    assert message.content == "abc"
    assert message.response_metadata["finish_reason"] == "length"
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_tokens"] == 1


async def test_a_function_is_given_the_whole_request() -> None:
    requests: list[ChatRequest] = []

    def reply(request: ChatRequest) -> str:
        requests.append(request)
        return "so"

    await ScriptedChat(reply=reply).ainvoke("hi", temperature=0.0, seed=4)
    assert (requests[0].messages[0].content, requests[0].temperature, requests[0].seed) == (
        "hi",
        0.0,
        4,
    )
