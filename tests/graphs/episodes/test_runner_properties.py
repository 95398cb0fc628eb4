"""Of any graph: calls heard are calls made, and what waits is not complete."""

import asyncio
import contextvars
import operator
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy, Send, interrupt
from pydantic import Field

from quillgraph.backends.calls import Budget
from quillgraph.graphs.episodes.durability import durable
from quillgraph.graphs.episodes.episode import Episode
from quillgraph.graphs.episodes.runner import run_graph
from quillgraph.graphs.episodes.source import Declined

Graph = StateGraph[Any, Any, Any, Any]


class CountingChat(BaseChatModel):
    """A model that counts what reaches it."""

    asked: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "counting"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.asked.append(str(messages[-1].content))
        return ChatResult(generations=[ChatGeneration(message=AIMessage("mist"))])


class State(TypedDict, total=False):
    request: str
    ended: Annotated[list[str], operator.add]


class Within(TypedDict, total=False):
    request: str
    done: Annotated[list[str], operator.add]


class Outcome(TypedDict, total=False):
    done: Annotated[list[str], operator.add]


def in_pool(model: Any, words: list[str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(model.invoke, words))


def in_threads(model: Any, words: list[str]) -> None:
    errors: list[Exception] = []

    def ask(word: str) -> None:
        try:
            model.invoke(word)
        except Exception as error:  # noqa: BLE001  # to raise it where the node sees it
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(word,)) for word in words]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if errors:
        raise errors[0]


def in_a_loop(model: Any, words: list[str]) -> None:
    async def ask() -> None:
        for word in words:
            await model.ainvoke(word)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, ask()).result()


def in_contexts(model: Any, words: list[str]) -> None:
    for word in words:
        contextvars.Context().run(model.invoke, word)


def with_handlers(model: Any, words: list[str]) -> None:
    for word in words:
        model.invoke(word, config={"callbacks": [BaseCallbackHandler()]})


def plainly(model: Any, words: list[str]) -> None:
    for word in words:
        model.invoke(word)


WAYS = [in_pool, in_threads, in_a_loop, in_contexts, with_handlers, plainly]


@dataclass(frozen=True)
class Node:
    """A node: how it calls the model and how often, and what else it does."""

    way: Callable[[Any, list[str]], None] = plainly
    calls: int = 1
    question: int | None = None
    """None asks nothing; even ones find an answer."""
    asks_first: bool = False
    fails: int = 0
    inner: "Flow | None" = None


@dataclass(frozen=True)
class Flow:
    """Steps of nodes that run side by side; each step waits for all of the one before."""

    steps: tuple[tuple[Node, ...], ...]
    stops: frozenset[int] = frozenset()
    """Steps before which there is a breakpoint, at their first node."""
    sends: int = 0
    """How often the node before the end is sent to."""
    rounds: int = 1

    def nodes(self) -> list[Node]:
        """All nodes, also of flows within."""
        own = [node for step in self.steps for node in step]
        return own + [each for node in own if node.inner for each in node.inner.nodes()]

    def breakpoints(self) -> list[str]:
        """Nodes before which it stops."""
        return [f"s{each}n0" for each in self.stops if each < len(self.steps)]

    def has_stop(self) -> bool:
        """Whether a breakpoint is in the way."""
        return bool(self.breakpoints()) or any(
            node.inner.has_stop() for node in self.nodes() if node.inner
        )


@dataclass
class Ledger:
    """What happened, as the graph's own code saw it."""

    model: CountingChat = field(default_factory=CountingChat)
    tries: Counter[str] = field(default_factory=Counter)


