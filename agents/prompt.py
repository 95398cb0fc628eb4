"""Prompt files: one per role, reviewed as prose, rendered in one pass."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

_SECTION = re.compile(r"\n?<(\w+)>\n\{\{(\w+)\}\}\n</\1>")
_FIELD = re.compile(r"\{\{(\w+)\}\}")
_TURN = re.compile(r"^\[(system|user|assistant)\]\n", re.MULTILINE)
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
def load_prompt(name: str) -> PromptTemplate:
    """Read `prompts/<name>.md`."""
    text = resources.files("quillgraph.agents").joinpath(f"prompts/{name}.md").read_text("utf-8")
    _, front, body = text.split("---\n", 2)
    meta = yaml.safe_load(front)
    parts = _TURN.split(body)[1:]
    turns = tuple((role, said.strip()) for role, said in zip(parts[::2], parts[1::2], strict=True))
    return PromptTemplate(name, meta["version"], frozenset(meta["fields"] or ()), turns)


def render(name: str, **fields: str) -> list[BaseMessage]:
    """Fill a prompt's fields and return its messages.

    A section, `<name>` to `</name>` around one field, is left out where the field's value is empty.
    Values are inserted in one pass, so a value cannot open a field. Closing tags and the control
    tokens of chat templates are blunted in it, so quoted text cannot close its box, or its turn,
    and speak to the model.

    Raises:
        KeyError: If the fields are not exactly those that the prompt declares.
    """
    prompt = load_prompt(name)
    if set(fields) != prompt.fields:
        raise KeyError(f"prompt {name!r} takes {sorted(prompt.fields)}, got {sorted(fields)}")
    values = {field: _blunted(value) for field, value in fields.items()}
    return [
        _MESSAGE[role](_FIELD.sub(lambda match: values[match[1]], _filled_sections(said, values)))
        for role, said in prompt.turns
    ]


def _filled_sections(said: str, values: Mapping[str, str]) -> str:
    """A turn without the sections that would stand empty."""
    return _SECTION.sub(lambda match: match[0] if values[match[2]] else "", said).strip()


def _blunted(value: str) -> str:
    return value.replace("</", "<\u200b/").replace("<|", "<\u200b|")
