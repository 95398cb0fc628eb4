"""Answers to the questions that a run has left open, as a person types them."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quillgraph.backends.calls import JsonLines
from quillgraph.backends.errors import ConfigError
from quillgraph.graphs.episodes import Answer

FAILURES = "failures.jsonl"
"""File of a run folder: the entries without an episode, with the questions that they wait for."""

_ID = re.compile(r"(?P<id>[0-9a-f]{32})=(?P<answer>.*)", re.DOTALL)
"""An answer to the question of this id; LangGraph's ids are 128 bits."""


def read_answers(answers: Sequence[str]) -> Answer | None:
    """Read one answer to every question, or an answer `ID=ANSWER` to each of several.

    Args:
        answers: An answer is JSON, or else words.

    Returns:
        What `run_graph` takes as `answer`; None without answers.

    Raises:
        ConfigError: If there are several for one question.
    """
    if not answers:
        return None
    matches = [_ID.fullmatch(each) for each in answers]
    by_id = {match["id"]: _value(match["answer"]) for match in matches if match}
    if len(answers) == 1 and not by_id:
        value = _value(answers[0])

        async def answer(question: Any) -> Any:
            return value

        return answer
    if len(by_id) < len(answers):
        raise ConfigError(
            "expected one --answer to every question, or --answer ID=ANSWER once for each of them, "
            f"got {', '.join(map(repr, answers))}"
        )
    return by_id


def refuse_unknown_questions(answer: Answer | None, folder: Path) -> None:
    """Refuse answers to questions that the run did not list when it stopped.

    Raises:
        ConfigError: Naming the questions that are open.
    """
    if not isinstance(answer, Mapping):
        return
    file = folder / FAILURES
    rows = JsonLines(file).read(dict[str, Any]) if file.exists() else []
    questions = [each for row in rows for each in row.get("questions", ())]
    if unknown := sorted(set(answer) - {each["id"] for each in questions}):
        listed = "; ".join(f"{each['id']} asks {each['value']!r}" for each in questions)
        raise ConfigError(f"no question {unknown[0]} is open in {folder}; open: {listed or 'none'}")


def _value(reply: str) -> Any:
    try:
        return json.loads(reply)
    except ValueError:
        return reply
