"""An agent with tools, of LangGraph's own parts: run as it is, recorded, and read as rows."""

import json
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from quillgraph.agents.judgements import Reward
from quillgraph.backends.calls import continuity
from quillgraph.backends.calls.lineage import trainable
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.messages.hermes import format_call
from quillgraph.backends.scripted import TOKEN_BYTES, ScriptedChat
from quillgraph.graphs.episodes import run_graph
from quillgraph.rl.trajectories.rows import Row, trajectory

WORTH = Reward(value=0.5, soft=0.5, length=None, repetition=1.0)


@tool
def look(place: str) -> str:
    """Look at a place."""
    return f"The {place} lies under fog."


def answer(request: ChatRequest) -> str:
    """Look twice at a time, then tell what was seen."""
    seen = [turn.content for turn in request.messages if turn.role == "tool"]
    if seen:
        return f"I saw: {' '.join(seen)}"
    calls = [format_call("look", json.dumps({"place": place})) for place in ("sea", "hill")]
    return "\n".join(["Let me look.", *calls])


def agent(model: ScriptedChat) -> StateGraph[Any, Any, Any, Any]:
    bound = model.bind_tools([look])

    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node("agent", ask).add_node("tools", ToolNode([look]))
    graph.add_edge(START, "agent").add_conditional_edges("agent", tools_condition)
    return graph.add_edge("tools", "agent")


def text_of(ids: tuple[int, ...]) -> str:
    return b"".join(each.to_bytes(TOKEN_BYTES).lstrip(b"\0") for each in ids).decode()


async def test_every_call_of_an_agent_is_recorded_and_becomes_a_row_of_exact_tokens() -> None:
    model = ScriptedChat(reply=answer)
    episode = await run_graph(agent(model), "Is there fog?", trainable={"agent"})
    assert episode.failure is None
    assert [(call.node, call.visit, call.reply) for call in episode.calls] == [
        ("agent", 0, "Let me look."),
        ("agent", 1, "I saw: The sea lies under fog. The hill lies under fog."),
    ]
    first, second = episode.calls
    assert [call["function"]["name"] for call in first.tool_calls] == ["look", "look"]
    assert [message["role"] for message in second.messages] == ["user", "assistant", "tool", "tool"]
    assert second.messages[1]["tool_calls"] == first.tool_calls
    answered = [message["tool_call_id"] for message in second.messages[2:]]
    assert answered == [call["id"] for call in first.tool_calls]

    rows = trajectory(episode, WORTH).rows
    assert [tokens(row) for row in rows] == [
        (call.trace.prompt_ids, call.trace.completion_ids, call.trace.logprobs)
        for call in episode.calls
        if call.trace
    ]
    # what was sampled, calls included, and not what was read from it
    request = ChatRequest(messages=(), temperature=0, top_p=1, max_tokens=1)
    assert text_of(rows[0].completion_ids) == answer(request)
    assert "The sea lies under fog.\nThe hill lies under fog." in text_of(rows[1].prompt_ids)
    assert len(trainable(episode.calls)) == 2
    # the second carries on the first, in words: the stand-in tokens of a script fall otherwise
    assert continuity(episode.calls).as_dict() == {"clean": 0, "fork": 1, "missing": 0}


def tokens(row: Row) -> tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]:
    return row.prompt_ids, row.completion_ids, row.logprobs


async def test_two_equal_runs_of_an_agent_ask_for_the_same() -> None:
    hashes = []
    for _ in range(2):
        episode = await run_graph(agent(ScriptedChat(reply=answer)), "Fog?", trainable={"agent"})
        hashes.append([call.request_sha256 for call in episode.calls])
    assert hashes[0] == hashes[1]


async def test_a_broken_call_ends_the_loop_and_is_recorded() -> None:
    broken = '{"name": "look", "arguments": {"place": '
    model = ScriptedChat(reply=lambda _: f"So. <tool_call>{broken}")
    episode = await run_graph(agent(model), "Is there fog?", trainable={"agent"})
    (call,) = episode.calls
    assert episode.failure is None
    assert (call.reply, call.tool_calls) == ("So. ", [])
    assert [each["args"] for each in call.invalid_tool_calls] == [broken.strip()]
    assert len(trajectory(episode, WORTH).rows) == 1


@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
async def test_langgraphs_own_agent_runs_on_it() -> None:
    from langgraph.prebuilt import create_react_agent

    react = create_react_agent(ScriptedChat(reply=answer), [look])
    episode = await run_graph(react, "Is there fog?", trainable={"agent"})
    assert episode.failure is None
    assert [call.reply for call in episode.calls][1:] == [
        "I saw: The sea lies under fog. The hill lies under fog."
    ]
    assert len(trajectory(episode, WORTH).rows) == 2
