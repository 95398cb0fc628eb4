"""A backend for each role: a small model writes, a larger one judges, and who spent what is told.

Run:       python examples/05_mixed_backends.py          (no model: scripts answer)
For real:  python examples/05_mixed_backends.py --backend vllm:smollm2-135m --judge openai:MODEL
Expected:  expected/05_mixed_backends.txt: calls and tokens of each role, then the text.
"""

import argparse
import asyncio
from collections import Counter
from pathlib import Path

from quillgraph.agents import CriteriaSet
from quillgraph.backends import connect
from quillgraph.graphs import Workshop, cast, run_graph
from quillgraph.graphs.prebuilt import reflection

SCRIPTS = Path(__file__).parent / "scripts"
REQUEST = (SCRIPTS / "ferry.txt").read_text(encoding="utf-8")
CRITERIA = (SCRIPTS / "ferry.criteria.json").read_text(encoding="utf-8")


async def main(backend: str, judge: str) -> None:
    """Run the reflection loop with two backends and count per role."""
    small, large = connect(backend), connect(judge)
    workshop = cast(
        Workshop, small, roles={"judge": large, "reflector": large}, rounds=1, text_tokens=80
    )
    episode = await run_graph(
        reflection.build(),
        REQUEST,
        start={"criteria_set": CriteriaSet.model_validate_json(CRITERIA)},
        context=workshop,
    )
    await small.aclose()
    await large.aclose()
    if episode.failure:
        raise SystemExit(f"no text: {episode.failure.reason}")
    calls, tokens = Counter[str](), Counter[str]()
    for call in episode.calls:
        who = f"{call.role}, {'small' if call.role == 'writer' else 'large'} model"
        calls[who] += 1
        tokens[who] += call.prompt_tokens + call.completion_tokens
    for who, number in sorted(calls.items()):
        print(f"- {who}: {number} calls, {tokens[who]} tokens")
    print(episode.attempts[episode.best or 0].text)


if __name__ == "__main__":  # vLLM starts a process that imports this file again
    parser = argparse.ArgumentParser(description=__doc__)
    script = f"scripted:{SCRIPTS / 'ferry.yaml'}"
    parser.add_argument("--backend", default=script)
    parser.add_argument("--judge", default=script)
    options = parser.parse_args()
    asyncio.run(main(options.backend, options.judge))
