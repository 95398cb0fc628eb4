"""A draft, its judgement, and revisions that are accepted or rolled back.

Run:       python examples/02_reflection.py          (no model: a script answers)
For real:  python examples/02_reflection.py --backend vllm:smollm2-135m
Expected:  expected/02_reflection.txt: four attempts and their fates, then the text that stands.
"""

import argparse
import asyncio
import json
from pathlib import Path

from quillgraph.agents import CriteriaSet, writing_task
from quillgraph.backends import connect
from quillgraph.graphs import Assignment, Workshop, cast
from quillgraph.graphs.prebuilt import reflection

SCRIPTS = Path(__file__).parent / "scripts"
REQUEST = (SCRIPTS / "ferry.txt").read_text(encoding="utf-8")
CRITERIA = json.loads((SCRIPTS / "ferry.criteria.json").read_text(encoding="utf-8"))


async def main(backend: str) -> None:
    """Run the loop on frozen criteria and tell what happened."""
    model = connect(backend)
    start = Assignment(
        task=writing_task(REQUEST), criteria_set=CriteriaSet.model_validate(CRITERIA)
    )
    workshop = cast(Workshop, model, seed=0, text_tokens=80)
    done = await reflection.build().compile().ainvoke(start, context=workshop)
    await model.aclose()
    episode = done["episode"]
    for attempt in episode.attempts:
        reward = "none" if attempt.reward.value is None else f"{attempt.reward.value:.3f}"
        print(f"- {attempt.decision}, reward {reward}; {'; '.join(attempt.reasons) or 'stands'}")
    print(episode.text)


if __name__ == "__main__":  # vLLM starts a process that imports this file again
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default=f"scripted:{SCRIPTS / 'ferry.yaml'}")
    asyncio.run(main(parser.parse_args().backend))
