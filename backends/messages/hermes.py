"""Tool calls as Hermes, Qwen and SmolLM2 write them: `<tool_call>{"name": …}</tool_call>`.

vLLM's parser of this format drops a reply at its first broken call, and that of transformers needs
a response template that hardly any model has. This parser loses no text.
"""

import json
from collections.abc import Iterator

BEGIN, END = "<tool_call>", "</tool_call>"

_JSON = json.JSONDecoder()


def format_call(name: str | None, arguments: str | None) -> str:
    """Format a call as a model writes it.

    Args:
        name: The tool; None if `arguments` holds the whole text of a broken call.
        arguments: JSON text, possibly broken.
    """
    return f"{opening(name)}{arguments}{CLOSING}" if name else f"{BEGIN}\n{arguments}\n{END}"


def opening(name: str) -> str:
    """Format the text before the arguments of a call."""
    return f'{BEGIN}\n{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": '


CLOSING = f"}}\n{END}"
"""The text after the arguments of a call."""


def parse_calls(text: str) -> tuple[str, tuple[tuple[str | None, str], ...]]:
    """Separate the text of a reply from its calls.

    Returns:
        The text without its calls, and for each call its name and its arguments as JSON text. A
        call that cannot be read has the name None and its whole text as arguments.
    """
    if BEGIN not in text:
        return text, ()
    parts = list(_parts(text))
    texts = (part.strip("\n") for part, is_call in parts if not is_call)
    calls = tuple(_call(part) for part, is_call in parts if is_call)
    return "\n".join(part for part in texts if part), calls


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a text in order, each with whether it is the body of a call."""
    place = 0
    while (start := text.find(BEGIN, place)) >= 0:
        yield text[place:start], False
        body = start + len(BEGIN)
        after = _after_json(text, body)  # the arguments may contain tags, too
        ends = [end for tag in (BEGIN, END) if (end := text.find(tag, after)) >= 0]
        end = min(ends, default=len(text))
        yield text[body:end], True
        place = end + len(END) if text.startswith(END, end) else end
    yield text[place:], False


def _after_json(text: str, start: int) -> int:
    blanks = len(text) - start - len(text[start:].lstrip())
    try:
        return _JSON.raw_decode(text, start + blanks)[1]
    except (ValueError, RecursionError):
        return start


def _call(body: str) -> tuple[str | None, str]:
    try:
        call = json.loads(body)
        name, arguments = call["name"], call.get("arguments", {})
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        f"{name}{arguments}".encode()  # half a character is no text
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None, body.strip()
    return (name, arguments) if isinstance(name, str) and name else (None, body.strip())
