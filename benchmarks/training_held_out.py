"""Does training by criteria make a model keep the demands of requests that it has not seen?

Three arms, each at several seeds: MRPO, plain GRPO with the same fresh texts for each step, and SFT
on the best of as many fresh texts. Each arm is `quillgraph train` with examples/train/cpu.yaml,
changed in what makes the arm; then the base and the trained adapter write the same number of texts
for each held-out request, with the same seeds, and code checks the hard demands.

    .venv/bin/python -P benchmarks/training_held_out.py             # all arms, seeds 1 2 3
    .venv/bin/python -P benchmarks/training_held_out.py --arms mrpo --seeds 1 --steps 5

Results are kept in benchmarks/results/training_held_out-<model>.jsonl, one row for each arm and
seed. An interrupted run resumes from its last checkpoint: start the command again. Results hold
for one configuration; an arm whose configuration has changed starts again.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from quillgraph.backends.runtime import multiplies_bfloat16

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "examples" / "train" / "cpu.yaml"
RESULTS = Path(__file__).parent / "results"
ARMS = ("mrpo", "grpo", "sft")
RESAMPLES = 10_000


def main() -> None:
    """Measure what is not measured yet, and sum up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=(1, 2, 3))
    parser.add_argument("--steps", type=int, help="instead of the configuration's max_steps")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "training_held_out")
    options = parser.parse_args()
    base = yaml.safe_load(options.config.read_text(encoding="utf-8"))
    if options.steps:
        base["rl"]["options"]["max_steps"] = options.steps
    keys = {arm: _key(configured(base, options.config.parent, arm, seed=0)) for arm in ARMS}
    name = Path(str(base["model"]["name"])).name
    file = RESULTS / f"training_held_out-{name}.jsonl"
    rows = _rows(file)
    row_of = {(row["arm"], row["seed"]): row for row in rows if row["config"] == keys[row["arm"]]}
    for seed in options.seeds:
        for arm in options.arms:
            if (arm, seed) not in row_of:
                row = _measured(base, options.config.parent, arm, seed, options.work / keys[arm])
                row |= {"config": keys[arm], **_machine()}
                row_of[arm, seed] = row
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(row) + "\n")
            print(_row_line(row_of[arm, seed]), flush=True)
    for arm in options.arms:
        _summarise(arm, [row_of[arm, seed] for seed in options.seeds])


def configured(base: dict[str, Any], near: Path, arm: str, seed: int) -> dict[str, Any]:
    """The configuration of an arm: the same requests, `near` that file, and as many fresh texts.

    SFT draws for each request as many texts as the other arms write for it over all their steps,
    keeps the better half of the successes and has no stage of reinforcement.
    """
    config: dict[str, Any] = json.loads(json.dumps(base)) | {"seed": seed}
    if arm != "sft":
        config.pop("sft", None)
        config["rl"]["algorithm"] = arm
        if arm == "grpo":
            known = _grpo_options()
            config["rl"]["options"] = {
                name: value for name, value in config["rl"]["options"].items() if name in known
            }
        return config
    fresh, rollouts = config["rl"]["options"], config["rl"].get("rollouts")
    texts = (
        fresh["max_steps"]
        * fresh["per_device_train_batch_size"]
        * fresh["gradient_accumulation_steps"]
    )
    requests = sum(row["split"] == "train" for row in _rows(near / config["data"]["prompts"]))
    config["data"]["text_tokens"] = fresh["max_completion_length"]
    del config["rl"]
    config["sft"] = {
        "top_share": 0.5,
        "collect": {
            "graph": "best_of_n",
            "texts": max(2, round(texts / requests)),
            "backend": rollouts,
        },
        "options": {
            "learning_rate": fresh["learning_rate"],
            "bf16": fresh.get("bf16", False),
            "num_train_epochs": 2,
            "per_device_train_batch_size": 8,
        },
    }
    return config


def _key(config: dict[str, Any]) -> str:
    """What stands for a configuration: rows of another are not taken for its.

    `bf16: auto` counts as what it means here, so a machine that calculates otherwise has rows of
    its own.
    """
    config = json.loads(json.dumps(config))
    for stage in ("sft", "rl"):
        options = config.get(stage, {}).get("options", {})
        if options.get("bf16") == "auto":
            options["bf16"] = multiplies_bfloat16()
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]


