"""A run that is killed and resumed is the run that was not killed."""

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import yaml

STEPS = 12
PATIENCE_S = 240

Start = Callable[..., BaseProcess]


KILLS = {"plain": 5, "ahead": 2, "graph": 2}
"""How often a run is killed."""

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ahead": {"overlap": True, "prompts": "middling", "rollouts": "transformers:"},
    "graph": {"graph": "best_of_n", "credit_per_role": True},
}
"""What a run may be told on how its texts come about."""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config(way: str, tiny_folder: Path, tmp_path: Path) -> Path:
    """MRPO with replay on the tiny model: everything that a checkpoint has to hold is used."""
    settings = {**WAYS[way]}
    if "rollouts" in settings:
        settings["rollouts"] += str(tiny_folder)
    requests = [
        {"request": f"Write a story in exactly {n} words about the {word}.", "split": "train"}
        for n, word in enumerate(["sun", "moon", "rain", "sea", "stone", "bird", "night"], 2)
    ]
    # what other tools write: separators that JSON may hold, a byte order mark, carriage returns
    requests[-1]["request"] += "\u2028Keep it\x85calm.\u2029"
    lines = "\r\n".join(json.dumps(each, ensure_ascii=False) for each in requests)
    (tmp_path / "prompts.jsonl").write_bytes(lines.encode("utf-8-sig"))
    file = tmp_path / "tiny.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "model": {"name": str(tiny_folder), "lora": {"r": 4, "dropout": 0.1}},
                "data": {"prompts": "prompts.jsonl"},
                "criteria": {"study": "hard"},
                "rl": {
                    **settings,
                    "options": {
                        "max_steps": STEPS,
                        "learning_rate": 1e-3,
                        "num_generations": 4,
                        "per_device_train_batch_size": 8,
                        "max_completion_length": 8,
                        "lr_scheduler_type": "cosine",
                        "replay_start": 2,
                        "replay_start_reward": 0.0,
                    },
                },
                "checkpoints": {"every": 2, "keep": 2},
                "evaluation": {"every": 0},
            }
        )
    )
    return file


@pytest.fixture
def start(start_process: Callable[..., BaseProcess], command_file: Path, config: Path) -> Start:
    """Start the training command in a process of its own."""

    def begin(out: Path, *options: str) -> BaseProcess:
        log = out.with_suffix(".log")
        return start_process(command_file, "train", config, "--out", out, *options, log=log)

    return begin


def finish(process: BaseProcess, out: Path) -> None:
    process.join(PATIENCE_S)
    assert process.exitcode == 0, out.with_suffix(".log").read_text()


def rows(out: Path) -> list[dict[str, Any]]:
    file = out / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def kill_at(process: BaseProcess, out: Path, step: int) -> None:
    """Kill it as soon as it has logged a step."""
    deadline = time.monotonic() + PATIENCE_S
    while max((row["step"] for row in rows(out)), default=0) < step:
        assert process.exitcode is None, out.with_suffix(".log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.join(PATIENCE_S)
    assert process.exitcode == -signal.SIGKILL


def curve(out: Path) -> dict[int, tuple[float, ...]]:
    names = ("loss", "grad_norm", "rewards/counted")
    return {row["step"]: tuple(row[name] for name in names) for row in rows(out) if "loss" in row}


def trained(out: Path) -> Counter[str]:
    total: Counter[str] = Counter()
    for _, counts in json.loads((out / "ledger.json").read_text()):
        total.update(counts)
    return total


@pytest.mark.model
def test_kills_change_neither_the_curve_nor_what_was_trained_on(
    way: str, start: Start, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finish(start(whole), whole)
    steps = sorted(random.sample(range(1, STEPS), KILLS[way]))
    for number, step in enumerate(steps):
        kill_at(start(broken, *["--resume"] * bool(number)), broken, step)
    finish(start(broken, "--resume"), broken)

    expected = curve(whole)
    assert sorted(expected) == list(range(1, STEPS + 1))
    resumed = curve(broken)
    assert sorted(resumed) == sorted(expected)
    for step, values in expected.items():
        assert resumed[step] == pytest.approx(values, abs=1e-6), f"step {step}, killed at {steps}"
    assert trained(broken) == trained(whole)
    # 8 texts in each of 12 steps
    assert trained(broken).total() == 8 * STEPS
    memories = [
        json.loads((out / f"checkpoints/rl/step-{STEPS:06d}/memory.json").read_text())
        for out in (whole, broken)
    ]
    assert memories[0]["ledger"] == memories[1]["ledger"]
    # an engine that batches rounds a log-prob by what else was in its batch
    for one, other in zip(*(each["memory"]["entries"] for each in memories), strict=True):
        assert one.pop("logprobs") == pytest.approx(other.pop("logprobs"), abs=1e-5)
        assert one == other
    assert any(step["replayed"] for step in memories[0]["ledger"])
