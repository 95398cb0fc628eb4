"""A debate between two writers, of whom one can be trained; the judge is an API and stays frozen.

Run:       python examples/04_debate.py          (no model: two scripts answer)
For real:  python examples/04_debate.py --backend vllm:smollm2-135m --frozen openai:gpt-5-mini
Expected:  expected/04_debate.txt: each text with its fate, the winner, and what can be trained on.
"""

import argparse
import asyncio
from pathlib import Path

from quillgraph.agents import CriteriaSet
from quillgraph.backends import connect
from quillgraph.graphs import Arena, cast, run_graph
from quillgraph.graphs.prebuilt import debate
from quillgraph.rl.trajectories import rows_of

SCRIPTS = Path(__file__).parent / "scripts"
REQUEST = (SCRIPTS / "ferry.txt").read_text(encoding="utf-8")
CRITERIA = (SCRIPTS / "ferry.criteria.json").read_text(encoding="utf-8")


async def main(backend: str, frozen: str) -> None:
    """Debate on frozen criteria, with a local writer against all the others."""
    local, api = connect(backend), connect(frozen)
    others = {"rival": api, "critic": api, "judge": api}
    arena = cast(Arena, local, roles=others, rounds=1, text_tokens=80, samples=1)
    episode = await run_graph(
        debate.build(),
        REQUEST,
        start={"criteria_set": CriteriaSet.model_validate_json(CRITERIA)},
        context=arena,
        trainable={"writer"},
    )
    await local.aclose()
    await api.aclose()
    if episode.failure:
        raise SystemExit(f"no debate: {episode.failure.reason}")
    for attempt in episode.attempts:
        reward = "none" if attempt.reward.value is None else f"{attempt.reward.value:.3f}"
        print(f"- {attempt.side}, {attempt.decision}, reward {reward}: {attempt.text[:44]}…")
    winner = episode.attempts[episode.best or 0]
    print(f"The {winner.side} wins: {winner.text}")
    trained = [call for call in episode.calls if call.role in episode.trainable]
    rows = rows_of(trained)
    tokens = sum(len(row.completion_ids) for row in rows)
    print(f"{len(rows)} of {len(episode.calls)} calls can be trained on, {tokens} tokens")


if __name__ == "__main__":  # vLLM starts a process that imports this file again
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default=f"scripted:{SCRIPTS / 'debate.writer.yaml'}")
    parser.add_argument("--frozen", default=f"scripted:{SCRIPTS / 'debate.frozen.yaml'}")
    options = parser.parse_args()
    asyncio.run(main(options.backend, options.frozen))
