"""Prompt files: one per role, reviewed as prose, rendered in one pass.

A file begins with its version, its fields and its source, between two lines of `---`. Its turns
follow, each under `[system]`, `[user]` or `[assistant]`. Our prompts are loaded by name. A role of
yours loads its own file by path.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import yaml
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from quillgraph.backends.errors import ConfigError

_SECTION = re.compile(r"\n?<(\w+)>\n\{\{(\w+)\}\}\n</\1>")
_FIELD = re.compile(r"\{\{(\w+)\}\}")
_TURN = re.compile(r"^\[(system|user|assistant)\]\n", re.MULTILINE)
_CONTROL = re.compile(
    r"</|<[|｜]"
    r"|<(?=\w+[|｜]>|\w+_\w+>|(?:s|bos|eos|pad|unk|sep|cls|mask|eod|eot|eom)>|<SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w+|[gs]?MASK|BOS|EOS|CLS|SEP|PAD|UNK)\])",
    re.IGNORECASE,
)
"""The beginning of a closing tag, or of a control token of a chat template: those of ChatML,
Llama, Gemma, DeepSeek, Mistral, GLM and T5."""
_MESSAGE: dict[str, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A prompt file: its declared fields and its turns, worked examples included."""

    name: str
    version: int
    fields: frozenset[str]
    turns: tuple[tuple[str, str], ...]


@cache
def load_prompt(prompt: str | Path) -> PromptTemplate:
    """Read a prompt file.

    Args:
        prompt: A name, for `prompts/<name>.md` of this package, or the path of a file.

    Raises:
        ConfigError: If there is no such file, or it is not a prompt.
    """
    ours = resources.files("quillgraph.agents").joinpath("prompts", f"{prompt}.md")
    file, name = (prompt, prompt.stem) if isinstance(prompt, Path) else (ours, prompt)
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"no prompt file at {file}; give the name of one of ours, or the path of yours"
        ) from error
    return _parsed(name, text, str(file))


def _parsed(name: str, text: str, place: str) -> PromptTemplate:
    head = re.match(r"---\n(.*?)---\n", text, re.DOTALL)
    meta = yaml.safe_load(head[1]) if head else None
    if not head or not isinstance(meta, dict) or not {"version", "fields"} <= meta.keys():
        raise ConfigError(
            "expected a prompt that begins with its version and its fields between two lines of "
            f"'---', got something else in {place}"
        )
    parts = _TURN.split(text[head.end() :])[1:]
    turns = tuple((role, turn.strip()) for role, turn in zip(parts[::2], parts[1::2], strict=True))
    if not turns:
        raise ConfigError(f"expected a turn under [system] or [user], got none in {place}")
    return PromptTemplate(name, meta["version"], frozenset(meta["fields"] or ()), turns)


def render(prompt: str | Path, /, **fields: str) -> list[BaseMessage]:
    """Fill a prompt's fields and return its messages.

    A section, `<name>` to `</name>` around one field, is left out where the field's value is empty.
    Values are inserted in one pass, so a value cannot open a field. Closing tags and the control
    tokens of chat templates are broken up in every value, so quoted text cannot close its section,
    or its turn, and give the model orders.

    Args:
        prompt: Name of one of our prompts, or the path of yours.
        fields: A value for each field that it declares.

    Raises:
        KeyError: If the fields are not exactly those that the prompt declares.
        ConfigError: If there is no such prompt.
    """
    template = load_prompt(prompt)
    if set(fields) != template.fields:
        raise KeyError(
            f"prompt {template.name!r} takes {sorted(template.fields)}, got {sorted(fields)}"
        )
    values = {field: _blunted(value) for field, value in fields.items()}
    return [
        _MESSAGE[role](_FIELD.sub(lambda match: values[match[1]], _filled_sections(turn, values)))
        for role, turn in template.turns
    ]


def _filled_sections(turn: str, values: Mapping[str, str]) -> str:
    """A turn without its empty sections."""
    return _SECTION.sub(lambda match: match[0] if values[match[2]] else "", turn).strip()


def _blunted(value: str) -> str:
    return _CONTROL.sub(lambda match: f"{match[0][0]}\u200b{match[0][1:]}", value)
