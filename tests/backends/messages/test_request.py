"""Requests and replies; those without tools are what they were before there were any."""

from langchain_core.tools import tool

from quillgraph.backends.messages.request import OPTIONS, ChatRequest, Completion
from quillgraph.backends.messages.tools import offer
from quillgraph.backends.messages.turn import ChatTurn, ToolCall


@tool
def look(place: str) -> str:
    """Look at a place."""
    return place


PLAIN = ChatRequest(
    messages=(ChatTurn(role="user", content="hi"),), temperature=0.5, top_p=1, max_tokens=3
)
CALLED = '<tool_call>{"name": "look", "arguments": {"place": "sea"}}</tool_call>'


def reply(text: str) -> Completion:
    return Completion(text=text, finish_reason="stop", prompt_tokens=1, completion_tokens=1)


def test_the_hash_of_a_request_without_tools_is_the_one_that_cassettes_and_seeds_know() -> None:
    # computed by the version of 2026-11-24, which knew no tools
    assert PLAIN.sha256 == "d97937f1036f77adc24bc7e8a220f26401b77e7a097138171f27a96de4a2bf63"


def test_what_bends_nothing_leaves_the_hash_and_what_does_changes_it() -> None:
    def asked(**options: float) -> ChatRequest:
        return ChatRequest(**{**PLAIN.model_dump(), **options})

    assert asked(min_p=0.0, repetition_penalty=1.0).sha256 == PLAIN.sha256
    assert not asked(min_p=0.0, repetition_penalty=1.0).is_bent
    bent = [asked(min_p=0.1), asked(repetition_penalty=1.1), asked(repetition_penalty=0.9)]
    assert all(each.is_bent for each in bent)
    assert len({each.sha256 for each in (PLAIN, *bent)}) == 4
    assert ChatRequest.model_validate_json(bent[0].model_dump_json()) == bent[0]


def test_tools_and_the_choice_among_them_are_part_of_the_hash() -> None:
    def with_choice(choice: str | None) -> ChatRequest:
        offered = offer([look], choice)
        return ChatRequest(**{**PLAIN.model_dump(), **offered})

    hashes = {
        each.sha256 for each in (PLAIN, with_choice(None), with_choice("none"), with_choice("look"))
    }
    assert len(hashes) == 4
    assert ChatRequest.model_validate_json(with_choice("look").model_dump_json()) == with_choice(
        "look"
    )


def test_calls_are_read_where_there_are_tools_to_call() -> None:
    free = PLAIN.model_copy(update={"tools": tuple(offer([look])["tools"])})
    never = free.model_copy(update={"tool_choice": "none"})
    assert reply(CALLED).with_calls_read(PLAIN) == reply(CALLED)
    assert reply(CALLED).with_calls_read(never) == reply(CALLED)
    answer = reply(f"So.\n{CALLED}").with_calls_read(free)
    assert answer.text == "So."
    assert [(each.name, each.arguments) for each in answer.tool_calls] == [
        ("look", '{"place": "sea"}')
    ]


def test_a_reply_without_calls_is_written_as_if_there_were_none() -> None:
    call = ToolCall(id="c", name="look", arguments="{}")
    assert "tool_calls" not in reply("hi").model_dump()
    called = reply("hi").model_copy(update={"tool_calls": (call,)})
    assert Completion.model_validate_json(called.model_dump_json()) == called


def test_a_call_may_override_everything_but_the_words() -> None:
    assert sorted(OPTIONS) == [
        "json_schema", "max_tokens", "min_p", "repetition_penalty", "seed", "temperature",
        "tool_choice", "tools", "top_logprobs", "top_p",
    ]  # fmt: skip
