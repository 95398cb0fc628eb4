"""Memory: what is kept between episodes, and what of it comes to mind."""

import asyncio
import json
import logging
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from langgraph.store.base import PutOp
from langgraph.store.memory import InMemoryStore

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.memory import Lesson, MemoryEntry
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError, StorageError
from quillgraph.graphs.memory import store as store_file
from quillgraph.graphs.memory.memory import Memory, excerpt
from quillgraph.graphs.memory.recall import SIMILAR_REQUEST
from quillgraph.graphs.memory.store import MEMORY

REQUEST = "Write a story about a lighthouse."
TASK = WritingTask(request=REQUEST, language="en", genre="story")
NOW = "2026-11-23T12:00:00+00:00"


class Placed(Embeddings):
    """Places texts at given cosines to the request; what is not placed lies across it."""

    def __init__(self, cosines: dict[str, float]) -> None:
        self.cosines = {REQUEST: 1.0, **cosines}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [list(self._place(text)) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return list(self._place(text))

    def _place(self, text: str) -> tuple[float, float]:
        cosine = self.cosines.get(text, 0.0)
        return cosine, (1 - cosine * cosine) ** 0.5


def lesson(lesson_id: str, **fields: Any) -> Lesson:
    defaults: dict[str, Any] = {
        "condition": f"When {lesson_id}",
        "strategy": "cut it short",
        "polarity": "do",
        "criteria": ("Calm rhythm",),
        "genre": "story",
        "language": "en",
    }
    return Lesson(id=lesson_id, **{**defaults, **fields})


def entry(entry_id: str, **fields: Any) -> MemoryEntry:
    defaults: dict[str, Any] = {
        "request_hash": "0", "request": REQUEST, "genre": "story", "language": "en",
        "criteria_sha": "1", "kind": "success", "context_kind": "bare", "parent_id": None,
        "text": "The lamp.", "scores": {"Calm rhythm": 7.5}, "reward": 0.5, "delta": None,
        "created": NOW,
    }  # fmt: skip
    return MemoryEntry(id=entry_id, **{**defaults, **fields})


def in_process(cosines: dict[str, float] | None = None) -> Memory:
    return Memory(InMemoryStore(), Placed(cosines or {}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "memory.sqlite"


def ids(items: Sequence[Lesson | MemoryEntry]) -> list[str]:
    return [item.id for item in items]


# --- what comes to mind ------------------------------------------------------------------------


async def test_lessons_of_the_genre_come_first_and_then_the_nearest() -> None:
    memory = in_process({"When a": 0.2, "When b": 0.6, "When c": 0.9, "When d": 0.7})
    await memory.keep_lessons([lesson("a"), lesson("b")], "story")
    others = [lesson("c", genre="poem"), lesson("d", genre="poem")]
    await memory.keep_lessons(others, "poem")
    assert ids((await memory.recall(TASK, ["calm RHYTHM"])).lessons) == ["b", "a", "c"]
    assert ids((await memory.recall(TASK, ["Calm rhythm"], most=4)).lessons) == ["b", "a", "c", "d"]


async def test_of_lessons_that_are_equally_near_the_better_supported_comes_first() -> None:
    memory = in_process()
    pool = [lesson("a"), lesson("b", support=2), lesson("c", support=2)]
    await memory.keep_lessons(pool, "story")
    assert ids((await memory.recall(TASK, [])).lessons) == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("names", "recalled"),
    [
        (["CALM rhythm"], ["a"]),
        (["Other", "plain words"], ["b"]),
        (["Other"], []),
        ([], ["a", "b"]),
    ],
)
async def test_a_lesson_is_about_a_criterion_that_was_asked_for(
    names: list[str], recalled: list[str]
) -> None:
    memory = in_process({"When a": 0.5})
    await memory.keep_lessons([lesson("a"), lesson("b", criteria=("Plain words",))], "story")
    assert ids((await memory.recall(TASK, names)).lessons) == recalled


@pytest.mark.parametrize("kind", ["success", "error"])
@pytest.mark.parametrize(
    ("fields", "cosine", "comes"),
    [
        ({}, 0.51, True),
        ({}, 0.49, False),
        ({"genre": "poem"}, 0.9, False),
        ({"language": "zh"}, 0.9, False),
    ],
)
async def test_a_text_for_a_similar_request_of_the_same_kind_comes_to_mind(
    kind: str, fields: dict[str, str], cosine: float, comes: bool
) -> None:
    memory = in_process({"Another request": cosine})
    await memory.remember([entry("e", kind=kind, request="Another request", **fields)])
    recalled = await memory.recall(TASK, [])
    one = recalled.success if kind == "success" else recalled.error
    other = recalled.error if kind == "success" else recalled.success
    assert (one is not None, other) == (comes, None)
    assert SIMILAR_REQUEST == 0.5


async def test_the_nearest_request_wins_then_the_best_success_and_the_latest_error() -> None:
    memory = in_process({"far": 0.6})
    entries = [
        entry("s1", request="far", reward=0.9),
        entry("s2", reward=0.3),
        entry("s3", reward=0.4),
        # not read, so not a zero either: it stands behind what was
        entry("s4", reward=None),
        entry("e1", kind="error", reward=0.9, created="2026-11-01"),
        entry("e2", kind="error", reward=0.1, created="2026-11-02"),
        entry("r", kind="revision"),
    ]
    await memory.remember(entries)
    recalled = await memory.recall(TASK, [])
    assert recalled.success is not None
    assert recalled.error is not None
    assert (recalled.success.id, recalled.error.id) == ("s3", "e2")


async def test_rewards_are_compared_only_under_the_criteria_of_the_latest_success() -> None:
    memory = in_process({"far": 0.6})
    entries = [
        entry("old", criteria_sha="1", reward=0.9, created="2026-11-01"),
        entry("best", criteria_sha="2", reward=0.5, created="2026-11-02"),
        entry("latest", criteria_sha="2", reward=0.4, created="2026-11-03"),
        entry("far", criteria_sha="2", reward=0.8, created="2026-11-04", request="far"),
        entry("error", criteria_sha="1", kind="error", reward=0.7, created="2026-11-05"),
    ]
    await memory.remember(entries)
    success = (await memory.recall(TASK, [])).success
    assert success is not None
    assert success.id == "best"


async def test_an_empty_memory_has_nothing_to_say() -> None:
    recalled = await in_process().recall(TASK, ["Calm rhythm"])
    assert (recalled.lessons, recalled.success, recalled.error) == ((), None, None)


@pytest.mark.parametrize(
    ("text", "words", "cut"),
    [
        ("one two three", 3, "one two three"),
        ("one two, three four", 2, "one two […]"),
        ("灯塔很旧", 2, "灯塔很旧"),
        ("灯塔很旧，灯却很亮。", 2, "灯塔很旧 […]"),
        # a word and two characters make two words
        ("lamp 灯塔很旧", 2, "lamp 灯塔 […]"),
        ("灯塔 lamps", 1, "灯塔 […]"),
        ("", 2, ""),
        ("one", 0, " […]"),
    ],
)
def test_an_excerpt_counts_two_characters_for_a_word(text: str, words: int, cut: str) -> None:
    assert excerpt(text, words) == cut


@given(st.text(max_size=80), st.integers(0, 9))
def test_an_excerpt_is_the_text_or_its_beginning(text: str, words: int) -> None:
    cut = excerpt(text, words)
    assert cut == text or text.startswith(cut.removesuffix(" […]"))


def test_an_excerpt_has_120_words_or_240_characters_unless_told_otherwise() -> None:
    assert excerpt("word " * 121) == "word " * 119 + "word […]"
    assert excerpt("灯" * 241) == "灯" * 240 + " […]"


# --- keeping and crediting ---------------------------------------------------------------------


async def test_what_is_kept_is_there_when_the_file_is_opened_again(path: Path) -> None:
    lessons = [lesson("l-1", genre="a.b c/中")]
    entries = [entry("e-1", token_ids=(1, 2), logprobs=(-0.5, -0.25), genre="")]
    async with Memory.open(path, Placed({})) as memory:
        await memory.keep_lessons(lessons, "a.b c/中")
        await memory.remember(entries)
    async with Memory.open(path, Placed({})) as memory:
        assert (await memory.lessons(), await memory.entries()) == (tuple(lessons), tuple(entries))
        assert await memory.lessons("a") == await memory.lessons("a.b") == ()
        everything = await memory.export()
    assert json.loads(json.dumps(everything)) == {
        "version": 1,
        "lessons": [lessons[0].model_dump(mode="json")],
        "entries": [entries[0].model_dump(mode="json")],
    }


def test_a_memory_serves_one_event_loop_after_the_other(path: Path) -> None:
    store = store_file.open_store(path, MEMORY)
    memory = Memory(store, Placed({}), path=path)
    asyncio.run(memory.keep_lessons([lesson("a")], "story"))
    assert ids(asyncio.run(memory.lessons())) == ["a"]
    store.conn.close()


async def test_a_pool_is_replaced_as_a_whole_and_no_other_is_touched() -> None:
    memory = in_process()
    await memory.keep_lessons([lesson("a"), lesson("b")], "story")
    await memory.keep_lessons([lesson("c", genre="poem")], "poem")
    await memory.keep_lessons([lesson("b", support=2), lesson("d")], "story")
    assert [(each.id, each.support) for each in await memory.lessons()] == [
        ("c", 1), ("b", 2), ("d", 1),
    ]  # fmt: skip
    assert ids(await memory.lessons("poem")) == ["c"]


async def test_a_lesson_cannot_stray_into_the_pool_of_another_genre() -> None:
    with pytest.raises(ConfigError, match="expected lessons of the genre 'poem', got a of 'story'"):
        await in_process().keep_lessons([lesson("a")], "poem")


async def test_a_change_that_fails_changes_nothing_and_lets_go_of_the_lock(path: Path) -> None:
    def broken(pool: tuple[Lesson, ...]) -> tuple[tuple[Lesson, ...], None]:
        raise ValueError("broken")

    async with Memory.open(path, Placed({})) as memory:
        await memory.keep_lessons([lesson("a")], "story")
        with pytest.raises(ValueError, match="broken"):
            await memory.edit("story", broken)
        count = await memory.edit("story", lambda pool: ((*pool, lesson("b")), len(pool)))
        assert (count, ids(await memory.lessons())) == (1, ["a", "b"])


async def test_lessons_are_credited_once_with_what_revisions_gained() -> None:
    memory = in_process()
    pool = [lesson("a", uses=1, gain=0.25), lesson("b"), lesson("c")]
    await memory.keep_lessons(pool, "story")
    entries = [
        entry("e-0", lessons=("c",), delta=None),  # a first draft gained nothing over anything
        entry("e-1", lessons=("a", "b", "gone"), delta=-0.5, created=NOW),
        entry("e-2", lessons=("a",), delta=0.75, created="2026-11-23T12:00:01+00:00"),
    ]
    for known in (entries[:2], entries * 2, entries):
        await memory.remember(known)
    assert [(each.uses, each.gain, each.last_used) for each in await memory.lessons()] == [
        (3, 0.5, "2026-11-23T12:00:01+00:00"),
        (1, -0.5, NOW),
        (0, 0.0, ""),
    ]


async def test_entries_and_the_credit_of_their_lessons_are_written_at_once() -> None:
    writes = []

    class Watched(InMemoryStore):
        def batch(self, ops: Iterable[Any]) -> list[Any]:
            operations = list(ops)
            writes.append([each.key for each in operations if isinstance(each, PutOp)])
            return super().batch(operations)

    memory = Memory(Watched(), Placed({}))
    await memory.keep_lessons([lesson("a")], "story")
    writes.clear()
    await memory.remember([entry("e-1", lessons=("a",), delta=0.5)])
    assert [keys for keys in writes if keys] == [["e-1", "a"]]


async def test_entries_are_replaced_by_their_id_and_found_by_kind_and_genre() -> None:
    memory = in_process()
    await memory.remember([entry("a", created="2"), entry("b", kind="error", created="1")])
    await memory.remember([entry("a", created="2", text="New."), entry("c", genre="poem")])
    assert ids(await memory.entries()) == ["b", "a", "c"]
    assert ids(await memory.entries(["success"])) == ["a", "c"]
    assert ids(await memory.entries(["success"], "poem")) == ["c"]
    assert [each.text for each in await memory.entries(["success"], "story")] == ["New."]
    assert [each["id"] for each in (await memory.export("poem"))["entries"]] == ["c"]


async def test_more_than_a_store_gives_at_once_is_kept() -> None:
    memory = in_process()
    await memory.remember(entry(f"e-{number:02}") for number in range(25))
    assert len(await memory.entries()) == 25


async def test_lessons_and_entries_are_forgotten_by_id() -> None:
    memory = in_process()
    await memory.keep_lessons([lesson("l-1a2b")], "story")
    await memory.remember([entry("e-1")])
    with pytest.raises(ConfigError, match=r"got 'l-1a2c'; did you mean 'l-1a2b'\?"):
        await memory.forget("l-1a2c")
    await memory.forget("l-1a2b")
    await memory.forget("e-1")
    assert (await memory.lessons(), await memory.entries()) == ((), ())
    with pytest.raises(ConfigError, match="got 'e-1'; `quillgraph memory list`"):
        await memory.forget("e-1")


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["a", "a.b", "a%2Eb", "A", "", ".", "中文", "a/b"]), unique=True))
def test_genres_never_mix(genres: list[str]) -> None:
    async def kept() -> list[list[str]]:
        memory = in_process()
        for genre in genres:
            await memory.keep_lessons([lesson(f"l-{genre}", genre=genre)], genre)
        return [ids(await memory.lessons(genre)) for genre in genres]

    assert asyncio.run(kept()) == [[f"l-{genre}"] for genre in genres]


