"""A batch of requests that share a library: what is found again, and what it tells apart.

Run:       python examples/06_criteria_library.py          (no model: a script answers)
For real:  python examples/06_criteria_library.py --backend vllm:smollm2-135m --embeddings minilm
Expected:  expected/06_criteria_library.txt: for each request how many suggestions there were and
           how many of its criteria were known, then the library, and the share that was reused.

`Library.open(path, embeddings)` keeps the criteria in a file; any LangGraph store will do here.
"""

import argparse
import asyncio
from pathlib import Path

from langgraph.store.memory import InMemoryStore

from quillgraph.agents import writing_task
from quillgraph.backends import connect, connect_embeddings
from quillgraph.evals.measures import reusability
from quillgraph.graphs import Study, cast
from quillgraph.graphs.memory import Library
from quillgraph.graphs.study import workflow as criteria

HERE = Path(__file__).parent
REQUEST = (HERE / "scripts" / "lighthouse.txt").read_text(encoding="utf-8")
AGES = ("six", "seven", "nine")


async def main(backend: str, embeddings: str) -> None:
    """Study one request after the other; each is compared with what those before it left."""
    model, places = connect(backend), connect_embeddings(embeddings)
    library = Library(InMemoryStore(), places)
    study = cast(Study, model, embeddings=places, seed=7, library=library)
    graph = criteria.build().compile()
    sets, known = [], []
    for age in AGES:
        task = writing_task(REQUEST.replace("six", age))
        done = (await graph.ainvoke({"task": task}, context=study))["criteria_set"]
        stats = done.stats["library"]
        sets.append(stats["ids"])
        known.append(stats["reused"])
        print(
            f"{age}-year-old: {len(stats['suggested'])} suggestions, "
            f"{len(stats['reused'])} of {len(stats['ids'])} criteria known"
        )
    await model.aclose()
    for each in await library.criteria():
        # how far apart two drafts come out under it; `--contrast` writes and judges such drafts
        spread = (
            "no drafts compared" if each.discrimination is None else f"{each.discrimination:.2f}"
        )
        print(f"- {each.name}: {each.uses} requests, spread of the drafts: {spread}")
    print(f"reused after the first request: {reusability(sets[1:], known[1:]):.0%}")


if __name__ == "__main__":  # vLLM starts a process that imports this file again
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default=f"scripted:{HERE / 'scripts' / 'lighthouse.yaml'}")
    parser.add_argument("--embeddings", default="lexical")
    options = parser.parse_args()
    asyncio.run(main(options.backend, options.embeddings))
