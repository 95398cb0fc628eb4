"""Times of the two parts of an update on a CPU: scores at the head, and prompts read once.

Run: python benchmarks/cpu_update.py          (SmolLM2-135M on 2 cores, about 2 minutes)

Forward and backward pass together, the best of --repeats, in float32 and under autocast to
bfloat16, on random tokens:
  head      TRL's head on every position of 16 texts of 40 tokens after prompts of 40, TRL's on the
            positions of the texts alone, and ours on those
  backbone  groups of texts whose prompts are read with each text, and once for the group, with the
            distance of the adapter's gradient from that of float32
Results are stored in benchmarks/results/cpu_update-<model>.json.
"""

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
TEXTS, TOKENS, PROMPT = 16, 40, 40
GROUPS = ((2, 4, 40, 32), (2, 8, 100, 50))
"""Prompts, texts for each, tokens of a prompt, tokens of a text."""


def passes(forward: Callable[[], Any], pull: Any, *, is_bf16: bool, repeats: int) -> float:
    """Seconds of the fastest forward and backward pass."""
    seconds = []
    for _ in range(repeats):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bf16):
            begun = time.perf_counter()
            (forward() * pull).sum().backward()
            seconds.append(time.perf_counter() - begun)
    return round(min(seconds), 3)


def head(model: Any, *, is_bf16: bool, repeats: int) -> dict[str, float]:
    """Seconds of the scores of one micro-batch."""
    from trl.kernels import ChunkedLogProbFunction

    from quillgraph.rl.cpu_head import HeadScores

    weight = model.get_output_embeddings().weight.detach()
    count = TEXTS * TOKENS
    every = torch.randn(TEXTS * (PROMPT + TOKENS), weight.shape[1], requires_grad=True)
    targets, pull = torch.randint(0, len(weight), (len(every),)), torch.randn(len(every))

    def trls(positions: int) -> Any:
        outputs = ("log_probs", "entropy")
        hidden, written = every[:positions], targets[:positions]
        return ChunkedLogProbFunction.apply(
            hidden, weight, None, written, 1.0, 32768, None, 1.0, outputs
        )[0]

    arms = {
        "trl, every position": (lambda: trls(len(every)), pull),
        "trl, positions of texts": (lambda: trls(count), pull[:count]),
        "ours": (
            lambda: HeadScores.apply(every[:count], weight, targets[:count], 1.0)[0],
            pull[:count],
        ),
    }
    return {
        name: passes(forward, weights, is_bf16=is_bf16, repeats=repeats)
        for name, (forward, weights) in arms.items()
    }


def backbone(model: Any, sizes: tuple[int, ...], *, is_bf16: bool, repeats: int) -> dict[str, Any]:
    """Seconds of the states of groups of texts, and how exact the gradient is."""
    from quillgraph.rl.cpu_head import last_states

    prompts, group, before, tokens = sizes
    begun = torch.randint(5, 40000, (prompts, before)).repeat_interleave(group, 0)
    ids = torch.cat([begun, torch.randint(5, 40000, (prompts * group, tokens))], 1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    labels = ids.clone()
    labels[:, :before] = -100
    pull = torch.randn(len(ids), tokens, model.config.hidden_size)

    def apart() -> Any:
        whole = model.base_model(**inputs, use_cache=False).last_hidden_state
        return whole[:, before - 1 : -1]

    def gradient(forward: Callable[[], Any], *, is_bf16: bool) -> Any:
        model.zero_grad()
        passes(forward, pull, is_bf16=is_bf16, repeats=1)
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    exact = gradient(apart, is_bf16=False)
    row: dict[str, Any] = {}
    arms = {"each text": apart, "shared": lambda: last_states(model, labels, inputs)}
    for name, forward in arms.items():
        seconds = passes(forward, pull, is_bf16=is_bf16, repeats=repeats)
        off = (gradient(forward, is_bf16=is_bf16) - exact).norm() / exact.norm()
        row[name] = {"seconds": seconds, "gradient_off": round(off.item(), 7)}
    return row


def main() -> None:
    """Measure, print and store."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from quillgraph.backends.weights import resolve

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(resolve(options.model), dtype=torch.float32)
    adapted = get_peft_model(base, LoraConfig(r=16, target_modules="all-linear")).train()
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:  # else half of the adapter has no gradient
            torch.nn.init.normal_(weight, std=0.01)
    model = adapted.get_base_model()
    report: dict[str, Any] = {"model": options.model, "machine": platform.machine()}
    report |= {"cpus": os.cpu_count(), "torch": torch.__version__, "repeats": options.repeats}
    for kind, is_bf16 in (("float32", False), ("bfloat16", True)):
        report[kind] = {"head, seconds": head(model, is_bf16=is_bf16, repeats=options.repeats)}
        for sizes in GROUPS:
            words = f"{sizes[0]} prompts of {sizes[2]} tokens, {sizes[1]} texts of {sizes[3]} each"
            report[kind][words] = backbone(model, sizes, is_bf16=is_bf16, repeats=options.repeats)
        print(json.dumps({kind: report[kind]}, indent=1), flush=True)
    options.out.mkdir(exist_ok=True, parents=True)
    file = options.out / f"cpu_update-{Path(options.model).name}.json"
    file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
