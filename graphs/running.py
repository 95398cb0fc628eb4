"""Any LangGraph graph as a source of episodes: it is run as it is, and every model call recorded.

The graph may be ours or anyone's, compiled or not. Nothing in it is changed: calls are heard
through LangChain's callbacks, so they are found in subgraphs, fan-outs, loops, jumps and tools.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.tasks import writing_task
from quillgraph.backends.budgets import Budget
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.records import CallRecord, Recorder
from quillgraph.graphs.casting import check_trainable, context_of, names_in
from quillgraph.graphs.episode import Episode, Failure

MOST_STEPS = 100
"""Supersteps after which a graph is taken for an endless loop; LangGraph's own limit is 10,007."""

Answer = Callable[[Any], Any]
"""From what a graph's `interrupt` asks to the answer it is resumed with."""


async def run_graph(
    graph: StateGraph[Any, Any, Any, Any] | Pregel[Any, Any, Any, Any],
    task: WritingTask | str,
    *,
    roles: Mapping[str, BaseChatModel] | None = None,
    trainable: Iterable[str] = (),
    context: Any = None,
    start: Mapping[str, Any] | None = None,
    episode_id: str | None = None,
) -> Episode:
    """Run a graph on a task and record it."""
    compiled = graph.compile() if isinstance(graph, StateGraph) else graph
    given = writing_task(task) if isinstance(task, str) else task
    trained = tuple(sorted(set(trainable)))
    played = context_of(compiled, roles or {}, context, Budget())
    check_trainable(trained, roles or {}, played)
    calls: list[CallRecord] = []
    name = episode_id or uuid.uuid4().hex
    with Recorder(None, name, calls.append) as recorder:
        output = await compiled.ainvoke(
            {"task": given, **(start or {})},
            {"callbacks": [recorder], "recursion_limit": MOST_STEPS},
            context=played,
        )
    return Episode(
        id=name,
        graph=compiled.get_name(),
        task=given,
        trainable=trained,
        output=output,
        calls=tuple(sorted(calls, key=lambda call: call.call)),
        stopped="the graph came to its end",
        is_complete=True,
    )
