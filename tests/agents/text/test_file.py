"""Text files as other tools write them."""

import json
from datetime import date
from pathlib import Path

import pytest
import yaml

from quillgraph.agents.text.file import parse_json, parse_yaml, read_lines, read_text
from quillgraph.backends.errors import InputError

SEPARATORS = "a\u2028b\u2029c\x85d"
"""What `str.splitlines` cuts at, and JSON may hold as it is."""


def test_json_lines_are_cut_at_line_feeds_alone(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    row = json.dumps({"text": SEPARATORS}, ensure_ascii=False)
    file.write_bytes(f"{row}\r\n\n  \n{row}".encode("utf-8-sig"))
    lines = read_lines(file)
    assert [number for number, _ in lines] == [1, 4]
    assert [json.loads(line)["text"] for _, line in lines] == [SEPARATORS] * 2


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes("Fog.".encode("utf-8-sig"))
    assert read_text(file) == "Fog."


def test_what_is_no_utf_8_is_refused_with_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="something else at byte 3; save it as UTF-8"):
        read_lines(file)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the field 'c' occurs twice"),
        ('{"a": "x \\ud800 y"}', r"the escape \\ud800 is half a character"),
        ("[" * 100_000, "nested too deep"),
        ("9" * 5000, "4300 digits"),
        ('{"a": 1,}', "double quotes"),
    ],
)
def test_json_that_nobody_can_mean_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("seed: 1\nmodel: {a: 1}\nseed: 2", "line 3: 'seed' occurs twice"),
        ("a: " + "[" * 20_000, "nested too deep"),
        ("seed: " + "9" * 5000, "4300 digits"),
        ("day: 2020-99-99", "month"),
        ("a:\n\tb: 1", "line 2"),
    ],
)
def test_yaml_that_nobody_can_mean_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_yaml(text)


def test_yaml_may_merge_one_mapping_into_another() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, x: 2}")["b"] == {"x": 2}


def test_what_another_package_makes_of_a_date_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = dict(yaml.SafeLoader.yaml_constructors)
    own["tag:yaml.org,2002:timestamp"] = yaml.SafeLoader.construct_yaml_str
    monkeypatch.setattr(yaml.SafeLoader, "yaml_constructors", own)
    assert parse_yaml("2020-01-02") == date(2020, 1, 2)
