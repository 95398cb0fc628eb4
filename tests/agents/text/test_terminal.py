"""Control characters on their way to a terminal."""

import pytest

from quillgraph.agents.text import visible


@pytest.mark.parametrize(
    ("text", "picture"),
    [
        ("red \x1b[31m alert \x07", "red \u241b[31m alert \u2407"),
        ("CSI in one byte \x9b31m", "CSI in one byte \N{REPLACEMENT CHARACTER}31m"),
        ("two lines\n\tand 中文", "two lines\n\tand 中文"),
    ],
)
def test_what_would_steer_a_terminal_becomes_a_picture_of_it(text: str, picture: str) -> None:
    assert visible(text) == picture
