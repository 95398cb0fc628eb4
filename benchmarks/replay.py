"""Replay memory: rows a second in, time to choose entries, bytes a row.

Run: python benchmarks/replay.py
Adds rows of 128 tokens for 512 prompts, until every prompt's share and the memory have been filled
many times over, then chooses 2 entries for each of many prompts. Targets: at least 100,000 rows a
second, a choice in less than 1 ms. Seconds are CPU time of the one thread at work, so that a busy
machine does not count; the median of several rounds is stored in benchmarks/results/.
"""

import argparse
import json
import platform
import random
import statistics
import time
import tracemalloc
from pathlib import Path
from typing import Any

from quillgraph.rl.mrpo import Entry, Replay

RESULTS = Path(__file__).parent / "results"
PROMPTS, TOKENS, VOCABULARY, SHA = 512, 128, 150_000, "c0"


def rows(count: int, seed: int) -> list[Entry]:
    """Make rows with random tokens, rewards and log-probs."""
    chance = random.Random(seed)
    return [
        Entry(
            prompt=f"prompt-{chance.randrange(PROMPTS)}",
            criteria_sha=SHA,
            context="bare",
            prompt_ids=tuple(range(32)),
            completion_ids=tuple(chance.choices(range(VOCABULARY), k=TOKENS)),
            mask=(True,) * TOKENS,
            logprobs=tuple(-chance.random() for _ in range(TOKENS)),
            reward=chance.random(),
            step=0,
        )
        for _ in range(count)
    ]


def inserting(entries: list[Entry]) -> float:
    """Rows a second."""
    memory = Replay()
    begun = time.thread_time()
    for entry in entries:
        memory.add(entry)
    return len(entries) / (time.thread_time() - begun)


def choosing(memory: Replay, times: int) -> list[float]:
    """Milliseconds of each choice; a chosen entry counts as used, as in training."""
    choice_ms = []
    for number in range(times):
        prompt = f"prompt-{number % PROMPTS}"
        rewards = {entry.id: entry.reward for entry in memory.of(prompt)}
        begun = time.thread_time()
        entries = memory.choose(
            prompt, criteria_sha=SHA, rewards=rewards, above=0.1, step=1, most=2
        )
        memory.use(entry.id for entry in entries)
        choice_ms.append((time.thread_time() - begun) * 1e3)
    return choice_ms


def bytes_per_row(count: int) -> float:
    """Bytes of a stored row, including its tokens."""
    tracemalloc.start()
    memory = Replay(per_prompt=count)
    for entry in rows(count, 2):
        memory.add(entry)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / len(memory)


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    entries = rows(options.rows, 0)
    rates = [inserting(entries) for _ in range(options.rounds)]
    memory = Replay()
    for entry in entries:
        memory.add(entry)
    choice_ms = sorted(choosing(memory, PROMPTS * 3))
    result: dict[str, Any] = {
        "rows": options.rows,
        "tokens_per_row": TOKENS,
        "kept": len(memory),
        "inserted_per_s": round(statistics.median(rates)),
        "choose_ms_median": round(statistics.median(choice_ms), 4),
        "choose_ms_p99": round(choice_ms[int(len(choice_ms) * 0.99)], 4),
        "bytes_per_row": round(bytes_per_row(2000)),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "replay.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
