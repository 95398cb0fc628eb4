"""The file of a cassette: one that was cut, edited or made by another version is found out."""

import json
from pathlib import Path

import pytest

from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.cassette.tape import End, Header, Voice, format_line, lines_of
from quillgraph.backends.errors import InputError

VOICE = Voice(
    name="common",
    model="m",
    capabilities=Capabilities(json_schema=True, items_per_call=8),
    temperature=0.7,
    top_p=1.0,
    max_tokens=9,
    max_concurrency=2,
)
LINES = (Header(facts={"seed": 7}), VOICE, End())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    digest, text = "", ""
    for line in LINES:
        added, digest = format_line(line, digest)
        text += f"{added}\n"
    (tmp_path / "c.jsonl").write_text(text, encoding="utf-8")
    return tmp_path / "c.jsonl"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_what_was_written_is_read(file: Path) -> None:
    assert tuple(lines_of(file)) == LINES
    # each line is JSON by itself, for other tools
    assert [json.loads(line)["kind"] for line in file.read_text().splitlines()] == [
        "cassette", "voice", "end",
    ]  # fmt: skip


def test_an_edited_line_is_named(file: Path) -> None:
    edit(file, '"model":"m"', '"model":"n"')
    with pytest.raises(InputError, match=r"line 2 of the cassette .*c\.jsonl .*was edited, moved"):
        lines_of(file)


def test_an_edited_digest_is_no_way_around(file: Path) -> None:
    digest = json.loads(file.read_text().splitlines()[1])["digest"]
    edit(file, digest, "0" * 64)
    with pytest.raises(InputError, match=r"line 2 .* does not have the digest it carries"):
        lines_of(file)


@pytest.mark.parametrize("order", [(0, 2), (0, 1, 1, 2), (1, 0, 2), (0, 2, 1)])
def test_a_line_that_is_missing_twice_there_or_moved_is_found_out(
    file: Path, order: tuple[int, ...]
) -> None:
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[number] for number in order))
    with pytest.raises(InputError, match=r"digest it carries|made by --record"):
        lines_of(file)


def test_every_cut_is_told_and_what_is_whole_can_still_be_had(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    first = len(text.splitlines(keepends=True)[0])
    for size in range(first, len(text) - 1):
        file.write_text(text[:size], encoding="utf-8")
        with pytest.raises(InputError, match=r"was not finished.*0 calls are whole.*partial=true"):
            lines_of(file)
        assert tuple(lines_of(file, partial=True)) == LINES[: text[:size].count("\n")]
    file.write_text(text[:-9], encoding="utf-8")
    with pytest.raises(InputError, match="line 3 is cut short"):
        lines_of(file)


@pytest.mark.parametrize("partial", [True, False])
def test_a_file_without_a_whole_line_is_no_cassette(file: Path, partial: bool) -> None:
    file.write_text("")
    with pytest.raises(InputError, match=r"expected a cassette in .*, but it is empty"):
        lines_of(file, partial=partial)
    file.write_text('{"digest":"')
    with pytest.raises(InputError, match="its first line is cut short"):
        lines_of(file, partial=partial)


def test_another_version_is_refused_with_both_numbers(file: Path) -> None:
    edit(file, '"version":1', '"version":2')
    with pytest.raises(InputError, match=r"expected a cassette of version 1 in .*, got version 2"):
        lines_of(file)


@pytest.mark.parametrize("text", ["rules: []\n", "[1]\n", '{"kind": "voice"}\n', "null\n"])
def test_another_file_is_no_cassette(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(InputError, match=r"expected a cassette, made by --record, but .* is none"):
        lines_of(file)


def test_a_line_of_another_form_is_told_where(file: Path) -> None:
    header, digest = format_line(Header(), "")
    bad, _ = format_line(Header(facts={}).model_copy(update={"kind": "voice"}), digest)
    file.write_text(f"{header}\n{bad}\n")
    with pytest.raises(InputError, match=r"line 2 of the cassette .*voice\.name: Field required"):
        lines_of(file)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the cassette .*: No such file"):
        lines_of(tmp_path / "none.jsonl")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="no UTF-8 text"):
        lines_of(tmp_path / "bytes")