# --- several at once ---------------------------------------------------------------------------

HEAD = f"""
import asyncio, os, signal, sys
from pathlib import Path
from quillgraph.agents.memory.lesson import Lesson, MemoryEntry
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.graphs.memory.memory import Memory
ENTRY = {entry("e-1").model_dump()!r}
LESSON = {lesson("l-1").model_dump()!r}
"""

WRITER = """
async def main(path, name):
    async with Memory.open(Path(path), LexicalEmbeddings()) as memory:
        for number in range(15):
            new = Lesson(**{**LESSON, "id": f"{name}-{number}"})
            await memory.edit("story", lambda pool: ((*pool, new), None))
            made = {"id": f"{name}-{number}", "lessons": ("shared",), "delta": 0.5}
            await memory.remember([MemoryEntry(**{**ENTRY, **made})])
asyncio.run(main(*sys.argv[1:]))
"""

KILLED = """
async def main(path):
    async with Memory.open(Path(path), LexicalEmbeddings()) as memory:
        await memory.keep_lessons([Lesson(**LESSON)], "story")
        await memory.remember([MemoryEntry(**ENTRY)])
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main(*sys.argv[1:]))
"""


def started(program: str, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", HEAD + program, *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


async def test_two_processes_lose_nothing_that_either_writes(path: Path) -> None:
    async with Memory.open(path, Placed({})) as memory:
        await memory.keep_lessons([lesson("shared")], "story")
        for process in [started(WRITER, path, name) for name in ("one", "two")]:
            _, complaint = await asyncio.to_thread(process.communicate)
            assert process.returncode == 0, complaint
        # 2 processes, 15 rounds each
        written = {f"{name}-{number}" for name in ("one", "two") for number in range(15)}
        assert set(ids(await memory.lessons())) == {"shared", *written}
        assert set(ids(await memory.entries())) == written
        (shared,) = [each for each in await memory.lessons() if each.id == "shared"]
        assert (shared.uses, shared.gain) == (30, 15.0)


def test_two_processes_may_begin_a_file_at_once(path: Path) -> None:
    for process in [started(WRITER, path, name) for name in ("one", "two")]:
        _, complaint = process.communicate()
        assert process.returncode == 0, complaint


async def test_tasks_of_one_process_lose_nothing_either(path: Path) -> None:
    async with Memory.open(path, Placed({})) as one, Memory.open(path, Placed({})) as two:
        await one.keep_lessons([lesson("a")], "story")
        entries = [entry(f"e-{number}", lessons=("a",), delta=1.0) for number in range(20)]
        await asyncio.gather(
            *((one, two)[place % 2].remember([each]) for place, each in enumerate(entries))
        )
        assert [(each.uses, each.gain) for each in await one.lessons()] == [(20, 20.0)]


async def test_a_killed_process_loses_nothing_that_it_was_told_is_kept(path: Path) -> None:
    process = started(KILLED, path)
    _, complaint = process.communicate()
    assert process.returncode == -signal.SIGKILL, complaint
    async with Memory.open(path, Placed({})) as memory:
        assert ids(await memory.lessons()) == ["l-1"]
        assert ids(await memory.entries()) == ["e-1"]


# --- the file ----------------------------------------------------------------------------------


def contents(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@contextmanager
def held(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_a_file_that_is_locked_for_long_is_told_of(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_file, "BUSY_S", 0.1)
    async with Memory.open(path, Placed({})) as memory:
        with held(path):
            with pytest.raises(StorageError, match=r"another process has held .*memory\.sqlite"):
                await memory.remember([entry("e-1")])
            # what only reads is not kept waiting
            assert await memory.entries() == ()
        await memory.remember([entry("e-1")])
        assert ids(await memory.entries()) == ["e-1"]


async def test_a_lock_that_is_held_for_long_is_told_of(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_file, "BUSY_S", 0.1)
    path.parent.mkdir()
    message = r"held .*memory\.sqlite\.lock for 0\.1 s; end it"
    with store_file.alone(path, MEMORY), pytest.raises(StorageError, match=message):
        async with Memory.open(path, Placed({})):
            pass


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def _scribble(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[4096:12288] = b"\xff" * 8192
    path.write_bytes(whole)


def _text(path: Path) -> None:
    path.write_text("not a database " * 100)


@pytest.mark.parametrize("damage", [_cut, _scribble, _text])
async def test_a_damaged_file_is_moved_aside_and_a_fresh_one_begun(
    damage: Callable[[Path], None], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Memory.open(path, Placed({})) as memory:
        await memory.remember(entry(f"e-{number}", text="long " * 400) for number in range(20))
    damage(path)
    path.with_name("memory.sqlite-wal").write_bytes(b"its log")
    before = contents(path)
    with caplog.at_level(logging.WARNING, logger="quillgraph"):
        async with Memory.open(path, Placed({})) as memory:
            assert await memory.entries() == ()
            await memory.remember([entry("e-new")])
    (aside,) = path.parent.glob("memory.sqlite.damaged-????????-??????")
    assert contents(aside) == before
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == b"its log"
    (record,) = caplog.records
    assert "is damaged" in record.message
    assert str(aside) in record.message


async def test_what_was_moved_aside_is_never_overwritten(path: Path) -> None:
    for number in range(3):
        put(path, f"damage {number} " * 100)
        async with Memory.open(path, Placed({})):
            pass
    kept = [each.read_text()[:8] for each in path.parent.glob("*.damaged-*")]
    assert sorted(kept) == ["damage 0", "damage 1", "damage 2"]


async def test_damage_that_shows_later_is_told_of(path: Path) -> None:
    async with Memory.open(path, Placed({})) as memory:
        await memory.remember(entry(f"e-{number}", text="long " * 400) for number in range(20))
    async with Memory.open(path, Placed({})) as memory:
        _scribble(path)
        with pytest.raises(StorageError, match=r"cannot use the memory file .*malformed"):
            await memory.entries()


@pytest.mark.parametrize("value", ["{", '{"id": "l-1"}'])
async def test_an_item_that_is_no_lesson_is_told_of(value: str, path: Path) -> None:
    async with Memory.open(path, Placed({})) as memory:
        await memory.keep_lessons([lesson("a")], "story")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE store SET value = ?", (value,))
        with pytest.raises(StorageError, match=r"expected items of the form Lesson in .*sqlite"):
            await memory.lessons()


async def test_an_empty_file_is_begun(path: Path) -> None:
    put(path, "")
    async with Memory.open(path, Placed({})) as memory:
        assert await memory.lessons() == ()


async def test_a_file_of_a_newer_version_is_left_as_it_is(path: Path) -> None:
    async with Memory.open(path, Placed({})) as memory:
        await memory.remember([entry("e-1")])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=2")
    before = contents(path)
    with pytest.raises(ConfigError, match=r"has version 2: .*; update quillgraph"):
        async with Memory.open(path, Placed({})):
            pass
    assert contents(path) == before
    assert not list(path.parent.glob("*.damaged-*"))


async def test_a_file_of_another_program_is_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url text)")
    before = contents(path)
    with pytest.raises(ConfigError, match="belongs to another program"):
        async with Memory.open(path, Placed({})):
            pass
    assert contents(path) == before


async def test_a_file_that_cannot_be_made_is_told_of(tmp_path: Path) -> None:
    put(tmp_path / "file", "")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=r"cannot open the memory file .*QUILLGRAPH_MEMORY"):
        async with Memory.open(tmp_path / "file" / "memory.sqlite", Placed({})):
            pass
    with pytest.raises(StorageError, match="cannot use the memory file"):
        async with Memory.open(tmp_path / "folder", Placed({})):
            pass


async def test_memory_lives_in_the_users_data_directory_unless_a_file_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUILLGRAPH_MEMORY", raising=False)
    assert MEMORY.default_path().parts[-2:] == ("quillgraph", "memory.sqlite")
    monkeypatch.setenv("QUILLGRAPH_MEMORY", str(path))
    async with Memory.open(None, LexicalEmbeddings()) as memory:
        assert memory.path == path
    assert contents(path)
