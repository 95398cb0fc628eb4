"""A graph of another package: a letter is drafted, and warmed by a second hand."""

from dataclasses import dataclass
from typing import TypedDict

from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime


@dataclass
class Desk:
    """Who plays: each field of a chat model is a role, each number a measure."""

    writer: BaseChatModel
    friend: BaseChatModel
    rounds: int = 1


class LetterInput(TypedDict):
    """What the graph starts from."""

    request: str


class LetterOutput(TypedDict):
    """What it gives: its only string is the text that is measured and learned from."""

    letter: str


class Letter(LetterInput, LetterOutput, total=False):
    """State of the graph."""


async def draft(state: Letter, runtime: Runtime[Desk]) -> LetterOutput:
    """Write the letter."""
    return {"letter": (await runtime.context.writer.ainvoke(state["request"])).text}


async def warm(state: Letter, runtime: Runtime[Desk]) -> LetterOutput:
    """Have a friend read it and the writer go over it, as often as is asked for."""
    letter = state["letter"]
    for _ in range(runtime.context.rounds):
        advice = (await runtime.context.friend.ainvoke(f"Is this kind?\n\n{letter}")).text
        prompt = f"Write the letter again.\n\n{letter}\n\nA friend says: {advice}"
        letter = (await runtime.context.writer.ainvoke(prompt)).text
    return {"letter": letter}


def build() -> StateGraph[Letter, Desk, LetterInput, LetterOutput]:
    """Wire the graph."""
    graph = StateGraph(
        Letter, context_schema=Desk, input_schema=LetterInput, output_schema=LetterOutput
    )
    graph.add_node("draft", draft)
    graph.add_node("warm", warm)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "warm")
    graph.add_edge("warm", END)
    return graph
