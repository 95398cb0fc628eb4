"""Two processes on a CPU (gloo) learn from the same groups as one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

SCRIPT = Path(__file__).with_name("distributed_run.py")


Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def train(run_processes: Callable[..., None], tiny_folder: Path) -> Run:
    """Train in one process or several, and read the state that each of them leaves."""

    def run(out: Path, way: str, *, processes: int, rows: int) -> list[dict[str, Any]]:
        out.mkdir()
        log = out / "log.txt"
        run_processes(SCRIPT, tiny_folder, out, rows, way, log=log, processes=processes)
        return [json.loads((out / f"state-{n}.json").read_text()) for n in range(processes)]

    return run


@pytest.mark.parametrize(("way", "age"), [("plain", 0), ("ahead", 1)])
def test_two_processes_have_the_groups_the_memory_and_the_ledger_of_one(
    train: Run, tmp_path: Path, way: str, age: int
) -> None:
    # 24 texts a step in 3 groups of 8: the second group lies across both processes
    (one,) = train(tmp_path / "one", way, processes=1, rows=24)
    two = train(tmp_path / "two", way, processes=2, rows=12)

    assert (one["processes"], two[0]["processes"]) == (1, 2)
    assert sum(len(each["replayed"]) for each in one["ledger"]) > 2
    assert one["ages"] == two[0]["ages"] == [0, age, age, age]
    for each in two:
        assert each["ledger"] == one["ledger"]
        assert _texts(each) == _texts(one)
    assert two[0]["memory"] == two[1]["memory"]
    assert two[0]["grad_norms"] == pytest.approx(one["grad_norms"], rel=1e-3)


def test_an_engine_that_dies_in_one_process_ends_both_with_a_checkpoint(
    train: Run, tmp_path: Path
) -> None:
    both = train(tmp_path / "out", "dying", processes=2, rows=12)
    assert [set(each) for each in both] == [{"stopped"}] * 2
    assert all("the engine died; step 1 is saved as a checkpoint" in e["stopped"] for e in both)
    assert (tmp_path / "out" / "checkpoint-1" / "adapter_model.safetensors").is_file()


def _texts(state: dict[str, Any]) -> list[Any]:
    entries = state["memory"]["entries"]
    return [(each["completion_ids"], each["reward"], each["uses"]) for each in entries]
