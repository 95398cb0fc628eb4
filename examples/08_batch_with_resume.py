"""A batch from a JSONL file that stops half-way, and goes on without repeating a finished call.

Run:       python examples/08_batch_with_resume.py          (no model: a script answers)
For real:  python examples/08_batch_with_resume.py --backend vllm:smollm2-135m
Expected:  expected/08_batch_with_resume.txt: where the first pass stops, and what the second adds.
The command does the same: `quillgraph run GRAPH --input FILE.jsonl`, then `--resume RUN_DIR`.
"""

import argparse
import asyncio
import json
import os
import tempfile
from itertools import pairwise
from pathlib import Path

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"  # LangGraph reads it when it is imported

from langgraph.graph import END, START, StateGraph

from quillgraph.agents import CriteriaSet
from quillgraph.backends import Budget, ChatBackend, connect
from quillgraph.graphs import Workshop, cast, durable, run_graph
from quillgraph.graphs.prebuilt import Reflecting
from quillgraph.graphs.prebuilt import nodes as pieces

HERE = Path(__file__).parent
CRITERIA = (HERE / "scripts" / "ferry.criteria.json").read_text(encoding="utf-8")
BATCH = HERE / "requests" / "ferries.jsonl"


def written_twice() -> StateGraph[Reflecting, Workshop, Reflecting, Reflecting]:
    """A draft, three votes of a judge, a reflection, a revision: six calls by the script.

    A draft that breaks what the request demands gets no votes, so a real model may need fewer; each
    soft criterion of one that is voted on is three calls.
    """
    graph = StateGraph(Reflecting, context_schema=Workshop)
    graph.add_node("draft", pieces.draft(max_tokens=60))
    graph.add_node("judge", pieces.judge())
    graph.add_node("reflect", pieces.reflect())
    graph.add_node("revise", pieces.revise(max_tokens=60))
    for one, other in pairwise((START, "draft", "judge", "reflect", "revise", END)):
        graph.add_edge(one, other)
    return graph


async def one_pass(folder: Path, model: ChatBackend, budget: Budget) -> None:
    """Run what the folder has not finished."""
    start = {"criteria_set": CriteriaSet.model_validate_json(CRITERIA)}
    workshop = cast(Workshop, model, samples=3)
    with durable(written_twice(), folder, budget) as graph:
        for number, line in enumerate(BATCH.read_text(encoding="utf-8").splitlines(), 1):
            request, before = json.loads(line)["request"], budget.calls
            episode = await run_graph(
                graph, request, start=start, context=workshop, episode_id=f"line {number}"
            )
            new_calls, held = budget.calls - before, len(episode.calls)
            ending = f"stopped, {episode.failure.reason}" if episode.failure else "done"
            print(f"- line {number}: {new_calls} calls made, {held} in its episode; {ending}")
            if episode.failure:
                break


async def main(backend: str) -> None:
    """Stop after nine calls, then go on."""
    model = connect(backend)
    with tempfile.TemporaryDirectory() as folder:
        print("First pass:")
        await one_pass(Path(folder), model, Budget(max_calls=9))
        print("Second pass:")
        await one_pass(Path(folder), model, Budget())
    await model.aclose()


if __name__ == "__main__":  # vLLM starts a process that imports this file again
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default=f"scripted:{HERE / 'scripts' / 'ferries.yaml'}")
    asyncio.run(main(parser.parse_args().backend))
