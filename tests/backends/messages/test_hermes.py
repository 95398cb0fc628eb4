"""Calls in the form of Hermes: what is read of them, and that nothing is lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.backends.messages.hermes import BEGIN, END, format_call, parse_calls

LOOK = '{"name": "look", "arguments": {"place": "sea"}}'


def tagged(body: str) -> str:
    return f"{BEGIN}\n{body}\n{END}"


def test_a_reply_without_a_call_is_left_as_it_is() -> None:
    assert parse_calls(" Aye.\n\n") == (" Aye.\n\n", ())


def test_words_before_between_and_after_calls_are_what_is_said() -> None:
    text = f"Let me look.\n{tagged(LOOK)}\nAnd wait.\n{BEGIN}{LOOK}{END}\nDone."
    call = ("look", '{"place": "sea"}')
    assert parse_calls(text) == ("Let me look.\nAnd wait.\nDone.", (call, call))


def test_arguments_may_speak_of_the_tags() -> None:
    arguments = json.dumps({"text": f"He wrote {END} and {BEGIN}."})
    text = tagged(f'{{"name": "say", "arguments": {arguments}}}')
    assert parse_calls(text) == ("", (("say", arguments),))


def test_a_tool_without_arguments_is_called_with_none() -> None:
    assert parse_calls(tagged('{"name": "wait"}')) == ("", (("wait", "{}"),))


def test_arguments_that_are_written_as_text_are_that_text() -> None:
    assert parse_calls(tagged('{"name": "f", "arguments": "{\\"a\\": 1}"}')) == (
        "",
        (("f", '{"a": 1}'),),
    )


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "look", "arguments": {"place": "sea"}',  # a brace is missing
        '{"name": "look", "argum',
        "",
        "[1]",
        '"look"',
        '{"arguments": {}}',
        '{"name": 7, "arguments": {}}',
        '{"name": "", "arguments": {}}',
        f"{LOOK} and more",
        '{"name": "look", "arguments": {"place": "\\ud800"}}',  # half a character
        '{"name": "look", "arguments": ' + "[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_kept_whole(body: str) -> None:
    assert parse_calls(tagged(body)) == ("", ((None, body),))
    assert parse_calls(f"So. {BEGIN}{body}") == ("So. ", ((None, body),))


def test_a_broken_call_takes_no_other_with_it() -> None:
    rest, calls = parse_calls(f"{BEGIN}{{broken {BEGIN}{LOOK}{END} end")
    assert rest == " end"
    assert calls == ((None, "{broken"), ("look", '{"place": "sea"}'))


def test_a_call_is_read_as_it_was_written() -> None:
    assert format_call("look", '{"place": "sea"}') == tagged(LOOK)
    assert parse_calls(format_call("look", '{"place": "sea"}')) == (
        "",
        (("look", '{"place": "sea"}'),),
    )
    assert parse_calls(format_call(None, "{broken")) == ("", ((None, "{broken"),))


PIECES = st.sampled_from([BEGIN, END, "\n", "{", "}", '"', '"name"', ":", "[", LOOK, "sea", "\\"])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_text_breaks_the_reading_or_loses_a_word(text: str) -> None:
    rest, calls = parse_calls(text)
    # each word is said, called, or in what could not be read
    assert text.count("sea") == rest.count("sea") + sum(call[1].count("sea") for call in calls)
