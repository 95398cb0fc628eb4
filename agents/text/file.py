"""Text in a file: whole, or line by line."""

import json
from pathlib import Path
from typing import Any

import yaml

from quillgraph.backends.errors import InputError


def read_text(file: Path) -> str:
    """Read a file of UTF-8 text.

    Raises:
        InputError: If it cannot be read, or holds something else.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeError as error:
        place = getattr(error, "start", 0)
        raise InputError(
            f"expected UTF-8 text in {file}, got something else at byte {place}; save it as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error


def read_lines(file: Path) -> list[tuple[int, str]]:
    """Read the lines of a file, such as JSON lines, that are not blank, with their numbers.

    A line ends with a line feed alone: JSON may hold other separators, such as U+2028. A byte
    order mark before the first line and a carriage return behind a line are no part of it.

    Raises:
        InputError: As `read_text` does.
    """
    return numbered_lines(read_text(file))


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """Cut a text as `read_lines` does."""
    lines = text.removeprefix("\ufeff").split("\n")
    return [(number, line.rstrip("\r")) for number, line in enumerate(lines, 1) if line.strip()]


def parse_json(text: str) -> Any:
    """Read JSON that a person may have written.

    Raises:
        ValueError: If it is no JSON, is nested too deep, has a number too long, an escape that
            is half a character, or names a field twice, of which only one value could count.
    """
    try:
        value = json.loads(text, object_pairs_hook=_fields)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ValueError(f"the escape {ascii(half)[1:-1]} is half a character") from error
    return value


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} occurs twice; leave one of them out")
    return fields


class _Loader(yaml.SafeLoader):
    """Refuses a name that occurs twice in a mapping, which YAML forbids and PyYAML takes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if (key.tag, str(key.value)) in names:
                line = key.start_mark.line + 1
                raise ValueError(f"line {line}: {key.value!r} occurs twice; leave one of them out")
            names.add((key.tag, str(key.value)))
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


# copies: other packages change those of PyYAML for the whole process, such as what a date is
_Loader.yaml_constructors = dict(yaml.SafeLoader.yaml_constructors)
_Loader.yaml_implicit_resolvers = {
    first: list(each) for first, each in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str) -> Any:
    """Read YAML that a person has written.

    Raises:
        ValueError: If it is no YAML, is nested too deep, has a number or date that is none, or
            names a field twice.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("nested too deep") from error
