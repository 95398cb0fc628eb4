"""Do a small model's criteria match people's? The table of `quillgraph eval criteria`.

Run: python benchmarks/criteria_table.py --data FOLDER                (all 199 requests)
     python benchmarks/criteria_table.py --data FOLDER --limit 4      (4 of each file)
     python benchmarks/criteria_table.py --data FOLDER --without axial      (one more column)

FOLDER holds `biggen/biggen_writing_like.json` (120 writing tasks with a criterion made by hand) and
`writingbench/writingbench_literature_short.json` (79 requests with five criteria of a language
model each). The whole study is compared with one prompt to the same model and the fixed rubric.
Results are added to files in --work, one line at a time; an interrupted run resumes from there.
The embeddings are English, so the Chinese requests of WritingBench have a table of their own.
Results are stored in benchmarks/results/criteria_table-<backend>.json and .md.
"""

import argparse
import asyncio
import json
import platform
import random
import time
from pathlib import Path
from typing import Any

from quillgraph.agents.role import Role
from quillgraph.agents.text import language_of
from quillgraph.backends import ChatBackend, Recorder, connect, connect_embeddings
from quillgraph.evals import load
from quillgraph.evals.criteria import (
    CriteriaComparison,
    CriteriaReport,
    CriteriaResults,
    CriteriaSource,
    criteria_report,
    generic_source,
    human_source,
    one_shot_source,
    sources_markdown,
    study_source,
)
from quillgraph.evals.data import Case, cases_of
from quillgraph.graphs import Study, cast
from quillgraph.graphs.study import STAGES

RESULTS = Path(__file__).parent / "results"
FILES = {
    "biggen": "biggen/biggen_writing_like.json",
    "writingbench": "writingbench/writingbench_literature_short.json",
}
SEED, OTHER_SEED = 7, 1_000_003


def sources(backend: ChatBackend, options: argparse.Namespace) -> list[CriteriaSource]:
    """The columns of the table."""
    embeddings = connect_embeddings("minilm")
    seeds = [SEED + run * OTHER_SEED for run in range(options.runs)]
    studies = [cast(Study, backend, embeddings=embeddings, seed=seed) for seed in seeds]
    return [
        study_source(studies),
        *(study_source(studies, [stage]) for stage in options.without),
        one_shot_source([Role("one_shot", backend, seed) for seed in seeds]),
        generic_source(),
        human_source(),
    ]


def chosen(data: Path, limit: int | None) -> dict[str, tuple[Case, ...]]:
    """The requests of each file; a limit takes the first ones, so raising it keeps results."""
    files = {}
    for name, file in FILES.items():
        cases = list(cases_of([load(data / file)]).cases)
        random.Random(SEED).shuffle(cases)
        files[name] = tuple(cases[:limit])
    return files


async def run(options: argparse.Namespace, files: dict[str, tuple[Case, ...]]) -> dict[str, Any]:
    """Do the missing work, then measure."""
    backend = connect(options.backend, max_concurrency=32)
    embeddings, columns = connect_embeddings("minilm"), sources(backend, options)
    recorder, begun = Recorder(None, "table"), time.perf_counter()
    results_of = {name: CriteriaResults.within(options.work / name) for name in files}
    before = sum(len(results.elicited.rows) for results in results_of.values())
    await backend.start()
    try:
        for name, cases in files.items():
            work = CriteriaComparison(
                columns, embeddings, results_of[name], judge=None, runs=options.runs,
                at_once=options.at_once, listeners=[recorder],
            )  # fmt: skip
            await work.run(cases)
    finally:
        await backend.aclose()
    costs = {
        "seconds": round(time.perf_counter() - begun, 1),
        "calls": recorder.calls,
        "sets_of_criteria": sum(len(each.elicited.rows) for each in results_of.values()) - before,
    }
    tables = {
        name: await criteria_report(
            cases, [each.name for each in columns], results_of[name.split()[0]], embeddings,
            runs=options.runs, seed=SEED, excluded={}, data=name, model=options.backend, judge=None,
            confirmed=False, placed_by="minilm",
        )
        for name, cases in by_language(files).items()
    }  # fmt: skip
    return {"this_time": costs, "tables": tables}


def by_language(files: dict[str, tuple[Case, ...]]) -> dict[str, tuple[Case, ...]]:
    """Requests in other scripts apart: the embeddings cannot compare them."""
    groups = {}
    for name, cases in files.items():
        english = tuple(c for c in cases if language_of(c.request.request) == "en")
        others = tuple(c for c in cases if c not in english)
        groups[f"{name} (English)"] = english
        if others:
            groups[f"{name} (other languages)"] = others
    return {name: cases for name, cases in groups.items() if cases}


def store(options: argparse.Namespace, report: dict[str, Any]) -> None:
    """Write the tables as JSON and as Markdown."""
    tables: dict[str, CriteriaReport] = report["tables"]
    summary = {
        "backend": options.backend,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "this_time": report["this_time"],
        "tables": {name: table.model_dump(mode="json") for name, table in tables.items()},
    }
    name = options.backend.replace(":", "-").replace("/", "-")
    stored = RESULTS / f"criteria_table-{name}.json"
    stored.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    markdown = "\n".join(sources_markdown(table) for table in tables.values())
    stored.with_suffix(".md").write_text(markdown, encoding="utf-8")
    print(markdown)
    print(json.dumps(report["this_time"]))


def main() -> None:
    """Read the options, run, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backend", default="vllm:smollm2-135m")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--without", action="append", choices=STAGES, default=[])
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("runs/criteria_table"))
    options = parser.parse_args()
    store(options, asyncio.run(run(options, chosen(options.data, options.limit))))


if __name__ == "__main__":
    main()
