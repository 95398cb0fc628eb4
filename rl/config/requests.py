"""The requests of a training run: those to train on, and those held out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from langchain_core.messages import convert_to_openai_messages
from pydantic import ValidationError

from quillgraph.agents.domain import Value, WritingTask
from quillgraph.agents.memory import Lesson
from quillgraph.agents.requests import writing_task
from quillgraph.agents.text.file import parse_json, read_lines
from quillgraph.agents.writers import Precedents, drafting_prompt
from quillgraph.backends.errors import ConfigError, InputError

Turns = list[dict[str, str]]
"""A conversation, as in TRL's datasets."""


class RequestLine(Value):
    """A line of the prompts' file."""

    request: str
    split: Literal["train", "held_out"] = "train"


@dataclass(frozen=True, slots=True)
class Requests:
    """Tasks by split; no request is in both."""

    train: tuple[WritingTask, ...]
    held_out: tuple[WritingTask, ...]

    @property
    def all(self) -> tuple[WritingTask, ...]:
        """All tasks, those to train on first."""
        return (*self.train, *self.held_out)


def read_requests(path: Path) -> Requests:
    """Read the prompts' file.

    Raises:
        InputError: If it cannot be read, if a line lacks a field, has an unknown one or no request,
            if a request occurs twice, or if no request is to be trained on.
    """
    requests: dict[str, tuple[int, RequestLine, WritingTask]] = {}
    for number, text in read_lines(path):
        line = _line(text, f"{path}, line {number}")
        try:
            task = writing_task(line.request)
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        if first := requests.get(task.request_hash):
            raise InputError(
                f"{path}, line {number}: the request of line {first[0]} again; "
                "a request that is trained on twice, or held out as well, measures nothing"
            )
        requests[task.request_hash] = (number, line, task)
    split = {
        name: tuple(task for _, line, task in requests.values() if line.split == name)
        for name in ("train", "held_out")
    }
    if not split["train"]:
        raise InputError(f"expected requests to train on in {path}, got none with split train")
    return Requests(split["train"], split["held_out"])


def prompt_of(
    task: WritingTask, kind: Literal["request", "writer"], lessons: Sequence[Lesson] = ()
) -> Turns:
    """The prompt of the policy for a task; with lessons it is always the writer's prompt."""
    if kind == "request" and not lessons:
        return [{"role": "user", "content": task.request}]
    precedents = Precedents(lessons=tuple(each.text for each in lessons))
    messages = drafting_prompt(task.request, precedents)
    turns: Any = convert_to_openai_messages(messages)
    return list(turns)


def check_lengths(
    tasks: tuple[WritingTask, ...],
    prompts: list[list[int]],
    *,
    room: int,
    window: int | None,
    reader: str = "the model",
) -> None:
    """Check that each prompt fits a context window together with its completion.

    Args:
        tasks: The tasks.
        prompts: Their prompts' token ids.
        room: Tokens that a completion may take.
        window: Context length of the reader in tokens; None if unknown.
        reader: Name of the model whose window it is, for the message.

    Raises:
        ConfigError: Naming the longest prompt.
    """
    if window is None:
        return
    length, task = max(zip(map(len, prompts), tasks, strict=True), key=lambda pair: pair[0])
    if length + room > window:
        raise ConfigError(
            f"the prompt of the request {task.request[:60]!r} has {length} tokens, and with "
            f"{room} for the completion it passes {reader}'s window of {window}; shorten it, or "
            "lower max_completion_length"
        )


def _line(text: str, where: str) -> RequestLine:
    expected = 'expected JSON like {"request": "A haiku on rain", "split": "train"}'
    try:
        data = parse_json(text)
    except ValueError as error:
        raise InputError(f"{where}: {expected}, got {text[:80]!r}: {error}") from error
    try:
        return RequestLine.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the line"
        raise InputError(f"{where}: {expected}, but {field!r}: {first['msg'].lower()}") from error
