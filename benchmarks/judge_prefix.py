"""Is a judged text read once? Prefix-cache hits, calls, tokens and time of both judging modes.

Run: python benchmarks/judge_prefix.py
Judges 8 texts under 7 criteria each, one criterion a call and 7 in one shuffled call, on an
in-process vLLM engine with its own counters on, and stores what the engine counted in
benchmarks/results/. The hit rate is shown with the highest that the engine's blocks allow, where
each block of a prompt is read once. Agreement of the modes is Spearman's over all
pairs of text and criterion. Last, each text is judged under 20 seeds with the default votes: the
standard error of a reward, which a rise should exceed twice.
"""

import argparse
import asyncio
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.runnables.config import var_child_runnable_config

from quillgraph.agents import Criterion, Role, WritingTask, writing_task
from quillgraph.agents.domain import LEVELS
from quillgraph.agents.judges import SAMPLES, Ballot, Exhibit, PromptedJudge, weighted_score
from quillgraph.agents.writers import Precedents, write_draft
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.vllm import VllmChat
from quillgraph.backends.weights import resolve

SEEDS = 20
RESULTS = Path(__file__).parent / "results"
REQUEST = "A story of about two hundred words on a lighthouse keeper who has lost her watch."
ASPECTS = {
    "Place": "the lighthouse can be seen, heard and touched",
    "Loss": "the lost watch matters more with every line",
    "Character": "the keeper wants something and does something about it",
    "Mood": "one mood holds from the first line to the last",
    "Economy": "no word could be taken out",
    "Surprise": "something happens that one did not expect and then believes",
    "Ending": "the last line changes what the first one meant",
}
HOW_MUCH = ("hardly at all", "here and there", "in half of it", "nearly everywhere", "everywhere")


def criteria() -> list[Criterion]:
    """Seven criteria with levels."""
    return [
        Criterion(
            id=f"k{number}", name=name, description=f"In the text, {what}.", kind="soft",
            tier="important", weight=0.7, category_id=None, evidence=("i1",),
            levels={band: f"{what}: {much}" for band, much in zip(LEVELS, HOW_MUCH, strict=True)},
        )
        for number, (name, what) in enumerate(ASPECTS.items(), 1)
    ]  # fmt: skip


def counters() -> dict[str, float]:
    """The engine's counters: tokens looked up in its prefix cache, and tokens hit."""
    from vllm.v1.metrics.reader import get_metrics_snapshot

    metrics = ("vllm:prefix_cache_queries", "vllm:prefix_cache_hits")
    counts: dict[str, float] = dict.fromkeys(metrics, 0.0)
    for metric in get_metrics_snapshot():
        if metric.name in metrics:
            counts[metric.name] += metric.value
    return counts


def highest_hit_rate(prompts: list[list[int]], block: int) -> float:
    """Share of tokens in leading whole blocks seen before: the most that the cache can hit."""
    known: set[tuple[int, ...]] = set()
    hits = 0
    for prompt in prompts:
        # at least one token is computed: sampling needs its logits
        ends = range(block, len(prompt), block)
        whole = [tuple(prompt[:end]) for end in ends]
        hits += block * sum(prefix in known for prefix in whole)
        known.update(whole)
    return hits / sum(map(len, prompts))


def block_size(model: VllmChat) -> int:
    """How many tokens the engine caches at a time."""
    return int(model._engine.vllm_config.cache_config.block_size)


