"""A foreign graph, written with LangGraph's public API alone, run as it is and recorded."""

import operator
from collections import Counter
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send

from quillgraph.graphs.episode import Episode
from quillgraph.graphs.running import run_graph

Ledger = list[tuple[str, str, int, str]]
"""What the graph's author noted at each call: path, node, visit, words of the prompt."""


class ForeignChat(BaseChatModel):
    """A chat model as others write it: no traces, no capabilities, synchronous."""

    @property
    def _llm_type(self) -> str:
        return "foreign"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        said = AIMessage(f"on {messages[-1].content}")
        return ChatResult(generations=[ChatGeneration(message=said)])


class Essay(TypedDict):
    request: str
    parts: list[str]
    texts: Annotated[list[str], operator.add]
    rounds: int


class Part(TypedDict):
    part: str
    round: int


class Check(TypedDict, total=False):
    request: str
    rounds: int
    facts: int


def foreign_graph(ledger: Ledger) -> StateGraph[Any, Any, Any, Any]:
    """Plan, write three parts side by side, check in a subgraph with a loop of its own, and go
    round again by a jump; the last word is had by a tool."""
    model = ForeignChat()

    def say(path: str, visit: int, words: str) -> str:
        ledger.append((path, path.rpartition("/")[2], visit, words))
        return str(model.invoke(words).content)

    def plan(state: Essay) -> dict[str, Any]:
        say("plan", state["rounds"], f"plan {state['rounds']}")
        return {"parts": ["a", "b", "c"]}

    def deal(state: Essay) -> list[Send]:
        return [Send("write", {"part": p, "round": state["rounds"]}) for p in state["parts"]]

    async def write(state: Part) -> dict[str, Any]:
        words = f"write {state['part']} {state['round']}"
        ledger.append(("write", "write", state["round"], words))
        return {"texts": [str((await model.ainvoke(words)).content)]}

    def facts(state: Check) -> dict[str, Any]:
        # two visits in each visit of the graph around it
        done = state.get("facts", 0)
        say("check/facts", 2 * state["rounds"] + done, f"facts {state['rounds']}.{done}")
        return {"facts": done + 1}

    inner = StateGraph(Check)
    inner.add_node("facts", facts)
    inner.add_edge(START, "facts")
    inner.add_conditional_edges("facts", lambda s: "facts" if s["facts"] < 2 else END)

    def turn(state: Essay) -> Command[Any]:
        say("turn", state["rounds"], f"turn {state['rounds']}")
        goto = "plan" if state["rounds"] < 1 else "polish"
        return Command(update={"rounds": state["rounds"] + 1}, goto=goto)

    @tool
    def polished(text: str) -> str:
        """Polish a text."""
        return say("polish", 0, f"polish {text}")

    def polish(state: Essay) -> dict[str, Any]:
        return {"texts": [polished.invoke({"text": "all"})]}

    graph = StateGraph(Essay)
    graph.add_node("plan", plan)
    graph.add_node("write", write, input_schema=Part)
    graph.add_node("check", inner.compile())
    graph.add_node("turn", turn)
    graph.add_node("polish", polish)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", deal, ["write"])
    graph.add_edge("write", "check")
    graph.add_edge("check", "turn")
    graph.add_edge("polish", END)
    return graph


def began() -> dict[str, Any]:
    return {"parts": [], "texts": [], "rounds": 0}


def noted(episode: Episode) -> Ledger:
    return [(c.graph, c.node, c.visit, str(c.messages[-1]["content"])) for c in episode.calls]


@pytest.mark.parametrize("is_compiled", [False, True])
async def test_the_calls_of_a_foreign_graph_are_those_of_its_authors_ledger(
    is_compiled: bool,
) -> None:
    ledger: Ledger = []
    graph = foreign_graph(ledger)
    episode = await run_graph(
        graph.compile() if is_compiled else graph, "Write of fog.", start=began()
    )
    assert episode.failure is None
    assert Counter(noted(episode)) == Counter(ledger)
    # 2 rounds of 1 plan, 3 parts, 2 facts and 1 turn, then 1 polish
    assert len(ledger) == 2 * (1 + 3 + 2 + 1) + 1
    assert [call.call for call in episode.calls] == list(range(15))
    assert {call.run for call in episode.calls} == {episode.id}
    # plan 1, write 2, check 3, turn 4, then plan 5 ...; facts is at steps 1 and 2 of its own graph
    steps = [(c.node, c.step) for c in episode.calls]
    assert [s for s in steps if s[0] != "write"] == [
        ("plan", 1), ("facts", 1), ("facts", 2), ("turn", 4),
        ("plan", 5), ("facts", 1), ("facts", 2), ("turn", 8), ("polish", 9),
    ]  # fmt: skip
    assert episode.output is not None
    assert len(episode.output["texts"]) == 2 * 3 + 1


async def test_an_episode_goes_through_json() -> None:
    episode = await run_graph(foreign_graph([]), "Write of fog.", start=began())
    assert Episode.model_validate_json(episode.model_dump_json()) == episode
