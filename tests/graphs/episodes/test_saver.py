"""A study that is kept in a checkpoint comes back as it was."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde import _msgpack
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from quillgraph.agents.requests import writing_task
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ServerFailed
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.study import workflow as criteria
from quillgraph.graphs.study.state import Study

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
REQUEST = (SCRIPTS / "lighthouse.txt").read_text(encoding="utf-8")

THREAD: Any = {"configurable": {"thread_id": "lighthouse"}}


@pytest.fixture(params=["memory", "sqlite"])
async def saver(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Both kinds of checkpoints."""
    if request.param == "memory":
        yield InMemorySaver()
        return
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "study.sqlite")) as sqlite:
        yield sqlite


def study(model: ScriptedChat | None = None) -> Study:
    chat = model or ScriptedChat(path=SCRIPTS / "lighthouse.yaml")
    return cast(Study, chat, embeddings=LexicalEmbeddings())


def start() -> Any:
    return {"task": writing_task(REQUEST)}


async def test_all_that_a_study_holds_survives_a_checkpoint(
    saver: BaseCheckpointSaver[Any], caplog: pytest.LogCaptureFixture
) -> None:
    # without it, LangGraph lets any class through with a warning, once per process
    assert _msgpack.STRICT_MSGPACK_ENABLED
    with caplog.at_level(logging.WARNING):
        graph = criteria.build().compile(checkpointer=saver)
        state = await graph.ainvoke(start(), THREAD, context=study())
        kept = await graph.aget_state(THREAD)
    assert caplog.records == []
    # MessagePack knows one kind of sequence, so the state's own tuples come back as lists
    assert kept.values == {
        name: list(value) if isinstance(value, tuple) else value for name, value in state.items()
    }
    assert kept.values["criteria_set"].sha256 == state["criteria_set"].sha256
    assert kept.next == ()


async def test_a_study_that_broke_goes_on_from_its_last_stage(
    saver: BaseCheckpointSaver[Any],
) -> None:
    script = ScriptedChat(path=SCRIPTS / "lighthouse.yaml")
    systems: list[str] = []
    broken = True

    def reply(request: ChatRequest) -> str:
        role = request.messages[0].content[:20]
        systems.append(role)
        if broken and role.startswith("You finish a study"):
            raise ServerFailed("the engine broke")
        return script._by_rule(request)

    graph = criteria.build().compile(checkpointer=saver)
    model = ScriptedChat(reply=reply)
    with pytest.raises(ServerFailed):
        await graph.ainvoke(start(), THREAD, context=study(model))
    kept = await graph.aget_state(THREAD)
    assert kept.next == ("selective_coding",)
    assert len(kept.values["categories"]) == 4
    broken = False
    systems.clear()
    state = await graph.ainvoke(None, THREAD, context=study(model))
    assert not any(role.startswith(("You are a", "You read", "You group")) for role in systems)
    whole = await criteria.build().compile().ainvoke(start(), context=study())
    assert state["criteria_set"].sha256 == whole["criteria_set"].sha256
