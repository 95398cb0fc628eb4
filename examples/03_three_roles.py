"""A graph of your own: a planner, a writer and an editor, and the record of who said what.

Run:       python examples/03_three_roles.py          (no model: a script answers)
For real:  python examples/03_three_roles.py --backend vllm:smollm2-135m
Expected:  expected/03_three_roles.txt: three calls with their roles, then the text.
"""

import argparse
import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from quillgraph.backends import connect
from quillgraph.graphs import run_graph

SCRIPT = Path(__file__).parent / "scripts" / "newsroom.yaml"


@dataclass
class Newsroom:
    """Who plays: each field is a role."""

    planner: BaseChatModel
    writer: BaseChatModel
    editor: BaseChatModel


class Piece(TypedDict, total=False):
    """What passes through the graph."""

    request: str
    outline: str
    text: str


async def plan(state: Piece, runtime: Runtime[Newsroom]) -> Piece:
    """Outline the piece."""
    reply = await runtime.context.planner.ainvoke(f"Outline in three points: {state['request']}")
    return {"outline": reply.text}


async def write(state: Piece, runtime: Runtime[Newsroom]) -> Piece:
    """Write it."""
    prompt = f"{state['request']}\nFollow this outline:\n{state['outline']}"
    return {"text": (await runtime.context.writer.ainvoke(prompt)).text}


async def edit(state: Piece, runtime: Runtime[Newsroom]) -> Piece:
    """Go over it."""
    prompt = f"Edit this text; give the text alone.\n\n{state['text']}"
    return {"text": (await runtime.context.editor.ainvoke(prompt)).text}


async def main(backend: str) -> None:
    """Wire the graph, run it, and say what was recorded."""
    graph = StateGraph(Piece, context_schema=Newsroom).add_sequence([plan, write, edit])
    graph.add_edge(START, "plan").add_edge("edit", END)
    model = connect(backend)
    episode = await run_graph(
        graph,
        "A note to the neighbours about the piano, in three sentences.",
        roles={"planner": model, "writer": model, "editor": model},
        trainable={"writer"},
    )
    await model.aclose()
    for call in episode.calls:
        kind = "trainable" if call.role in episode.trainable else "frozen"
        print(f"- {call.role} in node {call.node}, {kind}: {call.completion_tokens} tokens")
    print((episode.output or {})["text"])


if __name__ == "__main__":  # vLLM starts a process that imports this file again
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default=f"scripted:{SCRIPT}")
    asyncio.run(main(parser.parse_args().backend))
