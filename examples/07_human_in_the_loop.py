"""A person looks at the criteria before anything is judged by them: accept, drop or reword.

Run:       python examples/07_human_in_the_loop.py          (no model: a script answers)
For real:  the same with --ask --backend vllm:smollm2-135m --embeddings minilm
Expected:  expected/07_human_in_the_loop.txt: the criteria as found, then as the person left them.
"""

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import Any

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"  # LangGraph reads it when it is imported

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from quillgraph.agents import CriteriaSet
from quillgraph.backends import connect, connect_embeddings
from quillgraph.graphs import Grounding, Study, cast, run_graph
from quillgraph.graphs.study import workflow as criteria

SCRIPTS = Path(__file__).parent / "scripts"
REQUEST = (SCRIPTS / "lighthouse.txt").read_text(encoding="utf-8")
PREPARED = {"drop": ["k1.pitfall1"], "reword": {"k2.2": "Sentences grow shorter and shorter."}}


def review(state: Grounding) -> Grounding:
    """Wait for a person's word, then freeze what they leave under a hash of its own."""
    criteria_set = state["criteria_set"]
    descriptions = {each.id: f"{each.name}. {each.description}" for each in criteria_set.criteria}
    reply = interrupt(descriptions)
    if unknown := {*reply["drop"], *reply["reword"]} - set(descriptions):
        raise ValueError(f"no criterion {', '.join(sorted(unknown))}")
    kept = [
        each.model_copy(update={"description": reply["reword"].get(each.id, each.description)})
        for each in criteria_set.criteria
        if each.id not in reply["drop"]
    ]
    rest = criteria_set.model_dump(exclude={"criteria", "sha256"})
    return {"criteria_set": CriteriaSet(**rest, criteria=tuple(kept))}


def answer_with(ask: bool) -> Any:
    """Answer the interrupt from the terminal, or as prepared."""

    async def answer(question: dict[str, str]) -> Any:
        for name, description in question.items():
            print(f"  [{name}] {description}")
        if not ask:
            return PREPARED
        drop = await asyncio.to_thread(input, "Drop which ids? ")
        reword = await asyncio.to_thread(input, 'Reword, as {"id": "text"}, or nothing: ')
        return {"drop": drop.split(), "reword": json.loads(reword or "{}")}

    return answer


async def main(backend: str, embeddings: str, ask: bool) -> None:
    """Find criteria, stop for the person, go on with what they said."""
    graph = StateGraph(Grounding, context_schema=Study)
    graph.add_node("find", criteria.build().compile())
    graph.add_node("review", review)
    graph.add_edge(START, "find").add_edge("find", "review").add_edge("review", END)
    model = connect(backend)
    study = cast(Study, model, embeddings=connect_embeddings(embeddings), seed=7)
    print("Found:")
    episode = await run_graph(graph, REQUEST, context=study, answer=answer_with(ask))
    await model.aclose()
    if episode.criteria_set is None:
        raise SystemExit(f"no criteria: {episode.stopped}")
    print("Frozen:")
    for each in episode.criteria_set.criteria:
        print(f"  [{each.id}] {each.name}. {each.description}")


if __name__ == "__main__":  # vLLM starts a process that imports this file again
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default=f"scripted:{SCRIPTS / 'lighthouse.yaml'}")
    parser.add_argument("--embeddings", default="lexical")
    parser.add_argument("--ask", action="store_true")
    asyncio.run(main(**vars(parser.parse_args())))
