"""What a person sees of an episode whose graph wrote, or gave, something of its own."""

from typing import Any

import pytest
from rich.text import Text

from quillgraph.agents.requests import writing_task
from quillgraph.cli.display.episode import in_a_line, whole
from quillgraph.graphs.episodes import Episode


@pytest.mark.parametrize(
    ("output", "line", "block"),
    [
        ({"letter": "Dear\nreader."}, "Dear reader.", "Dear\nreader."),
        ({"text": "T", "tries": 2}, "T", '{\n "text": "T",\n "tries": 2\n}'),
        ({"tries": 2}, '{"tries": 2}', '{\n "tries": 2\n}'),
    ],
)
def test_a_graphs_text_is_shown_as_a_text_and_all_else_as_data(
    output: Any, line: str, block: str
) -> None:
    task = writing_task("Fog.")
    episode = Episode(task=task, stopped="end", is_complete=True, output=output)
    assert in_a_line(episode) == line
    screen = whole(episode)
    assert isinstance(screen, Text)
    assert screen.plain == block
