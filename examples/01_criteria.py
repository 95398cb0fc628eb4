"""Criteria for a request, and the words behind each of them.

Run:       python examples/01_criteria.py          (no model: a script answers)
For real:  python examples/01_criteria.py --backend vllm:smollm2-135m --embeddings minilm
Expected:  expected/01_criteria.txt: the storyline, then a line per criterion and its words.
"""

import argparse
import asyncio
from pathlib import Path

from quillgraph.agents import writing_task
from quillgraph.backends import connect, connect_embeddings
from quillgraph.graphs import Study, cast
from quillgraph.graphs.study import provenance
from quillgraph.graphs.study import workflow as criteria

HERE = Path(__file__).parent
REQUEST = (HERE / "scripts" / "lighthouse.txt").read_text(encoding="utf-8")


async def main(backend: str, embeddings: str) -> None:
    """Run the study and walk from each criterion back to the request."""
    model = connect(backend)
    study = cast(Study, model, embeddings=connect_embeddings(embeddings), seed=7)
    graph = criteria.build().compile()
    result = await graph.ainvoke({"task": writing_task(REQUEST)}, context=study, version="v2")
    await model.aclose()
    done = result.value["criteria_set"]
    trail = provenance.trace(result.value)
    print(done.core.storyline)
    for criterion in done.criteria:
        words = provenance.words_behind(trail, criterion.id)
        print(f"- {criterion.name} ({criterion.tier}): {' / '.join(words[:3])}")


if __name__ == "__main__":  # vLLM starts a process that imports this file again
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default=f"scripted:{HERE / 'scripts' / 'lighthouse.yaml'}")
    parser.add_argument("--embeddings", default="lexical")
    options = parser.parse_args()
    asyncio.run(main(options.backend, options.embeddings))
