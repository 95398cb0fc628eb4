"""First draft, reflection loop and best-of-N at equal tokens, on the same requests and criteria.

Run: python benchmarks/criteria_quality.py, which finds the criteria, then
     python benchmarks/reflection.py
Each request is written three times: the loop's first draft, the loop's final text, and the best of
as many independent drafts as the loop's tokens pay for. The final texts are then scored by votes
that neither the loop nor the choice used: the same judge under another seed. An interrupted run
resumes where it stopped. Differences are paired by request, with 95 % bootstrap intervals.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np

from quillgraph.agents import CriteriaSet, WritingTask, writing_task
from quillgraph.agents.judgements import checked
from quillgraph.backends import Budget, ChatBackend, connect
from quillgraph.backends.errors import QuillError
from quillgraph.graphs import cast
from quillgraph.graphs.episodes import WrittenEpisode
from quillgraph.graphs.prebuilt import Assignment, Workshop, best_of_n, reflection
from quillgraph.graphs.prebuilt import judge as judging

HERE = Path(__file__).parent
REQUESTS = HERE.parent / "examples" / "requests" / "writingbench.jsonl"
RESULTS = HERE / "results"
SEED, HELD_OUT_SEED, HELD_OUT_VOTES = 7, 1007, 3
RESAMPLES = 10_000


async def compare(
    task: WritingTask, criteria_set: CriteriaSet, model: ChatBackend, text_tokens: int
) -> dict[str, Any]:
    """Write one request in three ways, and score the results with fresh votes."""
    loop_budget = Budget()
    loop = await _loop(task, criteria_set, _workshop(model, loop_budget, text_tokens))
    drafts_budget = Budget()
    contest = await _best_of_n(
        task, criteria_set, _workshop(model, drafts_budget, text_tokens), loop_budget.tokens
    )
    texts = {"first": loop.attempts[0].text, "loop": loop.text, "best_of_n": contest.text}
    scores = {name: await _scored(task, criteria_set, text, model) for name, text in texts.items()}
    return {
        "loop_tokens": loop_budget.tokens,
        "best_of_n_tokens": drafts_budget.tokens,
        "drafts": len(contest.attempts),
        "revisions": len(loop.attempts) - 1,
        "accepted": sum(attempt.decision == "accepted" for attempt in loop.attempts),
        "stopped": loop.stopped,
        "own_gain": _gain(loop),
        **{
            f"{name}_{key}": value
            for name, measures in scores.items()
            for key, value in measures.items()
        },
    }


def _workshop(model: ChatBackend, budget: Budget, text_tokens: int) -> Workshop:
    return cast(Workshop, model, seed=SEED, budget=budget, text_tokens=text_tokens)


async def _loop(task: WritingTask, criteria_set: CriteriaSet, workshop: Workshop) -> WrittenEpisode:
    start = Assignment(task=task, criteria_set=criteria_set)
    graph = reflection.build().compile()
    output = await graph.ainvoke(start, {"recursion_limit": 60}, context=workshop)
    episode: WrittenEpisode = output["episode"]
    return episode


async def _best_of_n(
    task: WritingTask, criteria_set: CriteriaSet, workshop: Workshop, tokens: int
) -> WrittenEpisode:
    start = best_of_n.BestOfNInput(task=task, criteria_set=criteria_set, tokens=tokens, n=None)
    output = await best_of_n.build().compile().ainvoke(start, context=workshop)
    episode: WrittenEpisode = output["episode"]
    return episode


async def _scored(
    task: WritingTask, criteria_set: CriteriaSet, text: str, model: ChatBackend
) -> dict[str, Any]:
    workshop = cast(Workshop, model, seed=HELD_OUT_SEED, samples=HELD_OUT_VOTES)
    start = judging.Submission(task=task, criteria_set=criteria_set, text=text)
    output = await judging.build().compile().ainvoke(start, context=workshop)
    hard, judgement = checked(criteria_set.criteria), output["judgement"]
    met = len(hard) - len(judgement.violations)
    return {
        "hard": met / len(hard) if hard else None,
        "soft": output["reward"].soft,
        "characters": len(text),
    }


def _gain(episode: WrittenEpisode) -> float | None:
    """What the loop's own judge thinks that it has gained."""
    first, best = episode.attempts[0].reward.value, episode.attempts[episode.best].reward.value
    return None if first is None or best is None else best - first


async def run(
    model: ChatBackend, rows: list[dict[str, Any]], at_once: int, text_tokens: int, finished: Path
) -> None:
    """Compare all requests, `at_once` of them at a time, and add what was found to a file."""
    gate = asyncio.Semaphore(at_once)

    async def one(row: dict[str, Any]) -> None:
        async with gate:
            task, criteria_set = writing_task(row["request"]), row["criteria_set"]
            try:
                comparison = await compare(
                    task, CriteriaSet.model_validate(criteria_set), model, text_tokens
                )
            except QuillError as error:
                comparison = {"error": f"{type(error).__name__}: {error}"}
            with finished.open("a", encoding="utf-8") as file:
                file.write(
                    json.dumps({"index": row["index"], **comparison}, ensure_ascii=False) + "\n"
                )
            print(f"{row['index']} done", flush=True)

    await model.start()
    try:
        await asyncio.gather(*map(one, rows))
    finally:
        await model.aclose()


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means of the three ways, and paired differences with their intervals."""
    good = [row for row in rows if "error" not in row]
    ways = ("first", "loop", "best_of_n")
    pairs = (("loop", "first"), ("best_of_n", "first"), ("loop", "best_of_n"))
    summary: dict[str, Any] = {"requests": len(rows), "failed": len(rows) - len(good)}
    for key in ("loop_tokens", "best_of_n_tokens", "drafts", "revisions", "accepted"):
        summary[f"mean_{key}"] = round(float(np.mean([row[key] for row in good])), 2)
    for measure in ("soft", "hard", "characters"):
        both = [row for row in good if all(row[f"{way}_{measure}"] is not None for way in ways)]
        means = {way: np.asarray([row[f"{way}_{measure}"] for row in both], float) for way in ways}
        summary[measure] = {
            "pairs": len(both),
            **{way: round(float(values.mean()), 3) for way, values in means.items()},
            **{f"{a} - {b}": interval(means[a] - means[b]) for a, b in pairs},
        }
    return summary


def interval(differences: "np.ndarray[Any, Any]") -> dict[str, float]:
    """Mean of paired differences, with its 95 % bootstrap interval over the requests."""
    generator = np.random.default_rng(0)
    draws = generator.choice(differences, (RESAMPLES, len(differences))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    mean = float(differences.mean())
    return {"mean": round(mean, 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def main() -> None:
    """Read the options, run, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="vllm:smollm2-135m")
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--text-tokens", type=int, default=200)
    options = parser.parse_args()
    name = options.backend.replace(":", "-").replace("/", "-")
    requests = {row["index"]: row["request"] for row in _rows(REQUESTS)}
    studies = [row for row in _rows(RESULTS / f"criteria_quality-{name}.jsonl") if "names" in row]
    rows = [{**study, "request": requests[study["index"]]} for study in studies][: options.limit]
    finished = RESULTS / f"reflection-{name}.jsonl"
    known = {row["index"] for row in _rows(finished)}
    if due := [row for row in rows if row["index"] not in known]:
        model = connect(options.backend, max_concurrency=32)
        asyncio.run(run(model, due, options.at_once, options.text_tokens, finished))
    summary = {"backend": options.backend, **summarise(_rows(finished))}
    print(json.dumps(summary, indent=1))
    stored = RESULTS / f"reflection-{name}.json"
    stored.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
