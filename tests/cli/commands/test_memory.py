"""The command `quillgraph memory`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from quillgraph.agents.memory import Lesson, MemoryEntry
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.graphs.memory import Memory

LESSONS = [
    Lesson(
        id="l-1a2b",
        condition="When it drags",
        strategy="cut it",
        polarity="avoid",
        criteria=("Calm rhythm", "Plain words"),
        genre="story",
        language="en",
        support=3,
        uses=4,
        gain=0.5,
    ),
    Lesson(
        id="l-3c4d",
        condition="When it \x1b[31mruns",
        strategy="let it",
        polarity="do",
        criteria=("Calm rhythm",),
        genre="poem",
        language="en",
    ),
]
ENTRY = MemoryEntry(
    id="e-1",
    request_hash="0",
    request="Write a story about a lighthouse keeper who has not spoken to anybody for a year.",
    genre="story",
    language="en",
    criteria_sha="1",
    kind="success",
    context_kind="bare",
    parent_id=None,
    text="The lamp.\x07",
    scores={"Calm rhythm": 7.5},
    reward=0.625,
    delta=None,
    token_ids=(1, 2),
    logprobs=(-0.5, -0.25),
    created="2026-11-23T12:00:00+00:00",
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own memory file, which is not there yet."""
    path = tmp_path / "memory.sqlite"
    monkeypatch.setenv("QUILLGRAPH_MEMORY", str(path))
    return path


async def _fill(path: Path) -> None:
    async with Memory.open(path, LexicalEmbeddings()) as memory:
        for lesson in LESSONS:
            await memory.keep_lessons([lesson], lesson.genre)
        await memory.remember([ENTRY])


@pytest.fixture
def filled(file: Path) -> Path:
    asyncio.run(_fill(file))
    return file


@pytest.mark.usefixtures("filled")
def test_lessons_and_entries_are_listed_a_line_each(quillgraph: Any) -> None:
    done = quillgraph("memory", "list", env={"COLUMNS": "40"})
    assert (done.status, done.stderr) == (0, "")
    # 0.5 gained in 4 uses
    assert done.stdout.splitlines() == [
        "l-3c4d  do     When it ␛[31mruns: let it  [poem; Calm rhythm; support 1; uses 0; not used "
        "yet]",
        "l-1a2b  avoid  When it drags: cut it  [story; Calm rhythm, Plain words; support 3; uses "
        "4; mean gain +0.125]",
        "e-1  success   0.625   Write a story about a lighthouse keeper who has not spoken to […]  "
        "[story; 2026-11-23T12:00:00+00:00]",
    ]


@pytest.mark.usefixtures("filled")
def test_a_list_may_be_of_one_genre_and_for_a_machine(quillgraph: Any) -> None:
    poems = json.loads(quillgraph("memory", "list", "--genre", "poem", "--json").stdout)
    assert poems == {"lessons": [LESSONS[1].model_dump(mode="json")], "entries": []}
    stories = json.loads(quillgraph("memory", "list", "--genre", "story", "--json").stdout)
    assert stories["entries"] == [
        {
            "id": "e-1", "kind": "success", "genre": "story", "language": "en",
            "request": ENTRY.request, "reward": 0.625, "delta": None, "created": ENTRY.created,
        }
    ]  # fmt: skip
    assert quillgraph("memory", "list", "--genre", "pome").stdout == "nothing is remembered yet\n"


@pytest.mark.usefixtures("filled")
def test_one_item_is_shown_in_full(quillgraph: Any) -> None:
    fields = {
        line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1]
        for line in quillgraph("memory", "show", "e-1").stdout.splitlines()
    }
    assert (fields["text"], fields["scores"]) == ("The lamp.␇", "Calm rhythm: 7.5")
    assert (fields["token_ids"], fields["parent_id"]) == ("2 values; --json has them", "-")
    assert "support" in quillgraph("memory", "show", "l-1a2b").stdout
    assert json.loads(quillgraph("memory", "show", "e-1", "--json").stdout) == (
        ENTRY.model_dump(mode="json")
    )


@pytest.mark.usefixtures("filled")
def test_what_is_forgotten_is_gone(quillgraph: Any) -> None:
    done = quillgraph("memory", "forget", "l-1a2b")
    assert (done.status, done.stdout) == (0, "forgot l-1a2b\n")
    assert "l-1a2b" not in quillgraph("memory", "list").stdout


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("command", ["show", "forget"])
def test_an_unknown_id_is_told_with_the_nearest(command: str, quillgraph: Any) -> None:
    done = quillgraph("memory", command, "l-1a2c")
    assert (done.status, done.stdout) == (2, "")
    assert "got 'l-1a2c'; did you mean 'l-1a2b'?" in done.error


@pytest.mark.usefixtures("filled")
def test_everything_is_exported_to_stdout_or_to_a_file(quillgraph: Any, tmp_path: Path) -> None:
    printed = json.loads(quillgraph("memory", "export").stdout)
    assert [each["id"] for each in printed["lessons"]] == ["l-3c4d", "l-1a2b"]
    assert printed["entries"] == [ENTRY.model_dump(mode="json")]
    done = quillgraph("memory", "export", "out.json", "--genre", "story")
    assert (done.status, done.stdout) == (0, "out.json: 1 lessons, 1 entries\n")
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [each["id"] for each in written["lessons"]] == ["l-1a2b"]
    done = quillgraph("memory", "export", "no/out.json")
    assert (done.status, done.stdout) == (1, "")
    assert "cannot write no/out.json: No such file" in done.error


def test_another_file_may_be_named(file: Path, quillgraph: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    asyncio.run(_fill(other))
    assert "l-1a2b" in quillgraph("memory", "list", "--path", other).stdout
    assert not file.exists()


def test_looking_at_a_memory_that_is_not_there_makes_none(file: Path, quillgraph: Any) -> None:
    done = quillgraph("memory", "list")
    assert (done.status, done.stdout) == (0, "nothing is remembered yet\n")
    empty = json.loads(quillgraph("memory", "list", "--json").stdout)
    assert empty == {"lessons": [], "entries": []}
    for words in (["export"], ["show", "e-1"], ["list", "--path", file]):
        done = quillgraph("memory", *words)
        assert (done.status, done.stdout) == (2, "")
        assert f"there is none at {file}" in done.error
    assert not list(file.parent.iterdir())
