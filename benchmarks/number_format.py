"""Speed of float32 and bfloat16 on this CPU, and their effect on the trained scorer's scores.

    .venv/bin/python -P benchmarks/number_format.py --data FOLDER       half a minute, without
    bfloat16 some minutes

Products are those of a layer of SmolLM2 with 256 tokens. The scorer reads texts of WQRM (FOLDER
holds `WQRM_annotations.json` of Salesforce's creativity_eval), drawn by a seed, in either format.
For vLLM see cpu_engine.py. Results are stored in benchmarks/results/, one file for each format in
which engines on this CPU compute.
"""

import argparse
import json
import platform
import random
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from quillgraph.agents.judges import trained_judge
from quillgraph.backends.runtime import multiplies_bfloat16
from quillgraph.backends.transformers import hidden_states
from quillgraph.evals import load

RESULTS = Path(__file__).parent / "results"
FORMATS = ("float32", "bfloat16")
SHAPE = 256, 576, 1536
"""Tokens, width, and width of the inner layer."""


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """The shortest time of some repeats."""
    work()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def gigaflops(name: str) -> float:
    """Speed of one product, 10^9 operations a second."""
    rows, width, inner = SHAPE
    form = getattr(torch, name)
    x, weight = torch.randn(rows, width).to(form), torch.randn(inner, width).to(form)
    return 2 * rows * width * inner / seconds(lambda: x @ weight.t(), 20) / 1e9


def scored(name: str, texts: list[str]) -> tuple[float, list[float]]:
    """Seconds a text, and the scorer's points for each."""
    hidden_states.FORMAT = name
    judge = trained_judge("scorer:prose")
    judge._quality(texts[0])  # loads the model
    begun = time.perf_counter()
    points = [judge._quality(text) for text in texts[1:]]
    return (time.perf_counter() - begun) / len(points), points


def compared(texts: list[str]) -> dict[str, Any]:
    """Difference of the scores in the two formats."""
    cost, points = zip(*(scored(name, texts) for name in FORMATS), strict=True)
    exact, other = points
    off = [abs(a - b) for a, b in zip(exact, other, strict=True)]
    same = [
        (exact[i] - exact[j]) * (other[i] - other[j]) > 0
        for i, j in combinations(range(len(exact)), 2)
    ]
    return {
        "texts": len(exact),
        "words": fmean(len(text.split()) for text in texts[1:]),
        "seconds a text": dict(zip(FORMATS, cost, strict=True)),
        "difference": {"mean": fmean(off), "most": max(off)},
        "deviation among texts": stdev(exact),
        "pairs in the same order": fmean(same),
    }


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=60)
    options = parser.parse_args()
    pairs = load(options.data / "WQRM_annotations.json").preferences
    texts = sorted({text for pair in pairs for text in (pair.left, pair.right)})
    sample = random.Random(0).sample(texts, options.texts + 1)  # the first one warms up
    report = {
        "machine": platform.machine(),
        "cores": torch.get_num_threads(),
        "torch": torch.__version__,
        "multiplies bfloat16": multiplies_bfloat16(),
        "gigaflops": {name: gigaflops(name) for name in FORMATS},
        "scorer": compared(sample),
    }
    file = RESULTS / f"number_format-{'bfloat16' if multiplies_bfloat16() else 'float32'}.json"
    file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
