"""A call is told to its listeners alike, with LangChain's ceremony and without."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage

from quillgraph.backends.calls.budget import Budget
from quillgraph.backends.calls.listener import direct_run
from quillgraph.backends.calls.record import CallRecord, Recorder
from quillgraph.backends.errors import BudgetReached, ServerFailed
from quillgraph.backends.messages.request import ChatRequest
from quillgraph.backends.scripted import ScriptedChat

PLACE = {
    "role": "writer", "attempt": 1, "langgraph_step": 2, "langgraph_checkpoint_ns": "draft:1",
}  # fmt: skip


class Foreign(BaseCallbackHandler):
    """Somebody else who listens, so that LangChain announces the call."""


class Stalled(ScriptedChat):
    """Never answers."""

    async def _complete(self, request: Any) -> Any:
        await asyncio.Event().wait()


def breaking(_: Any) -> str:
    raise ServerFailed("the engine broke")


async def record_of(model: ScriptedChat, others: list[BaseCallbackHandler]) -> CallRecord:
    """The record of one call, without what differs between any two calls."""
    records: list[CallRecord] = []
    with Recorder(None, "run", records.append) as recorder:
        config: Any = {"callbacks": [*others, recorder], "metadata": PLACE}
        try:
            reply = await model.ainvoke("Write of fog.", config, stop=["."], seed=3)
            assert isinstance(reply, AIMessage)
            assert str(reply.id).startswith("lc_run--")
        except ServerFailed:
            pass
    (record,) = records
    return record.model_copy(update={"requested": 0.0, "started": None, "latency_s": 0.0})


@pytest.mark.parametrize("reply", [lambda _: "Fog", breaking])
async def test_a_record_does_not_depend_on_who_else_listens(reply: Any) -> None:
    model = ScriptedChat(reply=reply)
    alone = await record_of(model, [])
    assert alone == await record_of(model, [Foreign()])
    assert (alone.role, alone.node, alone.attempt) == ("writer", "draft", 1)
    assert alone.options == {
        "model": model.model, "temperature": 0.7, "top_p": 1.0, "max_tokens": 512, "seed": 3,
        "stop": ["."],
    }  # fmt: skip
    assert (alone.reply, alone.error) in (
        ("Fog", None),
        (None, "ServerFailed: the engine broke"),
    )


async def test_only_calls_that_listeners_alone_hear_are_told_directly(tmp_path: Path) -> None:
    model = ScriptedChat(reply=lambda _: "Fog")
    with Recorder(tmp_path / "calls.jsonl", "run") as recorder:
        assert direct_run(model, None) is not None
        assert direct_run(model, {"callbacks": [recorder, Budget()]}) is not None
        assert direct_run(model, {"callbacks": [recorder, Foreign()]}) is None
        set_llm_cache(InMemoryCache())
        try:
            assert direct_run(model, {"callbacks": [recorder]}) is None
        finally:
            set_llm_cache(None)


async def test_a_listener_that_refuses_a_call_ends_it_before_the_model_is_asked() -> None:
    hashes: list[str] = []

    def reply(request: ChatRequest) -> str:
        hashes.append(request.sha256)
        return "Fog"

    model = ScriptedChat(reply=reply)
    records: list[CallRecord] = []
    budget = Budget(max_calls=1)
    with Recorder(None, "run", records.append, budget) as recorder:
        await model.ainvoke("one", {"callbacks": [recorder]})
        with pytest.raises(BudgetReached):
            await model.ainvoke("two", {"callbacks": [recorder]})
    assert (len(hashes), len(records), budget.calls) == (1, 1, 1)


async def test_a_call_that_one_refuses_is_no_call_to_those_that_heard_of_it_before() -> None:
    model = ScriptedChat(reply=lambda _: "Fog")
    records: list[CallRecord] = []
    outer_budget = Budget(max_calls=9)
    with (
        Recorder(None, "outer", records.append, outer_budget) as outer,
        Recorder(None, "inner", budget=Budget(max_calls=1)) as inner,
    ):
        both: Any = {"callbacks": [outer, inner]}
        await model.ainvoke("one", both)
        with pytest.raises(BudgetReached):
            await model.ainvoke("two", both)
        assert (outer.failed, inner.failed) == (0, 0)
    assert [(record.reply, record.error) for record in records] == [("Fog", None)]


async def test_a_call_that_time_stopped_has_been_made() -> None:
    model = Stalled(reply=lambda _: "Fog")
    records: list[CallRecord] = []
    with Recorder(None, "run", records.append) as recorder:
        with pytest.raises(BudgetReached):
            await model.ainvoke("one", {"callbacks": [recorder, Budget(max_seconds=0.05)]})
        assert recorder.failed == 1
    message = "BudgetReached: the 0.05 s of the run are over; raise --timeout"
    assert [record.error for record in records] == [message]


async def test_a_cancelled_call_is_recorded_when_its_run_ends() -> None:
    records: list[CallRecord] = []
    with Recorder(None, "run", records.append) as recorder:
        call = asyncio.ensure_future(
            Stalled(reply=lambda _: "Fog").ainvoke("one", {"callbacks": [recorder]})
        )
        await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert records == []
    assert [record.error for record in records] == ["the run ended before the reply came"]
