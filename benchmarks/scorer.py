"""How far does the trained scorer agree with people, on texts that it was not trained on?

Run: python benchmarks/scorer.py --data FOLDER
     python benchmarks/scorer.py --data FOLDER --prompted vllm:smollm2-135m

FOLDER holds `WQRM_annotations.json`, `lamp_R_test.json` and `lamp_P_test.json` of Salesforce's
creativity_eval (BSD-3-Clause). The scorer is compared with the length of a text (the longer and the
shorter one preferred), with people's agreement among themselves (WQRM), and, with --prompted, with
a model that judges by the same generic rubric: one call a criterion, its score the expectation over
the score tokens, on the first clusters of each file, on which the scorer is measured too. Intervals
are cluster bootstraps: by prompt on WQRM, and on LAMP, whose files name no prompts, by families of
texts that are versions of one another. The scorer also runs the probes of `quillgraph eval judge`,
and scores every degenerate text. Results are stored in benchmarks/results/scorer.json.
"""

import argparse
import asyncio
import json
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from quillgraph.agents.judges import KIND, Judge, PromptedJudge, trained_judge
from quillgraph.agents.role import Role
from quillgraph.backends import connect
from quillgraph.backends.weights import cache_folder
from quillgraph.evals import Estimate, Loaded, Preference, RatedText, load
from quillgraph.evals.data import generic_rubric
from quillgraph.evals.judges import (
    CHANGES,
    DEGENERATE,
    HumanDataScorer,
    JudgeReport,
    ProbeResult,
    ScoredPair,
    judge_report,
    probe_change,
    probe_degenerate,
    texts_for_probes,
)
from quillgraph.evals.measures import cluster_bootstrap, family_of_each

RESULTS = Path(__file__).parent / "results" / "scorer.json"
FILES = ("WQRM_annotations.json", "lamp_R_test.json", "lamp_P_test.json")
PROBED = 40

CLUSTERS = 24
"""Clusters of each file that a prompted model scores: five calls a text."""


def grouped(data: Loaded) -> tuple[list[RatedText], list[Preference], dict[str, str]]:
    """The records, and the cluster of each."""
    texts, pairs = list(data.rated), list(data.preferences)
    if data.format == "wqrm":
        return texts, pairs, {pair.id: pair.group for pair in pairs}
    ids = [each.id for each in texts] + [pair.id for pair in pairs for _ in range(2)]
    words = [each.text for each in texts] + [t for pair in pairs for t in (pair.left, pair.right)]
    names = [f"family {number}" for number in family_of_each(words)]
    return texts, pairs, dict(zip(ids, names, strict=True))


async def measure(judge: Judge, name: str, data: Loaded, limit: int | None) -> JudgeReport:
    """Score a file, or its first clusters, and compare the scores with people's."""
    texts, pairs, cluster = grouped(data)
    clusters = set(list(dict.fromkeys(cluster.values()))[:limit])
    scorer = HumanDataScorer(judge, generic_rubric())
    scores = await scorer.texts(each for each in texts if cluster[each.id] in clusters)
    comparisons = await scorer.pairs(pair for pair in pairs if cluster[pair.id] in clusters)

    comparisons = [row.model_copy(update={"group": cluster[row.id]}) for row in comparisons]
    report = judge_report(
        [row.model_copy(update={"group": cluster[row.id]}) for row in scores],
        comparisons,
        judge=judge.name,
        criteria="generic rubric",
        data=name,
    )
    leads = {f"lead_over_the_{which}": lead(comparisons, which) for which in ("shorter", "longer")}
    return report.model_copy(update={"measures": {**report.measures, **(leads if pairs else {})}})


def lead(pairs: Sequence[ScoredPair], which: str) -> Estimate:
    """A judge's accuracy minus that of a preference by length.

    Editors shorten texts, so on these files the shorter text is the better guess.
    """
    sign = -1 if which == "shorter" else 1

    def gain(pair: ScoredPair) -> float:
        votes = pair.votes.count("left") - pair.votes.count("right")
        longer = len(pair.left.text) - len(pair.right.text)
        preference = {"left": 1, "right": -1}.get(str(pair.choice), 0)
        return _hit(preference * votes) - _hit(sign * longer * votes)

    decided = [
        pair
        for pair in pairs
        if pair.choice is not None and pair.votes.count("left") != pair.votes.count("right")
    ]
    return cluster_bootstrap(
        decided, lambda pair: pair.group, lambda rows: fmean(map(gain, rows)) if rows else None
    )


