"""Calls within a graph: recorded, checkpointed, paid for."""

import json
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from quillgraph.backends.calls.budget import Budget
from quillgraph.backends.calls.lineage import trainable
from quillgraph.backends.calls.record import CallRecord, Recorder
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.contract.prompts import ASK, LOOK, in_a_graph
from quillgraph.backends.errors import (
    BudgetReached,
)
from quillgraph.backends.messages.trace import trace_of


@pytest.mark.needs("token_ids", "logprobs")
async def test_a_call_in_a_graph_is_recorded_with_its_place_and_exact_tokens(
    backend: ChatBackend,
) -> None:
    records: list[CallRecord] = []
    with Recorder(None, "r", records.append) as recorder:
        await in_a_graph(backend, recorder)
    (record,) = records
    assert (record.run, record.graph, record.node, record.visit, record.call) == (
        "r", "ask", "ask", 0, 0
    )  # fmt: skip
    assert record.trace is not None
    assert record.trace.weights_version == "base"
    assert trainable(records) == (record,)


@pytest.mark.needs("token_ids")
async def test_a_trace_survives_a_checkpoint(backend: ChatBackend, tmp_path: Path) -> None:
    records: list[CallRecord] = []
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        with Recorder(None, "r", records.append) as recorder:
            graph = await in_a_graph(backend, recorder, saver=saver)
        state = await graph.aget_state({"configurable": {"thread_id": "t"}})
    trace = trace_of(state.values["messages"][-1])
    assert trace is not None
    assert trace == records[0].trace


@pytest.mark.needs("tools", "token_ids", "logprobs")
async def test_a_call_of_a_tool_is_recorded_and_survives_a_checkpoint(
    backend: ChatBackend, tmp_path: Path
) -> None:
    records: list[CallRecord] = []
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        with Recorder(None, "r", records.append) as recorder:
            graph = await in_a_graph(backend, recorder, saver=saver, most=90, **LOOK)
        state = await graph.aget_state({"configurable": {"thread_id": "t"}})
    message = state.values["messages"][-1]
    assert [each["name"] for each in message.tool_calls] == ["look"]
    assert trace_of(message) == records[0].trace is not None
    (call,) = records[0].tool_calls
    assert json.loads(call["function"]["arguments"]) == message.tool_calls[0]["args"]
    assert trainable(records) == (records[0],)


async def test_a_budget_stops_the_next_call(backend: ChatBackend) -> None:
    config: Any = {"callbacks": [Budget(max_calls=1)]}
    await backend.ainvoke(ASK, config, max_tokens=4)
    with pytest.raises(BudgetReached, match="budget of 1 calls"):
        await backend.ainvoke(ASK, config, max_tokens=4)
