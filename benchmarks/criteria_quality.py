"""How good are the criteria of a backend? Measures without a reference, over many requests.

Run: python benchmarks/criteria_quality.py --backend vllm:smollm2-135m
Reads a JSONL file of requests, adds a line per finished request to a JSONL file in
benchmarks/results/ (an interrupted run resumes from there), then prints and stores the means.
Every study has its own recorder; several run at a time on one engine.
"""

import argparse
import asyncio
import json
import platform
import time
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from langchain_core.embeddings import Embeddings

from quillgraph.agents import CriteriaSet, writing_task
from quillgraph.agents.grounded_theory import SIMILAR
from quillgraph.backends import ChatBackend, Recorder, connect, connect_embeddings
from quillgraph.backends.embeddings import vectors
from quillgraph.backends.errors import QuillError
from quillgraph.graphs import Grounding, Study, cast
from quillgraph.graphs.study import workflow as criteria

REQUESTS = Path(__file__).parent.parent / "examples" / "requests" / "writingbench.jsonl"
RESULTS = Path(__file__).parent / "results"


async def measure(request: str, study: Study) -> dict[str, Any]:
    """Run one study and measure what came out."""
    recorder = Recorder(None, run="quality")
    begun = time.perf_counter()
    result = (
        await criteria.build()
        .compile()
        .ainvoke(
            {"task": writing_task(request)},
            {"callbacks": [recorder], "recursion_limit": 100},
            context=study,
            version="v2",
        )
    )
    state: Grounding = result.value
    criteria_set = state["criteria_set"]
    items = criteria_set.criteria
    known = {incident.id: incident for incident in state["incidents"]}
    return {
        "criteria": len(items),
        "hard": sum(criterion.kind == "hard" for criterion in items),
        "unique_names": len({c.name.casefold() for c in items}) == len(items),
        "grounded": fmean(all(_is_verbatim(state, known, i) for i in c.evidence) for c in items),
        "coverage": criteria_set.stats["coverage"],
        "duplicate_pairs": await _duplicates(criteria_set, study.embeddings),
        "dropped": len(state.get("dropped", [])),
        "codes": criteria_set.stats["codes"],
        "saturated": criteria_set.stats["saturated"],
        "strength_share": criteria_set.stats["strength_share"],
        "calls": recorder.calls,
        "completion_tokens": recorder.completion_tokens,
        "seconds": round(time.perf_counter() - begun, 1),
        "names": [criterion.name for criterion in items],
        "criteria_set": criteria_set.model_dump(mode="json"),
    }


def _is_verbatim(state: Grounding, known: dict[str, Any], incident_id: str) -> bool:
    incident = known.get(incident_id)
    if incident is None:
        return False
    drafts = {draft.id: draft.text for draft in state.get("drafts", [])}
    text = drafts.get(incident.doc_id, state["task"].request)
    return bool(text[slice(*incident.span)] == incident.text)


async def _duplicates(criteria_set: CriteriaSet, embeddings: Embeddings) -> int:
    soft = [c for c in criteria_set.criteria if c.kind == "soft"]
    near = await vectors([f"{c.name}. {c.description}" for c in soft], embeddings)
    return sum(float(near[a] @ near[b]) > SIMILAR for a, b in combinations(range(len(soft)), 2))


async def run(
    backend: ChatBackend, rows: list[dict[str, Any]], at_once: int, finished: Path
) -> None:
    """Study all requests, `at_once` of them at a time, and add the results to a file."""
    study = cast(Study, backend, embeddings=connect_embeddings("minilm"), seed=7)
    gate = asyncio.Semaphore(at_once)

    async def one(row: dict[str, Any]) -> None:
        async with gate:
            try:
                row_measures = await measure(row["request"], study)
            except QuillError as error:
                row_measures = {"error": f"{type(error).__name__}: {error}"}
            row_measures = {"index": row["index"], "language": row["language"], **row_measures}
            with finished.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row_measures, ensure_ascii=False) + "\n")
            print(f"{row['index']} done", flush=True)

    await backend.start()
    try:
        await asyncio.gather(*map(one, rows))
    finally:
        await backend.aclose()


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the requests that came to an end, and how many did not."""
    good = [row for row in rows if "error" not in row]
    names = [name.casefold() for row in good for name in row["names"]]
    numeric = (
        "criteria", "hard", "unique_names", "grounded", "coverage", "duplicate_pairs", "dropped",
        "codes", "saturated", "calls", "completion_tokens", "seconds",
    )  # fmt: skip
    means = {key: round(fmean(float(row[key]) for row in good), 3) for key in numeric}
    return {
        "requests": len(rows),
        "failed": len(rows) - len(good),
        **means,
        "fewest_criteria": min(row["criteria"] for row in good),
        "most_criteria": max(row["criteria"] for row in good),
        "coverage_below_0.9": sum(row["coverage"] < 0.9 for row in good),
        "distinct_name_share": round(len(set(names)) / len(names), 3),
    }


def main() -> None:
    """Read the options, run, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="vllm:smollm2-135m")
    parser.add_argument("--requests", type=Path, default=REQUESTS)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--at-once", type=int, default=3)
    options = parser.parse_args()
    lines = options.requests.read_text(encoding="utf-8").splitlines()[: options.limit]
    rows = [json.loads(line) for line in lines]
    RESULTS.mkdir(exist_ok=True)
    name = options.backend.replace(":", "-").replace("/", "-")
    finished = RESULTS / f"criteria_quality-{name}.jsonl"
    known = {row["index"] for row in read_rows(finished)}
    if due := [row for row in rows if row["index"] not in known]:
        backend = connect(options.backend, max_concurrency=32)
        asyncio.run(run(backend, due, options.at_once, finished))
    summary = {
        "backend": options.backend,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        **summarise(read_rows(finished)),
    }
    print(json.dumps(summary, indent=1))
    stored = RESULTS / f"criteria_quality-{name}.json"
    stored.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read what earlier runs have found."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