def build(flow: Flow, ledger: Ledger, path: str = "") -> Graph:
    graph: Graph = StateGraph(Within, output_schema=Outcome) if path else StateGraph(State)
    key = "done" if path else "ended"
    before: list[str] = []
    for number, step in enumerate(flow.steps):
        names = [f"s{number}n{place}" for place in range(len(step))]
        for name, node in zip(names, step, strict=True):
            policy = RetryPolicy(
                initial_interval=0.0, jitter=False, max_attempts=4, retry_on=OSError
            )
            body = (
                build(node.inner, ledger, f"{path}{name}/").compile(
                    interrupt_before=[
                        f"s{each}n0" for each in node.inner.stops if each < len(node.inner.steps)
                    ]
                )
                if node.inner
                else body_of(node, f"{path}{name}", ledger)
            )
            graph.add_node(name, body, retry_policy=policy)
            if before:
                graph.add_edge(before, name)
            else:
                graph.add_edge(START, name)
        before = names
    graph.add_node("send", lambda state: {})
    graph.add_edge(before, "send")
    sent: Any = body_of(Node(), f"{path}sent", ledger)
    graph.add_node("sent", sent)
    graph.add_node("end", lambda state: {key: ["end"]})
    if flow.sends:
        graph.add_conditional_edges(
            "send", lambda state: [Send("sent", {"request": "x"})] * flow.sends, ["sent"]
        )
        graph.add_edge("sent", "end")
    else:
        graph.add_edge("send", "end")

    def again(state: Any) -> list[str]:
        first = [f"s0n{place}" for place in range(len(flow.steps[0]))]
        return first if len(state[key]) < flow.rounds else ["__end__"]

    graph.add_conditional_edges("end", again)
    return graph


def body_of(node: Node, name: str, ledger: Ledger) -> Callable[[State], State]:
    def ask(state: State) -> State:
        if node.asks_first and node.question is not None:
            interrupt(node.question)
        node.way(ledger.model, [f"{name} {number}" for number in range(node.calls)])
        ledger.tries[name] += 1
        if ledger.tries[name] <= node.fails:
            raise OSError("again")
        if not node.asks_first and node.question is not None:
            interrupt(node.question)
        return {}

    return ask


async def answer(question: int) -> str:
    if question % 2:
        raise Declined
    return "yes"


def nodes(inner: st.SearchStrategy[Flow] | None) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        way=st.sampled_from(WAYS),
        calls=st.integers(0, 3),
        question=st.none() | st.integers(0, 3),
        asks_first=st.booleans(),
        fails=st.integers(0, 2),
        inner=st.none() | inner if inner is not None else st.none(),
    )


def flows(inner: st.SearchStrategy[Flow] | None = None) -> st.SearchStrategy[Flow]:
    step = st.lists(nodes(inner), min_size=1, max_size=3).map(tuple)
    return st.builds(
        Flow,
        steps=st.lists(step, min_size=1, max_size=3).map(tuple),
        stops=st.just(frozenset[int]()) | st.frozensets(st.integers(0, 3), max_size=1),
        sends=st.integers(0, 3),
        rounds=st.integers(1, 2),
    )


# where one handler refuses a call, LangChain does not await those after it
@pytest.mark.filterwarnings("ignore:coroutine 'ahandle_event' was never awaited")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    flow=flows(flows()),
    keeps=st.sampled_from(["nothing", "memory", "folder"]),
    most=st.none() | st.integers(1, 12),
    answers=st.booleans(),
)
def test_calls_heard_are_calls_made_and_what_waits_is_not_complete(
    flow: Flow, keeps: str, most: int | None, answers: bool
) -> None:
    ledger = Ledger()
    budget = Budget(max_calls=most)
    graph = build(flow, ledger).compile(
        checkpointer=InMemorySaver() if keeps == "memory" else None,
        interrupt_before=flow.breakpoints(),
    )
    with tempfile.TemporaryDirectory() as folder:
        episode = asyncio.run(
            ran(graph, Path(folder) if keeps == "folder" else None, budget, answers)
        )
    asked = Counter(ledger.model.asked)
    heard = Counter(str(call.messages[-1]["content"]) for call in episode.calls)
    assert most is None or len(ledger.model.asked) <= most
    # what other nodes have begun when a budget ends the run may go on in their threads
    if most is None or episode.failure is None:
        assert heard == asked
    leaves = [each for each in flow.nodes() if each.inner is None and each.question is not None]
    is_asked = any(not answers or (each.question or 0) % 2 for each in leaves)
    assert episode.is_complete == (episode.failure is None)
    if is_asked or flow.has_stop():
        assert not episode.is_complete
    elif most is None:
        assert episode.is_complete, episode.failure
        assert (episode.output or {})["ended"] == ["end"] * flow.rounds


async def ran(graph: Any, folder: Path | None, budget: Budget, answers: bool) -> Episode:
    options: dict[str, Any] = {"answer": answer if answers else None}
    if folder is None:
        return await run_graph(graph, "Write of fog.", budget=budget, **options)
    with durable(graph, folder, budget) as kept:
        return await run_graph(kept, "Write of fog.", episode_id="1", **options)
