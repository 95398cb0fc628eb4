"""The criteria library: what it keeps, what it suggests, and what becomes of its file."""

import asyncio
import json
import logging
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langgraph.store.memory import InMemoryStore

from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.agents.memory import criterion_text
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError, StorageError
from quillgraph.graphs.memory import catalogue
from quillgraph.graphs.memory import store as store_file
from quillgraph.graphs.memory.catalogue import PROBE
from quillgraph.graphs.memory.library import Library, Passed
from quillgraph.graphs.memory.memory import Memory
from quillgraph.graphs.memory.store import LIBRARY

SEA = WritingTask(request="Write a poem about the sea.", language="en", genre="poem")
MOON = WritingTask(request="Write a poem about the moon.", language="en", genre="poem")
TALE = WritingTask(request="Write a story about a gull.", language="en", genre="story")
NOW = "2026-01-01T00:00:00+00:00"
LATER = "2026-03-01T00:00:00+00:00"


class Placed(Embeddings):
    """Places texts at given cosines to the requests; what is not placed lies across them."""

    def __init__(self, cosines: dict[str, float] | None = None) -> None:
        self.cosines = {SEA.request: 1.0, MOON.request: 1.0, TALE.request: 1.0, **(cosines or {})}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [list(self._place(text)) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return list(self._place(text))

    def _place(self, text: str) -> tuple[float, float]:
        cosine = self.cosines.get(text, 0.0)
        return cosine, (1 - cosine * cosine) ** 0.5


def criterion(name: str, **fields: Any) -> Criterion:
    defaults: dict[str, Any] = {
        "id": name, "description": "It is so.", "kind": "soft", "tier": "essential",
        "weight": 1.0, "levels": {}, "category_id": "k1", "evidence": ("i1",),
    }  # fmt: skip
    return Criterion(name=name, **{**defaults, **fields})


def passed(*names: str, scores: tuple[float, ...] = ()) -> list[Passed]:
    return [Passed(criterion(name), None, scores) for name in names]


def at(cosines: dict[str, float]) -> Placed:
    return Placed({criterion_text(criterion(name)): cosine for name, cosine in cosines.items()})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "library.sqlite"


async def suggested(library: Library, task: WritingTask) -> list[str]:
    return [each.name for each in (await library.suggest(task)).suggestions]


# --- what it suggests --------------------------------------------------------------------------


async def test_a_later_request_is_shown_the_five_nearest_of_its_genre_first() -> None:
    cosines = {"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.3, "e": 0.7, "f": 0.2}
    library = Library(InMemoryStore(), at({**cosines, "tale": 0.95}))
    await library.keep(passed(*cosines), SEA, NOW)
    await library.keep(passed("tale"), TALE, NOW)
    assert await suggested(library, MOON) == ["b", "e", "c", "d", "f"]
    another = TALE.model_copy(update={"request": MOON.request})
    assert await suggested(library, another) == ["tale", "b", "e", "c", "d"]
    suggestion = (await library.suggest(MOON)).suggestions[0]
    assert suggestion.genre == "poem"
    assert suggestion.cosine == pytest.approx(0.9, abs=1e-3)


async def test_a_request_is_not_shown_what_it_alone_has_led_to() -> None:
    library = Library(InMemoryStore(), at({"a": 0.9, "b": 0.5}))
    ids = (await library.keep(passed("a", "b"), SEA, NOW)).ids
    assert await suggested(library, SEA) == []
    await library.keep([Passed(criterion("a"), ids["a"])], MOON, NOW)
    assert await suggested(library, SEA) == ["a"]


async def test_another_language_is_shown_nothing() -> None:
    library = Library(InMemoryStore(), at({"a": 0.9}))
    await library.keep(passed("a"), SEA, NOW)
    assert await suggested(library, MOON.model_copy(update={"language": "zh"})) == []
    unknown = MOON.model_copy(update={"language": "und", "genre": ""})
    assert await suggested(library, unknown) == []


# --- what it keeps -----------------------------------------------------------------------------


async def test_near_duplicates_are_found_above_85_and_kept_apart_unless_held_to_be_the_same() -> (
    None
):
    library = Library(InMemoryStore(), at({"a": 1.0, "near": 0.87, "far": 0.84}))
    ids = (await library.keep(passed("a"), SEA, NOW)).ids
    twins = await library.twins([criterion("near"), criterion("far")], MOON)
    assert {name: twin.id for name, twin in twins.items()} == {"near": ids["a"]}
    apart = await library.keep(passed("near"), MOON, NOW)
    assert (apart.reused, len(await library.criteria())) == ((), 2)
    merged = await library.keep([Passed(criterion("near"), ids["a"])], TALE, NOW)
    assert (merged.reused, merged.ids) == (("near",), {"near": ids["a"]})
    one = await library.find(ids["a"])
    assert (one.name, one.aliases, one.uses) == ("a", ("near",), 2)


async def test_the_same_words_are_the_same_criterion_without_being_asked() -> None:
    library = Library(InMemoryStore(), at({"a": 1.0}))
    await library.keep(passed("a"), SEA, NOW)
    again = await library.keep(passed("a"), MOON, LATER)
    assert again.reused == ("a",)
    (one,) = await library.criteria()
    assert (one.uses, one.born, one.last_used) == (2, NOW, LATER)


async def test_the_same_request_again_changes_nothing_and_so_keeps_the_version() -> None:
    library = Library(InMemoryStore(), at({"a": 1.0}))
    await library.keep(passed("a", scores=(2, 5)), SEA, NOW)
    before, (one,) = (await library.suggest(MOON)).version, await library.criteria()
    again = await library.keep(passed("a", scores=(2, 5)), SEA, LATER)
    assert again.reused == ()
    # 1/9 and 4/9: deviation 1/6, counted once
    assert again.discrimination == {"a": pytest.approx(1 / 6)}
    assert (await library.suggest(MOON)).version == before
    assert await library.criteria() == (one,)


async def test_equal_histories_have_equal_versions_whatever_the_time() -> None:
    versions = []
    for now in (NOW, LATER):
        library = Library(InMemoryStore(), at({"a": 1.0, "b": 0.5}))
        versions.append((await library.suggest(SEA)).version)
        await library.keep(passed("a", "b"), SEA, now)
        versions.append((await library.suggest(SEA)).version)
    assert versions[:2] == versions[2:]
    assert versions[0] == "0"
    assert versions[1].startswith("1-")
    other = Library(InMemoryStore(), at({"a": 1.0, "b": 0.5}))
    await other.keep(passed("b"), SEA, NOW)
    assert (await other.suggest(SEA)).version != versions[1]


async def test_scores_retire_a_criterion_with_its_reason_and_bring_it_back() -> None:
    library = Library(InMemoryStore(), at({"a": 0.9, "b": 0.5}))
    ids = (await library.keep(passed("a", "b"), SEA, NOW)).ids
    for _ in range(4):
        assert await library.credit({ids["a"]: (9, 10), ids["b"]: (1, 5)}, NOW) == ()
    (retired,) = await library.credit({ids["a"]: (9, 9), "q-gone": (1, 2)}, NOW)
    assert (retired.name, retired.retired) == (
        "a", "saturated: every text was at the top in all of 5 groups",
    )  # fmt: skip
    assert await suggested(library, MOON) == ["b"]
    assert [each.name for each in await library.criteria()] == ["a", "b"]
    assert await library.credit({ids["a"]: (3, 9)}, NOW) == ()
    assert await suggested(library, MOON) == ["a", "b"]


async def test_what_is_old_is_retired_when_something_is_kept_and_told() -> None:
    library = Library(InMemoryStore(), at({"a": 0.9, "b": 0.5}))
    await library.keep(passed("a"), SEA, "2026-01-01T00:00:00+00:00")
    kept = await library.keep(passed("b"), MOON, "2026-07-01T00:00:00+00:00")
    assert [(each.name, str(each.retired)[:4]) for each in kept.retired] == [("a", "old:")]
    again = await library.keep(passed("b"), TALE, "2026-07-02T00:00:00+00:00")
    assert again.retired == ()


async def test_criteria_are_listed_by_genre_found_forgotten_and_exported() -> None:
    library = Library(InMemoryStore(), at({"a": 1.0}))
    assert await library.criteria("poem") == ()
    ids = (await library.keep(passed("a"), SEA, NOW)).ids
    await library.keep(passed("t"), TALE, NOW)
    assert [each.name for each in await library.criteria("story")] == ["t"]
    with pytest.raises(ConfigError, match="got 'pome': did you mean 'poem'"):
        await library.criteria("pome")
    exported = json.loads(json.dumps(await library.export("poem")))
    assert (exported["version"], exported["embeddings"]) == (1, "Placed")
    assert [each["id"] for each in exported["criteria"]] == [ids["a"]]
    with pytest.raises(ConfigError, match=f"did you mean '{ids['a']}'"):
        await library.forget(f"{ids['a']}x")
    await library.forget(ids["a"])
    assert [each.name for each in await library.criteria()] == ["t"]
    assert await suggested(library, MOON) == ["t"]


# --- which embeddings --------------------------------------------------------------------------


@pytest.mark.parametrize("other", [LexicalEmbeddings(), Placed({PROBE: 0.9})])
async def test_other_embeddings_are_refused_and_nothing_is_lost(
    other: Embeddings, path: Path
) -> None:
    async with Library.open(path, at({"a": 1.0})) as library:
        await library.keep(passed("a"), SEA, NOW)
    async with Library.open(path, other) as library:
        with pytest.raises(ConfigError, match=r"was made with, Placed, got .*; name those, or"):
            await library.suggest(MOON)
        # looking does not need them
        assert [each.name for each in await library.criteria()] == ["a"]
    async with Library.open(path, at({"a": 1.0})) as library:
        assert await suggested(library, MOON) == ["a"]


# --- several at once ---------------------------------------------------------------------------


async def test_what_another_has_changed_is_taken_over(path: Path) -> None:
    cosines = at({"a": 0.9, "b": 0.5, "c": 0.3})
    async with Library.open(path, cosines) as one, Library.open(path, cosines) as two:
        ids = (await one.keep(passed("a", "b"), SEA, NOW)).ids
        assert await suggested(two, MOON) == ["a", "b"]
        await one.forget(ids["a"])
        await one.keep(passed("c"), SEA, NOW)
        assert await suggested(two, MOON) == ["b", "c"]
        assert await one.suggest(MOON) == await two.suggest(MOON)


async def test_after_many_changes_of_others_everything_is_read_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MOST_CHANGES", 2)
    cosines = at({"a": 0.9, "b": 0.5, "c": 0.3})
    async with Library.open(path, cosines) as one, Library.open(path, cosines) as two:
        assert await suggested(two, MOON) == []
        for name in ("a", "b", "c"):
            await one.keep(passed(name), SEA, NOW)
        assert await suggested(two, MOON) == ["a", "b", "c"]


async def test_changes_that_nobody_would_take_over_one_by_one_are_not_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MOST_CHANGES", 2)
    cosines = at({"a": 0.9, "b": 0.5, "c": 0.3, "d": 0.2})
    async with Library.open(path, cosines) as one, Library.open(path, cosines) as two:
        for number, name in enumerate(("a", "b", "c", "d")):
            if number == 2:
                assert await suggested(two, MOON) == ["a", "b"]
            await one.keep(passed(name), SEA, NOW)
        with closing(sqlite3.connect(path)) as file:
            rows = file.execute("SELECT key FROM store WHERE prefix = 'changes'").fetchall()
        assert sorted(int(key) for (key,) in rows) == [3, 4]
        # the two that are kept are those that the other has not seen, so it needs no more
        monkeypatch.setattr(catalogue.Catalogue, "_load", None)
        assert await suggested(two, MOON) == ["a", "b", "c", "d"]


PROGRAM = f"""
import asyncio, os, signal, sys
from pathlib import Path
from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.graphs.memory.library import Library, Passed
ONE = {criterion("shared").model_dump()!r}
async def main(path, name, end):
    async with Library.open(Path(path), LexicalEmbeddings()) as library:
        for number in range(10):
            new = Criterion(**{{**ONE, "id": "x", "name": f"{{name}} {{number}}"}})
            task = WritingTask(request=f"{{name}} {{number}}", language="en", genre="poem")
            ids = (await library.keep([Passed(Criterion(**ONE), None), Passed(new, None)], task,
                "{NOW}")).ids
            await library.credit({{ids["shared"]: (1, 10)}}, "{NOW}")
        if end == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main(*sys.argv[1:]))
"""


def started(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", PROGRAM, *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


async def test_two_processes_lose_nothing_and_a_killed_one_keeps_what_it_wrote(path: Path) -> None:
    async with Library.open(path, LexicalEmbeddings()) as library:
        await library.suggest(MOON)
        ends = {"one": 0, "two": -signal.SIGKILL}
        running = {"one": started(path, "one", "live"), "two": started(path, "two", "kill")}
        for name, process in running.items():
            _, complaint = await asyncio.to_thread(process.communicate)
            assert process.returncode == ends[name], complaint
        consulted = await library.suggest(MOON)
        # 2 processes: 10 criteria each, and one that they share
        assert len(await library.criteria()) == 21
        (shared,) = [each for each in await library.criteria() if each.name == "shared"]
        assert (shared.uses, shared.groups, shared.spread) == (20, 20, 10.0)
        # each of the 40 writings is one change
        assert consulted.version.startswith("40-")


# --- the file ----------------------------------------------------------------------------------


def contents(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)


async def test_a_damaged_file_is_moved_aside_and_a_fresh_one_begun(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(path, "not a database " * 100)
    with caplog.at_level(logging.WARNING, logger="quillgraph"):
        async with Library.open(path, Placed()) as library:
            assert await library.criteria() == ()
    (aside,) = path.parent.glob("library.sqlite.damaged-*")
    assert contents(aside).startswith(b"not a database")
    assert f"library file {path} is damaged" in caplog.text


async def test_a_newer_file_and_a_memory_are_left_as_they_are(path: Path) -> None:
    async with Library.open(path, Placed()) as library:
        await library.keep(passed("a"), SEA, NOW)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=2")
    before = contents(path)
    with pytest.raises(ConfigError, match=r"expected a library file of version 1 .* version 2"):
        async with Library.open(path, Placed()):
            pass
    assert contents(path) == before
    other = path.with_name("memory.sqlite")
    async with Memory.open(other, Placed()):
        pass
    with pytest.raises(ConfigError, match=r"is a memory file; name .* QUILLGRAPH_LIBRARY"):
        async with Library.open(other, Placed()):
            pass


async def test_a_file_that_is_locked_for_long_is_told_of(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_file, "BUSY_S", 0.1)
    async with Library.open(path, at({"a": 0.9})) as library:
        await library.keep(passed("a"), SEA, NOW)
        with store_file.alone(path, LIBRARY):
            with pytest.raises(StorageError, match="another library file in QUILLGRAPH_LIBRARY"):
                await library.keep(passed("b"), SEA, NOW)
            # what only reads is not kept waiting
            assert await suggested(library, MOON) == ["a"]


@pytest.mark.parametrize("value", ["{", '{"known": 1}'])
async def test_an_item_that_is_no_criterion_is_told_of(value: str, path: Path) -> None:
    async with Library.open(path, Placed()) as library:
        await library.keep(passed("a"), SEA, NOW)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE store SET value = ? WHERE prefix = 'criteria'", (value,))
        with pytest.raises(StorageError, match=r"expected items of the form Shelved in .*sqlite"):
            await library.criteria()


async def test_it_lives_in_the_users_data_directory_unless_a_file_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("QUILLGRAPH_LIBRARY", raising=False)
    assert LIBRARY.default_path().parts[-2:] == ("quillgraph", "library.sqlite")
    monkeypatch.setenv("QUILLGRAPH_LIBRARY", "own")
    assert LIBRARY.default_path().parts[-2:] == ("quillgraph", "library.sqlite")
    monkeypatch.setenv("QUILLGRAPH_LIBRARY", "/elsewhere/l.sqlite")
    assert LIBRARY.default_path() == Path("/elsewhere/l.sqlite")