async def measure(
    task: WritingTask, texts: list[str], model: VllmChat, per_call: int
) -> tuple[dict[str, Any], list[Ballot]]:
    """Judge all texts at once in one mode; returns the engine's counts and the ballots."""
    budget = Budget()
    judge = PromptedJudge((Role("judge", model, 7, budget),), 1, criteria_per_call=per_call)
    # cache entries of the other mode must not count for this one
    await model._engine_loop().run(model._engine.reset_prefix_cache())
    record = Path(tempfile.mkdtemp()) / "calls.jsonl"
    before, begun = counters(), time.perf_counter()
    with Recorder(record, run="judge_prefix") as recorder:
        heard = var_child_runnable_config.set({"callbacks": [recorder]})
        ballots = await asyncio.gather(*(judge.judge(task, text, criteria()) for text in texts))
        var_child_runnable_config.reset(heard)
    seconds = time.perf_counter() - begun
    calls = map(json.loads, record.read_text(encoding="utf-8").splitlines())
    prompts = [call["trace"]["prompt_ids"] for call in calls]
    after = counters()
    queries, hits = (after[name] - before[name] for name in before)
    verdicts = sum(len(ballot.verdicts) for ballot in ballots)
    return {
        "criteria_per_call": per_call,
        "calls": budget.calls,
        "verdicts": verdicts,
        "missing": sum(len(ballot.missing) for ballot in ballots),
        "prompt_tokens": int(queries),
        "cached_tokens": int(hits),
        "hit_rate": round(hits / queries, 4),
        "highest_hit_rate": round(highest_hit_rate(prompts, block_size(model)), 4),
        "block": block_size(model),
        "prompt_tokens_per_verdict": round(queries / verdicts, 1),
        "computed_tokens_per_verdict": round((queries - hits) / verdicts, 1),
        "seconds_per_verdict": round(seconds / verdicts, 4),
        "seconds": round(seconds, 2),
    }, list(ballots)


def agreement(one: list[Ballot], several: list[Ballot]) -> dict[str, float | None]:
    """Agreement of the modes over the pairs of text and criterion that both scored."""
    pairs = [
        (left.score, right.score)
        for a, b in zip(one, several, strict=True)
        for left in a.verdicts
        for right in b.verdicts
        if left.criterion_id == right.criterion_id
    ]
    left, right = np.asarray(pairs).T
    return {
        "pairs": len(pairs),
        # equal scores for everything give no ranking
        "spearman": round(float(np.corrcoef(_ranks(left), _ranks(right))[0, 1]), 3)
        if len(set(left)) > 1 and len(set(right)) > 1
        else None,
        "within_one_point": round(float(np.mean(np.abs(left - right) <= 1)), 3),
        "mean_difference": round(float(np.mean(left - right)), 3),
    }


async def noise(task: WritingTask, texts: list[str], model: VllmChat) -> dict[str, float]:
    """Spread of the weighted score over seeds, and over texts."""
    posed = criteria()

    async def score(text: str, seed: int) -> float:
        ballot = await PromptedJudge((Role("judge", model, seed),)).judge(task, text, posed)
        scores = {verdict.criterion_id: verdict.score for verdict in ballot.verdicts}
        return weighted_score(scores, posed) or float("nan")

    rows = await asyncio.gather(*(score(text, seed) for text in texts for seed in range(SEEDS)))
    scores = np.asarray(rows).reshape(len(texts), SEEDS)
    return {
        "votes": SAMPLES,
        "standard_error": round(float(np.sqrt(np.nanmean(np.nanvar(scores, axis=1, ddof=1)))), 4),
        "spread_between_texts": round(float(np.nanstd(np.nanmean(scores, axis=1), ddof=1)), 4),
    }


def _ranks(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Ranks, ties sharing their mean."""
    order = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(order[2])
    return (ends - (order[2] - 1) / 2)[order[1]]


async def main() -> None:
    """Write the texts, judge them in both modes, print and store."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", default="smollm2-135m")
    arguments.add_argument("--texts", type=int, default=8)
    options = arguments.parse_args()
    model = VllmChat(
        model=resolve(options.model),
        max_concurrency=64,
        engine_options={"disable_log_stats": False},
    )
    await model.start()
    task = writing_task(REQUEST)
    role = Role("writer", model, 7)
    drafts = await asyncio.gather(
        *(
            write_draft(task, Precedents(), role, number=number, max_tokens=260)
            for number in range(options.texts)
        )
    )
    texts = [draft.text for draft in drafts]
    one, votes = await measure(task, texts, model, 1)
    seven, joint = await measure(task, texts, model, len(ASPECTS))
    result = {
        "model": options.model,
        "device": platform.processor() or platform.machine(),
        "texts": len(texts),
        "mean_sentences": round(float(np.mean([len(Exhibit.of(t).sentences) for t in texts])), 1),
        "modes": [one, seven],
        "agreement": agreement(votes, joint),
        "noise": await noise(task, texts, model),
    }
    await model.aclose()
    print(json.dumps(result, indent=1))
    name = f"judge_prefix-{options.model.replace('/', '_')}.json"
    (RESULTS / name).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
