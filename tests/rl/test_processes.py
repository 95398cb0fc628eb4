"""`quillgraph train` in several processes does what it does in one."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PATIENCE_S = 240


def written(folder: Path, model: Path, batch: int) -> Path:
    requests = [
        {"request": f"Write a story in exactly {n} words about the {word}.", "split": split}
        for n, (word, split) in enumerate(
            [("sun", "train"), ("moon", "train"), ("rain", "train"), ("sea", "held_out")], 3
        )
    ]
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, requests)))
    file = folder / f"batch-{batch}.yaml"
    options = {
        "max_steps": 2,
        "learning_rate": 1e-3,
        "num_generations": 4,
        "per_device_train_batch_size": batch,
        "max_completion_length": 6,
    }
    file.write_text(
        yaml.safe_dump(
            {
                "model": {"name": str(model), "lora": {"r": 4}},
                "data": {"prompts": "prompts.jsonl"},
                "criteria": {"study": "hard"},
                "rl": {"options": options},
                "evaluation": {"every": 0, "texts": 2},
                "checkpoints": {"every": 1},
            }
        )
    )
    return file


def launch(program: Path, config: Path, out: Path) -> None:
    """Train in two processes, by torch's own launcher."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", port]
    done = subprocess.run(
        [sys.executable, "-P", *launcher, str(program), "train", str(config), "--out", str(out)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.model
def test_two_processes_train_on_the_same_groups_and_leave_one_record(
    tiny_folder: Path, tmp_path: Path, run_processes: Callable[..., None], command_file: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    alone = written(tmp_path, tiny_folder, 8)
    run_processes(command_file, "train", alone, "--out", one, log=tmp_path / "one.log")
    launch(command_file, written(tmp_path, tiny_folder, 4), two)

    ledgers = [json.loads((out / "ledger.json").read_text()) for out in (one, two)]
    # two requests of four texts in each of two steps, whoever wrote which
    assert ledgers[0] == ledgers[1]
    assert [sum(counts.values()) for _, counts in ledgers[1]] == [8, 8]
    for out in (one, two):
        assert len(rows(out / "rollouts.jsonl")) == 16
        assert [row["step"] for row in rows(out / "samples.jsonl")] == [0, 0, 2, 2]
        assert [row["step"] for row in rows(out / "metrics.jsonl") if "loss" in row] == [1, 2]
        kept = sorted(each.name for each in (out / "checkpoints" / "rl").iterdir())
        assert kept == ["step-000001", "step-000002"]
        assert (out / "adapter" / "adapter_model.safetensors").exists()
        assert json.loads((out / "run.json").read_text())["status"] == "done"
