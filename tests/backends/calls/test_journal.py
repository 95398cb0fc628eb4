"""The journal gives a finished call back once, to the task that had made it."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda

from quillgraph.backends.calls.budget import Budget
from quillgraph.backends.calls.journal import Journal
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import BudgetReached, StorageError
from quillgraph.backends.messages.trace import trace_of
from quillgraph.backends.scripted import ScriptedChat


class Counting(ScriptedChat):
    """Says how many calls it has answered."""

    answered: list[int] = []  # noqa: RUF012 pydantic copies it

    def __init__(self, **fields: Any) -> None:
        super().__init__(reply=self._count, **fields)

    def _count(self, request: ChatRequest) -> str:
        self.answered.append(1)
        return f"answer {len(self.answered)}"


def at(journal: Journal, thread: str, place: str) -> Any:
    """The config of a task of a graph, as LangGraph would have it."""
    where = {"thread_id": thread, "checkpoint_ns": place}
    return {"configurable": where, "callbacks": [journal]}


async def replies_of(
    model: Counting, journal: Journal, thread: str, place: str, *questions: Any
) -> list[AIMessage]:
    """Ask from within a task of a graph."""

    async def task(_: Any) -> list[AIMessage]:
        return [await model.ainvoke(question) for question in questions]

    where = at(journal, thread, place)
    replies: list[AIMessage] = await RunnableLambda(task).ainvoke(None, where)
    return replies


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


async def test_within_a_process_equal_questions_stay_independent_samples(file: Path) -> None:
    model = Counting()
    with Journal(file) as journal:
        replies = await replies_of(model, journal, "1", "draft:a", "Why?", "Why?")
    assert [reply.text for reply in replies] == ["answer 1", "answer 2"]


async def test_the_next_process_gets_each_reply_once_and_in_order(file: Path) -> None:
    model = Counting()
    with Journal(file) as journal:
        first = await replies_of(model, journal, "1", "draft:a", "Why?", "Why?", "How?")
    with Journal(file) as journal:
        again = await replies_of(model, journal, "1", "draft:a", "Why?", "How?", "Why?", "Why?")
    assert [reply.text for reply in again] == ["answer 1", "answer 3", "answer 2", "answer 4"]
    marks = [reply.response_metadata.get("replayed", False) for reply in again]
    assert marks == [True, True, True, False]
    # the reply comes back whole: tokens, usage, and the id that it had at first
    assert trace_of(again[0]) == trace_of(first[0])
    # LangChain adds that it has cost nothing
    assert again[0].usage_metadata == {**(first[0].usage_metadata or {}), "total_cost": 0}
    assert again[0].response_metadata["journal"] == first[0].response_metadata["journal"]


@pytest.mark.parametrize(("thread", "place"), [("2", "draft:a"), ("1", "draft:b")])
async def test_another_thread_or_task_is_not_answered_with_it(
    thread: str, place: str, file: Path
) -> None:
    model = Counting()
    with Journal(file) as journal:
        await replies_of(model, journal, "1", "draft:a", "Why?")
        (reply,) = await replies_of(model, journal, thread, place, "Why?")
    assert reply.text == "answer 2"


async def test_an_option_of_the_call_is_part_of_the_question(file: Path) -> None:
    model = Counting()
    with Journal(file) as journal:
        where = at(journal, "1", "draft:a")

        async def ask(seed: int) -> str:
            return (await model.ainvoke("Why?", seed=seed)).text

        assert await RunnableLambda(ask).ainvoke(1, where) == "answer 1"
        journal.rewind("1")
        assert await RunnableLambda(ask).ainvoke(2, where) == "answer 2"
        assert await RunnableLambda(ask).ainvoke(1, where) == "answer 1"


async def test_a_thread_that_is_forgotten_asks_again(file: Path) -> None:
    model = Counting()
    with Journal(file) as journal:
        await replies_of(model, journal, "1", "draft:a", "Why?")
        await replies_of(model, journal, "2", "draft:a", "Why?")
        journal.forget("1")
        journal.rewind("2")
        assert [r.text for r in await replies_of(model, journal, "1", "draft:a", "Why?")] == [
            "answer 3"
        ]
        assert [r.text for r in await replies_of(model, journal, "2", "draft:a", "Why?")] == [
            "answer 2"
        ]


async def test_a_budget_is_spent_by_the_model_alone(file: Path) -> None:
    model = Counting()
    with Journal(file) as journal:
        (first,) = await replies_of(model, journal, "1", "draft:a", "Why?")
    budget = Budget(max_calls=1)
    with Journal(file, budget) as journal:
        await replies_of(model, journal, "1", "draft:a", "Why?")
        assert (budget.calls, budget.tokens) == (0, 0)
        (second,) = await replies_of(model, journal, "1", "draft:a", "How?")
        assert second.usage_metadata is not None
        assert (budget.calls, budget.tokens) == (1, second.usage_metadata["total_tokens"])
        with pytest.raises(BudgetReached, match="budget of 1 calls is spent"):
            await replies_of(model, journal, "1", "draft:a", "When?")
    assert first.text == "answer 1"
    assert len(model.answered) == 2


async def test_calls_outside_of_a_graph_pass_it_by(file: Path) -> None:
    model = Counting()
    for expected in ("answer 1", "answer 2"):
        with Journal(file):
            assert (await model.ainvoke("Why?")).text == expected


async def test_the_cache_that_was_set_before_serves_other_calls_and_is_set_again(
    file: Path,
) -> None:
    model, before = Counting(), InMemoryCache()
    set_llm_cache(before)
    try:
        with Journal(file) as journal, Journal(file.with_name("other.sqlite")):
            await replies_of(model, journal, "1", "draft:a", "Why?")
            replies = [await model.ainvoke("Why?") for _ in range(2)]
        assert [each.text for each in replies] == ["answer 2", "answer 2"]
        assert get_llm_cache() is before
    finally:
        set_llm_cache(None)


async def test_a_reply_from_the_journal_is_shown_to_the_model_as_the_reply_that_it_was(
    file: Path,
) -> None:
    model = Counting()
    for _ in range(2):
        with Journal(file) as journal:
            (first,) = await replies_of(model, journal, "1", "draft:a", "Why?")
            # the conversation goes on with a reply that the journal has marked as its own
            (second,) = await replies_of(model, journal, "1", "draft:a", ["Why?", first, "How?"])
    assert (first.text, second.text) == ("answer 1", "answer 2")
    assert len(model.answered) == 2


@pytest.mark.parametrize(
    "changed",
    [
        HumanMessage("gone on"),
        AIMessage("otherwise"),
        AIMessage("gone on", tool_calls=[{"name": "count", "args": {}, "id": "1"}]),
        ToolMessage("gone on", tool_call_id="1"),
    ],
)
async def test_who_said_and_called_what_is_part_of_the_question(
    changed: BaseMessage, file: Path
) -> None:
    model = Counting()
    with Journal(file) as journal:
        await replies_of(model, journal, "1", "draft:a", [AIMessage("gone on", id="1")])
        journal.rewind("1")
        (other,) = await replies_of(model, journal, "1", "draft:a", [changed])
        (same,) = await replies_of(model, journal, "1", "draft:a", [AIMessage("gone on", id="2")])
    assert (other.text, same.text) == ("answer 2", "answer 1")


async def test_runs_side_by_side_have_a_journal_each(file: Path) -> None:
    model, files = Counting(), [file, file.with_name("other.sqlite")]
    barrier = asyncio.Barrier(2)

    async def run(path: Path) -> None:
        with Journal(path) as journal:
            await barrier.wait()
            await replies_of(model, journal, "1", "draft:a", "Why?", "How?")
            await barrier.wait()

    await asyncio.gather(*map(run, files))
    assert len(model.answered) == 4
    for path in files:
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("SELECT count(*) FROM replies").fetchone() == (2,)


async def test_replies_under_the_keys_of_an_earlier_version_are_refused(file: Path) -> None:
    with Journal(file) as journal:
        await replies_of(Counting(), journal, "1", "draft:a", "Why?")
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 0")
    with pytest.raises(StorageError, match=r"expected a journal of version 1, got version 0 in"):
        Journal(file)


def test_a_file_of_another_kind_is_refused(file: Path) -> None:
    file.write_text("not a database, and long enough to be looked at" * 40, encoding="utf-8")
    with pytest.raises(StorageError, match=r"cannot use the journal .*journal\.sqlite"):
        Journal(file)


async def test_it_survives_a_process_that_never_closed_it(file: Path) -> None:
    model = Counting()
    killed = Journal(file)
    killed.__enter__()
    await replies_of(model, killed, "1", "draft:a", "Why?")
    # what is not closed is seen by the next one at once
    with sqlite3.connect(file) as other:
        assert other.execute("SELECT count(*) FROM replies").fetchone() == (1,)
    other.close()
    killed.__exit__(None, None, None)