def _measured(base: dict[str, Any], near: Path, arm: str, seed: int, work: Path) -> dict[str, Any]:
    """Train an arm, going on where an earlier try was cut, and read what it came to."""
    base = json.loads(json.dumps(base))
    base["data"]["prompts"] = str((near / base["data"]["prompts"]).resolve())
    if cache := base["criteria"].get("cache"):
        base["criteria"]["cache"] = str((near / cache).resolve())
    work.mkdir(parents=True, exist_ok=True)
    config, out = work / f"{arm}-{seed}.yaml", work / f"{arm}-{seed}"
    config.write_text(yaml.safe_dump(configured(base, near, arm, seed)), encoding="utf-8")
    resume = ["--resume"] if (out / "run.json").exists() else []
    began = time.monotonic()
    program = [sys.executable, "-P", "-c", "from quillgraph.cli.main import main; main()"]
    command = [*program, "train", str(config), "--out", str(out), *resume]
    subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    samples = _rows(out / "samples.jsonl")
    first, last = min(row["step"] for row in samples), max(row["step"] for row in samples)
    before = [row for row in samples if row["step"] == first]
    after = [row for row in samples if row["step"] == last]
    requests = list(dict.fromkeys(row["request"] for row in after))
    return {
        "arm": arm,
        "seed": seed,
        "steps": last,
        "texts": len(after),
        "requests": len(requests),
        "fresh_texts": _fresh(out, arm),
        "seconds": round(time.monotonic() - began, 1),
        "was_resumed": bool(resume),
        "base": [_kept_share(before, request) for request in requests],
        "trained": [_kept_share(after, request) for request in requests],
        "base_hard": fmean(row["reward"]["hard"] for row in before),
        "trained_hard": fmean(row["reward"]["hard"] for row in after),
        "base_words": fmean(len(row["text"].split()) for row in before),
        "trained_words": fmean(len(row["text"].split()) for row in after),
    }


def interval(rows: Sequence[dict[str, Any]], seed: int = 0) -> tuple[float, float, float]:
    """Mean gain in the share of texts that keep every hard demand, with its 95 % interval.

    The bootstrap draws requests, since texts for one request are alike.
    """
    gains = [
        after - before
        for row in rows
        for before, after in zip(row["base"], row["trained"], strict=True)
    ]
    per_seed = len(gains) // len(rows)
    by_request = [fmean(gains[n::per_seed]) for n in range(per_seed)]
    chance = random.Random(seed)
    means = sorted(fmean(chance.choices(by_request, k=per_seed)) for _ in range(RESAMPLES))
    return fmean(gains), means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


def _summarise(arm: str, rows: Sequence[dict[str, Any]]) -> None:
    mean, low, high = interval(rows)
    texts = sum(row["texts"] for row in rows)
    print(f"{arm}: gain {mean:+.3f} [{low:+.3f}, {high:+.3f}] over {texts} held-out texts")


def _row_line(row: dict[str, Any]) -> str:
    mean, low, high = interval([row])
    return (
        f"{row['arm']} seed {row['seed']}: {fmean(row['base']):.3f} -> {fmean(row['trained']):.3f} "
        f"({mean:+.3f} [{low:+.3f}, {high:+.3f}]) after {row['fresh_texts']} fresh texts, "
        f"{row['seconds'] / 60:.1f} min"
    )


def _kept_share(rows: Sequence[dict[str, Any]], request: str) -> float:
    """Share of a request's texts that keep every hard demand."""
    return fmean(not row["reward"]["violations"] for row in rows if row["request"] == request)


def _fresh(out: Path, arm: str) -> int:
    if arm != "sft":
        return len(_rows(out / "rollouts.jsonl"))
    return sum(len(episode["attempts"]) for episode in _rows(out / "sft" / "episodes.jsonl"))


def _grpo_options() -> set[str]:
    import dataclasses

    from trl import GRPOConfig

    return {field.name for field in dataclasses.fields(GRPOConfig)}


def _machine() -> dict[str, Any]:
    return {"cpus": os.cpu_count(), "platform": platform.platform(), "argv": sys.argv[1:]}


def _rows(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


if __name__ == "__main__":
    main()
