"""Why a reply ended: providers' words and spellings."""

from enum import Enum
from typing import Any

import pytest

from quillgraph.backends.messages.finish import finish_in, finish_of


class Reason(Enum):
    MAX_TOKENS = "MAX_TOKENS"
    STOP = 1


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        (Reason.MAX_TOKENS, "length"),
        ("Length", "length"),
        ("max_output_tokens", "length"),
        ({"reason": "max_output_tokens"}, "length"),
        ("COMPLETE", "stop"),
        ("tool_use", "tool_calls"),
        ("RECITATION", "content_filter"),
        (2, "unknown"),
        (None, "unknown"),
        ("load", "load"),
    ],
)
def test_a_word_has_one_meaning_for_all_providers(reason: object, meaning: str) -> None:
    assert finish_of(reason) == meaning


@pytest.mark.parametrize(
    ("meta", "meaning"),
    [
        ({"stop_reason": "max_tokens"}, "length"),
        ({"done_reason": "length", "done": True}, "length"),
        ({"finishReason": "MAX_TOKENS"}, "length"),
        ({"stopReason": "max_tokens"}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "completed", "incomplete_details": None}, "stop"),
        ({"finish_reason": None, "stop_reason": "end_turn"}, "stop"),
        ({"finish_reason": "length", "stop_reason": "</s>"}, "length"),
        ({}, "unknown"),
    ],
)
def test_the_reason_is_found_under_any_spelling(meta: dict[str, Any], meaning: str) -> None:
    assert finish_in(meta) == meaning
