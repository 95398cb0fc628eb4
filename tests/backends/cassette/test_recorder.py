"""Recording: what goes into the file, when, and what never does."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from quillgraph.backends import CassetteRecorder, ChatRequest, Completion, ScriptedChat, connect
from quillgraph.backends.cassette.tape import Header, TapedCall, lines_of
from quillgraph.backends.errors import ConfigError, Refused, StorageError
from quillgraph.backends.messages.trace import trace_of
from quillgraph.backends.servers.openai import OpenAIChat

KEY = "sk-not-to-be-written-anywhere"
PASSWORD = "correct-horse-battery"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.jsonl"


async def test_a_call_is_on_disk_as_soon_as_it_is_answered(file: Path) -> None:
    chat = ScriptedChat(reply=lambda _: "so")
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        for number in (1, 2):
            await chat.ainvoke(f"call {number}")
            kinds = [line.kind for line in lines_of(file, partial=True)]
            assert kinds == ["cassette", "voice", *["call"] * number]
    assert lines_of(file)[-1].kind == "end"


async def test_nothing_is_recorded_after_the_end(file: Path) -> None:
    chat = ScriptedChat(reply=lambda _: "so")
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
    before = lines_of(file)
    await chat.ainvoke("later")
    assert lines_of(file) == before


async def test_a_model_with_two_parts_is_recorded_once(file: Path) -> None:
    chat = ScriptedChat(reply=lambda _: "so")
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        recorder.listen(chat, ["judge"])
        await chat.ainvoke("a")
    assert [line.kind for line in lines_of(file)] == ["cassette", "voice", "call", "end"]


def test_an_existing_file_is_left_alone(file: Path) -> None:
    file.write_text("mine")
    with pytest.raises(ConfigError, match=r"expected a new file to record in, but .* exists"):
        CassetteRecorder(file)
    assert file.read_text() == "mine"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*: No such file"):
        CassetteRecorder(tmp_path / "none" / "c.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_and_not_a_gap(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda *_, **__: real(Path("/dev/full"), "w"))
    with pytest.raises(StorageError, match="No space left"):
        CassetteRecorder(file)


def test_keys_and_passwords_never_enter_the_file(
    file: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_OTHER_API_KEY", KEY[::-1])
    repeated = f"your key {KEY} and Authorization: Bearer {KEY} are wrong"
    answer = {
        "choices": [{"message": {"content": f"I know {KEY}."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    httpserver.expect_ordered_request("/v1/chat/completions").respond_with_json(answer)
    httpserver.expect_ordered_request("/v1/chat/completions").respond_with_json(
        {"error": {"message": repeated}}, status=401
    )
    chat = OpenAIChat(model="m", base_url=httpserver.url_for("/v1"), api_key=KEY, max_retries=0)
    prompt = f"Fetch https://me:{PASSWORD}@host/x with {KEY} or {KEY[::-1]}"
    schema = {"enum": [KEY], "title": prompt}
    with CassetteRecorder(file, {"seed": 1}) as recorder:
        recorder.listen(chat)
        reply = chat.invoke(prompt, json_schema=schema)
        with pytest.raises(Refused):
            chat.invoke(prompt)
    asyncio.run(chat.aclose())
    text = file.read_text(encoding="utf-8")
    for secret in (KEY, KEY[::-1], PASSWORD, "Bearer sk"):
        assert secret not in text
    # the request is found by what was asked, not by what is shown of it
    again = connect(f"cassette:{file}")
    assert again.invoke(prompt, json_schema=schema).content == str(reply.content).replace(
        KEY, "***"
    )
    with pytest.raises(Refused, match="answered 401: your key"):
        again.invoke(prompt)


async def test_no_secret_is_spelled_by_token_ids_or_stands_in_the_facts(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", KEY)
    facts = {"seed": 1, "notes": [f"the key is {KEY}"], KEY: ("as", KEY)}
    chat = ScriptedChat(reply=lambda _: "fine")
    with CassetteRecorder(file, facts) as recorder:
        recorder.listen(chat)
        await chat.ainvoke(f"use {KEY} now")
        await chat.ainvoke("use none")
    header, _, secret, plain, _ = lines_of(file)
    assert isinstance(header, Header)
    assert header.facts == {"seed": 1, "notes": ["the key is ***"], "***": ["as", "***"]}
    assert isinstance(secret, TapedCall)
    assert isinstance(secret.outcome, Completion)
    assert (secret.outcome.text, secret.outcome.trace) == ("fine", None)
    assert isinstance(plain, TapedCall)
    assert isinstance(plain.outcome, Completion)
    assert plain.outcome.trace is not None
    again = await connect(f"cassette:{file}").ainvoke(f"use {KEY} now")
    assert (again.content, trace_of(again)) == ("fine", None)


async def test_prose_is_kept_as_it_was_said(file: Path) -> None:
    text = "Authorization: granted by https://a:bcdefghi@sea, Bearer of lamps!"
    chat = ScriptedChat(reply=lambda _: text)
    with CassetteRecorder(file) as recorder:
        recorder.listen(chat)
        await chat.ainvoke("a")
    assert (await connect(f"cassette:{file}").ainvoke("a")).content == text


async def test_no_place_in_the_file_depends_on_chance(file: Path, tmp_path: Path) -> None:
    def record(path: Path) -> Any:
        def answer(request: ChatRequest) -> str:
            return request.messages[-1].content.upper()

        chat = ScriptedChat(reply=answer)
        with CassetteRecorder(path) as recorder:
            recorder.listen(chat)
            chat.invoke("a", {"metadata": {"role": "r"}}, seed=3)
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    assert record(file) == record(tmp_path / "other.jsonl")