def _hit(agreement: int) -> float:
    return 0.5 if agreement == 0 else float(agreement > 0)


async def probed(judge: Judge, texts: list[str]) -> dict[str, Any]:
    """Results of the probes, and the best degenerate score beside the lowest real one."""
    scorer = HumanDataScorer(judge, generic_rubric())

    async def score(text: str) -> float | None:
        return (await scorer.score("", text))[0]

    findings: list[ProbeResult] = [await probe_change(name, texts, score) for name in CHANGES]
    findings.append(await probe_degenerate(texts, score))
    real = [value for text in texts if (value := await score(text)) is not None]
    rubric = " ".join(
        f"{each.name}. {each.description} {' '.join(each.levels.values())}"
        for each in generic_rubric()
    )
    fakes = {text[:60]: await score(text) for text in (*DEGENERATE, rubric)}
    fakes["a paragraph five times"] = await score("\n\n".join([texts[0]] * 5))
    for mark in (", ", " | "):
        fakes[f"its words with {mark!r} between them"] = await score(mark.join(texts[0].split()))
    return {
        "probes": {
            each.probe: {"effect": each.effect.model_dump(), "verdict": each.verdict}
            for each in findings
        },
        "degenerate": fakes,
        "least_real": min(real),
    }


async def ask(spec: str, data: dict[str, Loaded]) -> dict[str, Any]:
    """Have a prompted model score the first clusters of each file."""
    model = connect(spec)
    judge = PromptedJudge((Role("judge", model, 0),), samples=1)
    await model.start()
    try:
        begun = time.perf_counter()
        measured = [await measure(judge, name, each, CLUSTERS) for name, each in data.items()]
        seconds = time.perf_counter() - begun
    finally:
        await model.aclose()
    show(measured)
    reports = [each.model_dump(mode="json") for each in measured]
    return {"spec": spec, "seconds": round(seconds, 1), "reports": reports}


def show(reports: list[JudgeReport]) -> None:
    """A Markdown table."""
    print("| file | measure | value | 95 % interval | clusters |\n|---|---|---|---|---|")
    for report in reports:
        for name, each in report.measures.items():
            print(f"| {report.data} | {name} | {_cell(each)} | {each.clusters} |")
        print(f"excluded: {report.excluded}")


def _cell(estimate: Estimate) -> str:
    if estimate.value is None:
        return "– | –"
    ends = "–" if estimate.low is None else f"{estimate.low:.3f} to {estimate.high:.3f}"
    return f"{estimate.value:.3f} | {ends}"


async def score(name: str, data: dict[str, Loaded]) -> dict[str, Any]:
    """Score everything with the trained scorer, and probe it."""
    judge = trained_judge(f"{KIND}{name}", kept_in=cache_folder() / "features")
    begun = time.perf_counter()
    measured = [await measure(judge, name, each, None) for name, each in data.items()]
    seconds = time.perf_counter() - begun
    show(measured)
    part = [await measure(judge, name, each, CLUSTERS) for name, each in data.items()]
    show(part)
    texts = texts_for_probes([each.text for each in data["lamp_R_test.json"].rated], PROBED)
    probes = await probed(judge, texts)
    print(json.dumps(probes))
    return {
        "config": judge.scorer.config.model_dump(mode="json"),
        "seconds": round(seconds, 1),
        "reports": [each.model_dump(mode="json") for each in measured],
        "reports_of_the_first_clusters": [each.model_dump(mode="json") for each in part],
        **probes,
    }


async def run(options: argparse.Namespace) -> None:
    """Measure one of the two, and store it with the stored results of the other."""
    data = {name: load(options.data / name) for name in FILES}
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    about = {"date": datetime.now(UTC).date().isoformat(), "machine": platform.machine()}
    if options.prompted:
        known["prompted"] = {**about, **await ask(options.prompted, data)}
    else:
        known["scorer"] = {**about, **await score(options.scorer, data)}
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":  # vLLM starts a process that imports this file again
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the three files")
    parser.add_argument("--scorer", default="prose", help="folder, or name in the package")
    parser.add_argument("--prompted", metavar="SPEC", help="a model to ask instead")
    asyncio.run(run(parser.parse_args()))
